// The command line. Each command is a module with its flags and its `run`, loaded when it is called.

import { type Command, type FlagTable, type FlagValues, helpOf, parseFlags, UsageError } from "./flags.ts";

/** What a command's module exports as `command`. */
export interface Runnable<Table extends FlagTable> extends Command<Table> {
  /** Resolves to the exit status. Errors are sentences for the user. */
  readonly run: (flags: FlagValues<Table>, operands: readonly string[]) => Promise<number>;
}

/** Keeps the types of a command's flags from its table to its `run`. */
function untyped<const Table extends FlagTable>(command: Runnable<Table>): Runnable<FlagTable> {
  return command as unknown as Runnable<FlagTable>;
}

const COMMANDS: Readonly<Record<string, () => Promise<Runnable<FlagTable>>>> = {
  up: async () => untyped((await import("./commands/up.ts")).command),
  agent: async () => untyped((await import("./commands/agent.ts")).command),
  "envoy-config": async () => untyped((await import("./commands/envoy-config.ts")).command),
  sim: async () => untyped((await import("./commands/sim.ts")).command),
  inspect: async () => untyped((await import("./commands/inspect.ts")).command),
  explain: async () => untyped((await import("./commands/explain.ts")).command),
  drain: async () => untyped((await import("./commands/drain.ts")).command),
  demo: async () => untyped((await import("./commands/demo.ts")).command),
};

// Whoever reads our lines may go before us: a log nobody reads is no reason to end.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
process.exitCode = await main(process.argv.slice(2));

async function main([name, ...argv]: readonly string[]): Promise<number> {
  try {
    if (name === "--help" || name === "-h" || name === "help") {
      process.stdout.write(await overview());
      return 0;
    }
    const load = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (load === undefined) {
      const what = name === undefined ? "a command is missing" : `unknown command "${name}"`;
      throw new UsageError(`pointsman: ${what}; expected one of ${Object.keys(COMMANDS).join(", ")}`);
    }
    const command = await load();
    const parsed = parseFlags(command, argv);
    if (parsed === "help") {
      process.stdout.write(helpOf(command));
      return 0;
    }
    return await command.run(parsed.flags, parsed.operands);
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(error.message);
      return 2;
    }
    console.error(`pointsman: ${(error as Error).message}`);
    if (process.env.POINTSMAN_DEBUG) console.error(error);
    return 1;
  }
}

async function overview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const lines = commands.map((command) => `  ${command.name.padEnd(13)} ${command.summary}`);
  return [
    "pointsman COMMAND [FLAGS]: an endpoint picker for LLM inference that lives inside Envoy",
    "",
    ...lines,
    "",
    "pointsman COMMAND --help lists a command's flags.",
    "",
  ].join("\n");
}
