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
  /** Undefined when it cannot be used; what is wrong has been said. */
  readonly plugin: Plugin | undefined;
};

type Entry = {
  readonly name: string;
  /** The name by a type that is known, where this one is none. */
  readonly meant: string | undefined;
  readonly type: string;
  readonly at: Value;
  readonly parameters: Fields;
};

/** Reads them all. A plugin that refers to another has it read first. */
export function listPlugins(section: Value): ReadonlyMap<string, Listed> {
  const entries = new Map<string, Entry>();
  for (const item of section.list() ?? []) {
    const entry = entryOf(item);
    if (entry === undefined) continue;
    if (entries.has(entry.name)) entry.at.error(`${entry.name} is the name of another plugin, give one of them a name`);
    else entries.set(entry.name, entry);
    // Who refers to what was meant makes no second mistake.
    if (entry.meant !== undefined && !entries.has(entry.meant)) entries.set(entry.meant, entry);
  }
  return readAll(entries);
}

function readAll(entries: ReadonlyMap<string, Entry>): ReadonlyMap<string, Listed> {
  const read = new Map<string, Listed>();
  const begun = new Set<string>();
  const surroundings: Surroundings = { named: (name) => named(name), names: () => [...entries.keys()] };
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
  const at = fields?.require("type", "the type of a plugin");
  const type = at?.text();
  const nameValue = fields?.get("name");
  const name = nameValue?.text() || type;
  if (fields === undefined || at === undefined || !type || !name) return undefined;
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) nameValue?.expected(`a name of at most ${NAME_BYTES_MAX} bytes`);
  const known = parametersOf(type);
  const near = known === undefined ? suggest(type, TYPE_NAMES) : undefined;
  if (known === undefined) {
    at.error(`${type} is no type of plugin${near === undefined ? "" : `, did you mean ${near}?`}`);
  }
  const none = new Fields(item.missing("parameters"), new Map());
  const given = known === undefined || known === "any" ? undefined : fields.get("parameters")?.fields(known);
  const meant = name === type ? near : undefined;
  return { name, meant, type, at, parameters: given ?? none };
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
  const { why, worksListed = false } = missing;
  if (worksListed) at.error(`${type}: ${why}`);
  else at.warn(`${type}: ${why}; it has no effect`);
  return { role: "missing", why };
}
