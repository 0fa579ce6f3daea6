// Names of producers in parameters. Of each kind of producer there is one here, which need not be listed.

import type { Value } from "../document.ts";
import { suggest } from "../suggest.ts";
import type { Parameters, Surroundings } from "./plugin.ts";

/** Complains unless the parameter is left out or names a plugin of `type`. */
export function expectProducer(parameters: Parameters, name: string, type: string, surroundings: Surroundings): void {
  const value = parameters.get(name);
  const text = value?.text();
  if (value === undefined || !text || text === type) return;
  const found = surroundings.named(text);
  if (found === undefined) unlisted(value, text, [...surroundings.names(), type]);
  else if (found.plugin?.role === "missing") value.error(`${text}: ${found.plugin.why}`);
  else if (found.isKnown && found.type !== type) value.error(`${text} is a ${found.type}, expected a ${type}`);
}

/** Complains about a name that no plugin has. */
export function unlisted(value: Value, name: string, names: readonly string[]): void {
  const near = suggest(name, names);
  const hint = near === undefined ? "" : `, did you mean ${near}?`;
  value.error(`${name} is no plugin of this document${hint}`);
}
