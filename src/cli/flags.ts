// Flags as tables: one entry gives a flag its parser, its type and its line in --help.

import { statSync } from "node:fs";
import { parseArgs } from "node:util";
import { parseAddress, parseListenAddress } from "../envoy/address.ts";

/** What a flag's value must be. `parse` gives undefined when the text is not that. */
export interface Kind<T> {
  /** Stands for the value in --help. */
  readonly placeholder: string;
  /** Completes "expected …". */
  readonly expected: string;
  readonly parse: (text: string) => T | undefined;
}

export interface Flag<T> {
  readonly kind: Kind<T>;
  readonly help: string;
  readonly required?: boolean;
  /** May be given several times: the value is a list, empty without it. */
  readonly many?: true;
}

// biome-ignore lint/suspicious/noExplicitAny: a table holds flags of every type
export type FlagTable = Readonly<Record<string, Flag<any>>>;

export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Flag<infer T>
    ? Table[Name] extends { readonly many: true }
      ? readonly T[]
      : Table[Name] extends { readonly required: true }
        ? T
        : T | undefined
    : never;
};

export interface Command<Table extends FlagTable> {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** Names of what follows the flags, for example ["FILE|SOCKET"]. */
  readonly operands?: readonly string[];
  readonly flags: Table;
}

/** What the user got wrong, in one sentence. The process says it and exits with 2. */
export class UsageError extends Error {}

/** `"help"` when --help was asked for; throws a UsageError for anything the command does not know. */
export function parseFlags<const Table extends FlagTable>(
  command: Command<Table>,
  argv: readonly string[],
): "help" | { readonly flags: FlagValues<Table>; readonly operands: readonly string[] } {
  const names = Object.keys(command.flags);
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: {
      help: { type: "boolean", short: "h" },
      ...Object.fromEntries(
        names.map((name) => [name, { type: isSwitch(command.flags[name]) ? "boolean" : "string" }]),
      ),
    },
  });
  if (tokens.some((token) => token.kind === "option" && token.name === "help")) return "help";
  const values: Record<string, unknown> = {};
  for (const name of names) if (command.flags[name]?.many) values[name] = [];
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") operands.push(token.value);
    if (token.kind !== "option") continue;
    const value = optionValue(command, token);
    if (command.flags[token.name]?.many) (values[token.name] as unknown[]).push(value);
    else values[token.name] = value;
  }
  for (const name of names) {
    const flag = command.flags[name];
    if (flag?.required && values[name] === undefined) {
      throw new UsageError(`pointsman ${command.name}: --${name} ${flag.kind.placeholder} is required`);
    }
  }
  checkOperands(command, operands);
  return { flags: values as FlagValues<Table>, operands };
}

/** The text of `pointsman COMMAND --help`. */
export function helpOf(command: Command<FlagTable>): string {
  const operands = (command.operands ?? []).map((name) => ` ${name}`).join("");
  const rows = Object.entries(command.flags).map(([name, flag]): readonly [string, string] => [
    isSwitch(flag) ? `--${name}` : `--${name} ${flag.kind.placeholder}`,
    flag.help + (flag.required ? " (required)" : ""),
  ]);
  rows.push(["--help", "this text"]);
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  return [`pointsman ${command.name}${operands}: ${command.summary}`, "", ...lines, ""].join("\n");
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function optionValue(command: Command<FlagTable>, token: OptionToken): unknown {
  const flag = Object.hasOwn(command.flags, token.name) ? command.flags[token.name] : undefined;
  if (flag === undefined) {
    throw new UsageError(
      `pointsman ${command.name}: unknown flag ${token.rawName}; see pointsman ${command.name} --help`,
    );
  }
  const { placeholder, expected, parse } = flag.kind;
  if (isSwitch(flag)) {
    if (token.value === undefined) return true;
    throw new UsageError(`pointsman ${command.name}: --${token.name} takes no value`);
  }
  // "--listen --admin …": the next flag is not the value of this one
  if (token.value === undefined || (!token.inlineValue && /^--./.test(token.value))) {
    throw new UsageError(`pointsman ${command.name}: --${token.name} needs a value, ${placeholder}`);
  }
  const value = parse(token.value);
  if (value !== undefined) return value;
  throw new UsageError(`pointsman ${command.name}: --${token.name} ${token.value}: expected ${expected}`);
}

function checkOperands(command: Command<FlagTable>, operands: readonly string[]): void {
  const wanted = command.operands ?? [];
  const extra = operands[wanted.length];
  if (extra !== undefined) {
    throw new UsageError(`pointsman ${command.name}: unexpected "${extra}"; see pointsman ${command.name} --help`);
  }
  const missing = wanted[operands.length];
  if (missing !== undefined) throw new UsageError(`pointsman ${command.name}: ${missing} is missing`);
}

function isSwitch(flag: Flag<unknown> | undefined): boolean {
  return flag?.kind === SWITCH;
}

/** A flag without a value. */
export const SWITCH: Kind<boolean> = { placeholder: "", expected: "no value", parse: () => undefined };

export const TEXT: Kind<string> = {
  placeholder: "TEXT",
  expected: "a text that is not empty",
  parse: (text) => text || undefined,
};

export const ADDRESS: Kind<{ readonly host: string; readonly port: number }> = {
  placeholder: "HOST:PORT",
  expected: "HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080 (port 0: any free one)",
  parse: parseAddress,
};

/** Where a server listens that may be reached from everywhere. */
export const LISTEN_ADDRESS: Kind<{ readonly host: string; readonly port: number }> = {
  placeholder: "[HOST]:PORT",
  expected: "HOST:PORT, for example 127.0.0.1:9910 or [::1]:9910, or :PORT for all addresses (port 0: any free one)",
  parse: parseListenAddress,
};

const DURATION_MS_MAX = 3_600_000;

/** In milliseconds, one at least. */
export const DURATION: Kind<number> = {
  placeholder: "DURATION",
  expected: "a duration from 1ms to 60m with its unit, for example 50ms, 1.5s or 2m",
  parse: (text) => {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
    if (match === null) return undefined;
    const ms = Number(match[1]) * { ms: 1, s: 1_000, m: 60_000 }[match[2] as "ms" | "s" | "m"];
    return ms >= 1 && ms <= DURATION_MS_MAX ? ms : undefined;
  },
};

/** In bytes. */
export const SIZE: Kind<number> = {
  placeholder: "BYTES",
  expected: "a number of bytes, for example 1048576, 512KiB or 32MiB",
  parse: (text) => {
    const match = /^(\d{1,12})(KiB|MiB|GiB)?$/.exec(text);
    if (match === null) return undefined;
    const size = Number(match[1]) * { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, "": 1 }[(match[2] ?? "") as "" | "KiB"];
    return size <= 2 ** 32 - 1 ? size : undefined;
  },
};

/** A whole number of this range. */
export function whole(min: number, max: number): Kind<number> {
  return {
    placeholder: "N",
    expected: `a whole number from ${min} to ${max}`,
    parse: (text) => (/^\d{1,15}$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined),
  };
}

/** A number of this range. */
export function decimal(min: number, max: number): Kind<number> {
  return {
    placeholder: "N",
    expected: `a number from ${min} to ${max}`,
    parse: (text) => {
      const value = /^\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

export function choice<const Word extends string>(...words: readonly Word[]): Kind<Word> {
  return {
    placeholder: words.length > 3 ? "WORD" : words.join("|"),
    expected: `one of ${words.join(", ")}`,
    parse: (text) => words.find((word) => word === text),
  };
}

export const DIRECTORY: Kind<string> = {
  placeholder: "DIR",
  expected: "a folder that exists",
  parse: (path) => (statSync(path, { throwIfNoEntry: false })?.isDirectory() ? path : undefined),
};

export const FILE: Kind<string> = {
  placeholder: "FILE",
  expected: "a file that exists",
  parse: (path) => (statSync(path, { throwIfNoEntry: false })?.isFile() ? path : undefined),
};

/** A path that need not exist. */
export const PATH: Kind<string> = { placeholder: "PATH", expected: "a path", parse: (path) => path || undefined };

/** Of a URL, with a query or without. */
export const URL_PATH: Kind<string> = {
  placeholder: "PATH",
  expected: "a path that begins with a slash, for example /metrics",
  parse: (text) => (/^\/[\x21\x24-\x7e]*$/.test(text) ? text : undefined),
};

/** A request header. */
export const HEADER: Kind<readonly [name: string, value: string]> = {
  placeholder: "NAME:VALUE",
  expected: "NAME:VALUE, for example x-session-id:abc",
  parse: (text) => {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*)$/.exec(text);
    return match === null ? undefined : [match[1]!.toLowerCase(), match[2]!];
  },
};

const PLACE_LEVELS = ["host", "rack", "zone", "region"] as const;

/** Where the gateway is, as far as it is known. */
export const PLACE: Kind<{ readonly [Level in (typeof PLACE_LEVELS)[number]]?: string }> = {
  placeholder: "PLACE",
  expected: "levels with their names, for example zone=north-1,region=north (also host, rack)",
  parse: (text) => {
    const pairs = text.split(",").map((pair) => /^(\w+)=([^=\s]+)$/.exec(pair));
    const levels = pairs.map((pair) => PLACE_LEVELS.find((level) => level === pair?.[1]));
    if (levels.includes(undefined) || new Set(levels).size < levels.length) return undefined;
    return Object.fromEntries(pairs.map((pair) => [pair![1], pair![2]]));
  },
};

/** "namespace/name" of an InferencePool. */
export const POOL: Kind<string> = {
  placeholder: "NAMESPACE/NAME",
  expected: "NAMESPACE/NAME of an InferencePool",
  parse: (text) => (/^[a-z0-9][-a-z0-9]{0,62}\/[a-z0-9][-.a-z0-9]{0,252}$/.test(text) ? text : undefined),
};
