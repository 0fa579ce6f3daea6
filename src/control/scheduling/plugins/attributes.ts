// Custom metrics in parameters: which attribute a filter or scorer goes by.

import type { Value } from "../document.ts";
import type { Parameters, Surroundings } from "./plugin.ts";
import { unlisted } from "./references.ts";

const EXTRACTOR = "core-metrics-extractor";

/** The name of a custom metric, and where a step says it. */
export type Attribute = { readonly name: string; readonly at: Value };

/** The attribute under the parameter `name`. Undefined after complaints. */
export function attributeOf(parameters: Parameters, name: string, surroundings: Surroundings): Attribute | undefined {
  const value = parameters.require(name, "the attributeKey of a custom metric");
  const attribute = value?.text();
  const producerValue = parameters.get("producer");
  const producer = producerValue?.text();
  if (value === undefined || attribute === undefined) return undefined;
  if (attribute === "") return value.expected("the attributeKey of a custom metric");
  if (producerValue === undefined || producer === "") {
    if (!attribute.includes("/")) return { name: attribute, at: value };
    const cut = attribute.lastIndexOf("/");
    const split = `${name}: ${attribute.slice(0, cut)} and producer: ${attribute.slice(cut + 1)}`;
    value.error(`expected ${split}, or a producer for a name with a slash`);
    return undefined;
  }
  if (producer === undefined) return undefined;
  const found = surroundings.named(producer);
  if (producer === EXTRACTOR || found?.type === EXTRACTOR) return { name: attribute, at: value };
  if (found?.plugin?.role === "missing") producerValue.error(`${producer}: ${found.plugin.why}`);
  else if (found === undefined) unlisted(producerValue, producer, [...surroundings.names(), EXTRACTOR]);
  else if (found.isKnown) producerValue.expected(`${EXTRACTOR}, the only producer of attributes so far`);
  return undefined;
}
