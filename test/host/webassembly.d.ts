// The part of the WebAssembly API that this host uses; Node has all of it, @types/node declares none.

declare namespace WebAssembly {
  type ImportValue = (...args: never[]) => unknown;
  interface Imports {
    [module: string]: { [name: string]: ImportValue };
  }
  interface ImportDescriptor {
    readonly module: string;
    readonly name: string;
  }
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
  class Module {
    constructor(bytes: Uint8Array);
    static imports(module: Module): ImportDescriptor[];
  }
  class Instance {
    readonly exports: Record<string, unknown>;
    constructor(module: Module, imports?: Imports);
  }
  class RuntimeError extends Error {}
}
