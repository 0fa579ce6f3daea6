// The plugins section: every plugin with its name, its type and what its parameters make of it.

import { Fields, type Value } from "./document.ts";
import { pluginType, TYPE_NAMES } from "./plugins/menu.ts";
import { MISSING } from "./plugins/missing.ts";
import type { Plugin, Surroundings } from "./plugins/plugin.ts";
import { suggest } from "./suggest.ts";

/** Names go with the program to every proxy, and into its explanations. */
const NAME_BYTES_MAX = 253;

export type Listed = {
  readonly name: string;
  readonly type: string;
  /** Its type in the document. */
  readonly at: Value;
  /** Whether there is such a type. */
  readonly isKnown: boolean;
  /** The type, or the one that it seems to mean. */
  readonly like: string;
  /** Undefined when it cannot be used; what is wrong has been said. */
  readonly plugin: Plugin | undefined;
  /** Whether the document refers to it by its name. */
  readonly use: { isReferred: boolean };
};

type Entry = Omit<Listed, "plugin"> & { readonly parameters: Fields };

/** Reads them all. A plugin that refers to another has it read first. */
export function listPlugins(section: Value, authorities: Surroundings["authorities"]): ReadonlyMap<string, Listed> {
  const entries = new Map<string, Entry>();
  for (const item of section.list() ?? []) {
    const entry = entryOf(item);
    if (entry === undefined) continue;
    if (entries.has(entry.name)) entry.at.error(`${entry.name} is the name of another plugin, give one of them a name`);
    else entries.set(entry.name, entry);
  }
  // Who refers to what was meant makes no second mistake.
  for (const entry of [...entries.values()])
    if (entry.name === entry.type && !entries.has(entry.like)) entries.set(entry.like, entry);
  return readAll(entries, authorities);
}

function readAll(
  entries: ReadonlyMap<string, Entry>,
  authorities: Surroundings["authorities"],
): ReadonlyMap<string, Listed> {
  const read = new Map<string, Listed>();
  const begun = new Set<string>();
  const surroundings: Surroundings = {
    named: (name) => {
      const listed = named(name);
      if (listed !== undefined) listed.use.isReferred = true;
      return listed;
    },
    names: () => [...entries.keys()],
    authorities,
  };
  function named(name: string): Listed | undefined {
    const entry = entries.get(name);
    if (entry === undefined) return undefined;
    const known = read.get(name);
    // Plugins that refer to each other in a circle get what is known so far.
    if (known !== undefined || begun.has(name)) return known ?? { ...entry, plugin: undefined };
    begun.add(name);
    const listed = { ...entry, plugin: readPlugin(entry, surroundings) };
    read.set(name, listed);
    return listed;
  }
  for (const name of entries.keys()) named(name);
  return read;
}

function entryOf(item: Value): Entry | undefined {
  const fields = item.fields(["name", "type", "parameters"]);
  const typeValue = fields?.require("type", "the type of a plugin");
  const type = typeValue?.text() ?? "";
  const nameValue = fields?.get("name");
  const name = nameValue?.text() || type;
  if (fields === undefined || !name) return undefined;
  const at = typeValue ?? item;
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) nameValue?.expected(`a name of at most ${NAME_BYTES_MAX} bytes`);
  const known = parametersOf(type);
  const near = known === undefined ? suggest(type, TYPE_NAMES) : undefined;
  // A type that is missing, or no text, has been told.
  if (known === undefined && type !== "")
    at.error(`${type} is no type of plugin${near === undefined ? "" : `, did you mean ${near}?`}`);
  const parameters = parametersIn(fields.get("parameters"), known) ?? new Fields(item.missing("parameters"), new Map());
  return { name, type, at, parameters, isKnown: known !== undefined, like: near ?? type, use: { isReferred: false } };
}

function parametersIn(value: Value | undefined, known: readonly string[] | "any" | undefined): Fields | undefined {
  if (known === undefined || known === "any") return undefined;
  if (known.length > 0) return value?.fields(known);
  if (value?.isEmpty() === false) value.warn("this type of plugin has no parameters, what is given has no effect");
  return undefined;
}

/** Those of what is not there yet are not looked at. */
function parametersOf(type: string): readonly string[] | "any" | undefined {
  return pluginType(type)?.parameters ?? (Object.hasOwn(MISSING, type) ? "any" : undefined);
}

function readPlugin({ type, at, parameters }: Entry, surroundings: Surroundings): Plugin | undefined {
  const known = pluginType(type);
  if (known !== undefined) return known.read(parameters, surroundings, at);
  const missing = Object.hasOwn(MISSING, type) ? MISSING[type] : undefined;
  if (missing === undefined) return undefined;
  const { why, worksListed = false, isStep = false } = missing;
  if (worksListed) at.error(`${type}: ${why}`);
  else at.warn(`${type}: ${why}; it has no effect`);
  return { role: "missing", why, isStep };
}
