// AssemblyScript's integer types, for the TypeScript compiler that checks the agent: there every
// number is a number. asc knows them itself and never reads this file; Node strips them.
type u32 = number;
