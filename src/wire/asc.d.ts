// AssemblyScript's types, for the TypeScript compiler that checks the agent: there every
// number is a number. asc knows them itself and never reads this file; Node strips them.
type u32 = number;
/** A table of numbers: in Node an array like any other. */
type StaticArray<T> = readonly T[];
