// A ConfigMap as where the text of the EndpointPickerConfig comes from. Somebody else watches it and says here what it
// is now. Only `data` counts: `binaryData` holds no YAML.

import { isDeepStrictEqual } from "node:util";
import * as v from "valibot";
import { check, mapping, maybe, text } from "../kinds/schema.ts";
import type { Log } from "../log.ts";
import { ConfigDocument, type ConfigText, type Mistake } from "../scheduling/config-document.ts";

/** Counts where no key was asked for and there are several: what the reference's charts call it. */
const KEY_DEFAULT = "config.yaml";

export type ConfigMapRef = {
  readonly namespace: string;
  readonly name: string;
  /** Of `data`. By default the only key there, else config.yaml. */
  readonly key?: string | undefined;
};

export type ConfigMapOptions = {
  readonly ref: ConfigMapRef;
  readonly log: Log;
  /** Called when the text, or a file that it names, has been read again. */
  readonly onChange: () => void;
};

const configMap = mapping({ data: maybe(v.record(text, text, "a mapping of keys to texts")) });

export class ConfigMapSource {
  readonly #ref: ConfigMapRef;
  readonly document: ConfigDocument;
  /** Undefined until it is known whether there is a ConfigMap. */
  #found: ConfigText | undefined;

  constructor({ ref, log, onChange }: ConfigMapOptions) {
    this.#ref = ref;
    this.document = new ConfigDocument({ log, text: () => this.#found!, onChange });
  }

  /** What the API server has: the object as it came from there, or undefined when there is none. */
  setObject(raw: unknown): void {
    const found = textOf(this.#ref, raw);
    if (isDeepStrictEqual(found, this.#found)) return;
    this.#found = found;
    this.document.readAgain();
  }

  /** Why no document has been in force yet; undefined when one is. */
  awaited(): Mistake | undefined {
    if (this.document.scheduling !== undefined) return undefined;
    return this.document.errors[0] ?? { place: placeOf(this.#ref), message: "has not been read yet" };
  }
}

function placeOf({ namespace, name }: ConfigMapRef): string {
  return `ConfigMap ${namespace}/${name}`;
}

function textOf(ref: ConfigMapRef, raw: unknown): ConfigText {
  const place = placeOf(ref);
  if (raw === undefined) return { place, message: "not found, expected one with an EndpointPickerConfig as its data" };
  const checked = check(configMap, raw);
  if (!checked.ok) return { place, message: checked.misfit.reason };
  const data = checked.value.data ?? {};
  const keys = Object.keys(data).sort();
  const key = ref.key ?? (keys.length === 1 ? keys[0]! : KEY_DEFAULT);
  if (Object.hasOwn(data, key)) return { place: `${place}, key ${key}`, text: data[key]! };
  const expected = ref.key === undefined ? `one key, or ${key} among several` : `key ${key}`;
  const given = keys.length === 0 ? "none" : keys.join(", ");
  return { place, message: `data: expected ${expected}, found ${given}` };
}
