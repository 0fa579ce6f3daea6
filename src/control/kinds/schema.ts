// Pieces of schema that every kind uses. A schema's message is the phrase that follows "expected" in an error.

import * as v from "valibot";
import type { PoolRef } from "./object.ts";

/** A value that does not fit: where in the document, and a sentence that says what was expected. */
export type Misfit = { readonly path: readonly (string | number)[]; readonly reason: string };
export type Converted<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly misfit: Misfit };

export const text = v.string("text (put numbers, true and false in quotes)");

function phraseOf(schema: unknown): string | undefined {
  const message = (schema as { message?: unknown } | undefined)?.message;
  return typeof message === "string" ? message : undefined;
}

/** A mapping. A missing member is described by that member's own phrase. Members not named here are left alone. */
export function mapping<const Entries extends v.ObjectEntries>(entries: Entries) {
  return v.object(entries, (issue) => {
    const member = issue.path?.at(-1)?.key;
    const missing = issue.input === undefined && typeof member === "string" && issue.expected === `"${member}"`;
    return (missing && phraseOf(entries[member])) || "a mapping";
  });
}

/** Absent and null mean the same, as in the Kubernetes API. */
export function maybe<const Schema extends v.GenericSchema>(schema: Schema) {
  return v.nullish(schema);
}

const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const namePhrase = "a name of lower-case letters, digits, '-' and '.', at most 253 long";
const namespacePhrase = "a namespace of lower-case letters, digits and '-', at most 63 long";

const groupPhrase = "an API group such as inference.networking.k8s.io";
const kindPhrase = "a kind such as InferencePool";
const kindName = /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/;

export const objectName = v.pipe(v.string(namePhrase), v.maxLength(253, namePhrase), v.regex(dnsSubdomain, namePhrase));
export const objectNamespace = v.pipe(
  v.string(namespacePhrase),
  v.maxLength(63, namespacePhrase),
  v.regex(dnsLabel, namespacePhrase),
);
export const NAMESPACE_DEFAULT = "default";

const portPhrase = "a port number from 1 to 65535";
export const portNumber = v.pipe(
  v.number(portPhrase),
  v.integer(portPhrase),
  v.minValue(1, portPhrase),
  v.maxValue(65_535, portPhrase),
);

const labelsPhrase = "a mapping of label names to label values";
export const labels = v.record(text, text, labelsPhrase);

/** Every object has these. */
export const metadata = mapping({ name: objectName, namespace: maybe(objectNamespace) });

const timePhrase = "a time such as 2026-01-31T12:00:00Z";
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const time = v.pipe(
  v.string(timePhrase),
  v.check((value) => rfc3339.test(value) && !Number.isNaN(Date.parse(value)), timePhrase),
);
/** Of objects whose age counts. */
export const datedMetadata = mapping({ ...metadata.entries, creationTimestamp: maybe(time) });

/** Who an object is, and since when. */
export function identityOf({ name, namespace, creationTimestamp }: v.InferOutput<typeof datedMetadata>) {
  const createdMs = typeof creationTimestamp === "string" ? Date.parse(creationTimestamp) : undefined;
  return { namespace: namespace ?? NAMESPACE_DEFAULT, name, createdMs };
}

/** What every object about models has: which pool it is for. */
export const poolRef = mapping({
  group: maybe(
    v.pipe(
      v.string(groupPhrase),
      v.maxLength(253, groupPhrase),
      v.check((group) => group === "" || dnsSubdomain.test(group), groupPhrase),
    ),
  ),
  kind: maybe(v.pipe(v.string(kindPhrase), v.maxLength(63, kindPhrase), v.regex(kindName, kindPhrase))),
  name: objectName,
});

/** An empty group is one that is left out. */
export function poolRefOf({ group, kind, name }: v.InferOutput<typeof poolRef>): PoolRef {
  return { group: group || undefined, kind: kind ?? "InferencePool", name };
}

function shown(input: unknown): string {
  if (input === undefined) return "nothing";
  const json = JSON.stringify(input);
  return json.length > 60 ? `${json.slice(0, 57)}...` : json;
}

/** Checks `input`; the first thing that does not fit becomes a Misfit. */
export function check<const Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
): Converted<v.InferOutput<Schema>> {
  const result = v.safeParse(schema, input, { abortEarly: true });
  if (result.success) return { ok: true, value: result.output };
  const issue = result.issues[0];
  const path = (issue.path ?? []).map((item) => item.key as string | number);
  return { ok: false, misfit: misfit(path, issue.message, issue.input) };
}

export function misfit(path: readonly (string | number)[], expected: string, input: unknown): Misfit {
  const where = path.map((key, i) => (typeof key === "number" ? `[${key}]` : i === 0 ? key : `.${key}`)).join("");
  return { path, reason: `${where || "document"}: expected ${expected}, found ${shown(input)}` };
}
