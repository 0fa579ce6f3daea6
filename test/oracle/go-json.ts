// JSON as Go's encoding/json prints it: what the reference hashes of tools and of whole inputs.

import type { Json } from "./json-tree.ts";

/** A value decoded without a type (into `any`) and printed again. */
export function marshal(value: Json): string {
  switch (value.kind) {
    case "null":
    case "boolean":
      return value.raw;
    case "number":
      // Go keeps the sign of zero; else both print as ECMAScript says.
      return Object.is(value.value, -0) ? "-0" : String(value.value);
    case "string":
      return quote(value.value);
    case "array":
      return `[${value.items.map(marshal).join(",")}]`;
    case "object":
      return fields([...value.members].toSorted(byName).map(([name, member]) => [name, marshal(member)]));
  }
}

/** An object with these members, already printed, in this order. */
export function fields(members: readonly (readonly [name: string, printed: string])[]): string {
  return `{${members.map(([name, printed]) => `${quote(name)}:${printed}`).join(",")}}`;
}

/** A value kept as it was written (json.RawMessage) and printed: without blanks, HTML escaped. */
export function compact(raw: string): string {
  const withoutBlanks = raw.replace(/("(?:[^"\\]|\\.)*")|[ \t\r\n]+/g, (_, text: string | undefined) => text ?? "");
  return withoutBlanks.replace(/[<>&\u2028\u2029]/g, escaped);
}

export function quote(text: string): string {
  const special = /["\\<>&\u2028\u2029]|[^\u0020-\uffff]/g;
  return `"${text.replace(special, (character) => short(character) ?? escaped(character))}"`;
}

function short(character: string): string | undefined {
  const index = '"\\\b\f\n\r\t'.indexOf(character);
  return index < 0 ? undefined : `\\${'"\\bfnrt'[index]}`;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function byName([a]: readonly [string, Json], [b]: readonly [string, Json]): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
