// What of a file's new reading takes force, and what of its last good state stays.
//
// A broken document that says which object it is (kind, namespace, name) keeps that object as it was. One that does
// not say it could be any of those that no other document of the file names: all of them stay until it can be read.
// So nothing is removed because of a typing error.

import { type ConfigObject, isCalled } from "../kinds/object.ts";
import type { DocumentState } from "./documents.ts";
import type { Problem } from "./folder.ts";

/** An object in force with the line where its document starts. */
export type Held = { readonly object: ConfigObject; readonly line: number };

type Broken = Extract<DocumentState, { status: "broken" }>;

/** `previous` is what the file held before, by key. */
export function takeOver(
  file: string,
  previous: ReadonlyMap<string, Held>,
  documents: readonly DocumentState[],
): { readonly held: ReadonlyMap<string, Held>; readonly problems: readonly Problem[] } {
  const held = new Map<string, Held>();
  const problems: Problem[] = [];
  for (const document of documents) {
    if (document.status !== "good") continue;
    const { key, line, object } = document;
    const first = held.get(key);
    if (first === undefined) held.set(key, { object, line });
    else
      problems.push({
        status: "second",
        file,
        line,
        reason: `${key} is already defined in line ${first.line}, which counts`,
        key,
        kept: [],
      });
  }
  const nameless: Broken[] = [];
  for (const document of documents) {
    if (document.status !== "broken") continue;
    const { key, line, reason } = document;
    const before = key === undefined ? [] : [...previous].filter(([other]) => isCalled(key, other));
    if (key === undefined || (!document.certain && before.length === 0)) {
      nameless.push(document);
      continue;
    }
    for (const [other, { object }] of before) if (!held.has(other)) held.set(other, { object, line });
    problems.push({ status: "broken", file, line, reason, key, kept: before.map(([other]) => other) });
  }
  const kept = nameless.length === 0 ? [] : [...previous.keys()].filter((key) => !held.has(key));
  for (const key of kept) held.set(key, previous.get(key)!);
  for (const { line, reason } of nameless)
    problems.push({ status: "broken", file, line, reason, key: undefined, kept });
  return { held, problems };
}
