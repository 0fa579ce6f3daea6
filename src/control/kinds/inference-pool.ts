// InferencePool inference.networking.k8s.io/v1, and inference.networking.x-k8s.io/v1alpha2 that it was before.

import * as v from "valibot";
import { TARGET_PORTS_MAX } from "../../wire/limits.ts";
import type { Pool } from "./object.ts";
import { type Converted, check, mapping, maybe, metadata, NAMESPACE_DEFAULT, portNumber, text } from "./schema.ts";

const MATCH_LABELS_MAX = 64;
const matchLabelsPhrase = `1 to ${MATCH_LABELS_MAX} labels that a pod must carry`;
const portsPhrase = `a list of 1 to ${TARGET_PORTS_MAX} entries such as {number: 8000}, each number once`;

const targetPorts = v.pipe(
  v.array(mapping({ number: portNumber }), portsPhrase),
  v.minLength(1, portsPhrase),
  v.maxLength(TARGET_PORTS_MAX, portsPhrase),
  v.check((ports) => new Set(ports.map((port) => port.number)).size === ports.length, portsPhrase),
);

const matchLabels = v.pipe(
  v.record(text, text, matchLabelsPhrase),
  v.minEntries(1, matchLabelsPhrase),
  v.maxEntries(MATCH_LABELS_MAX, matchLabelsPhrase),
);

const failureMode = maybe(v.picklist(["FailOpen", "FailClose"], "FailOpen or FailClose"));
/** The picker is the filter itself: the name only tells whose pool it is. */
const endpointPickerRef = mapping({ name: maybe(text), failureMode });
const extensionRef = mapping({ name: maybe(text), failureMode, portNumber: maybe(portNumber) });

const schemaV1 = mapping({
  metadata,
  spec: mapping({
    selector: mapping({ matchLabels }),
    targetPorts,
    appProtocol: maybe(v.picklist(["http", "kubernetes.io/h2c"], "http or kubernetes.io/h2c")),
    endpointPickerRef: maybe(endpointPickerRef),
  }),
});

const schemaV1alpha2 = mapping({
  metadata,
  spec: mapping({ selector: matchLabels, targetPortNumber: portNumber, extensionRef: maybe(extensionRef) }),
});

/** Converts a parsed document. */
export function inferencePoolV1(document: unknown): Converted<Pool> {
  const checked = check(schemaV1, document);
  if (!checked.ok) return checked;
  const { metadata: meta, spec } = checked.value;
  return {
    ok: true,
    value: {
      kind: "InferencePool",
      namespace: meta.namespace ?? NAMESPACE_DEFAULT,
      name: meta.name,
      matchLabels: spec.selector.matchLabels,
      targetPorts: spec.targetPorts.map((port) => port.number),
      appProtocol: spec.appProtocol === "kubernetes.io/h2c" ? "h2c" : "http",
      failureMode: spec.endpointPickerRef?.failureMode ?? "FailClose",
      picker: spec.endpointPickerRef?.name ?? undefined,
    },
  };
}

/** Converts a parsed document. */
export function inferencePoolV1alpha2(document: unknown): Converted<Pool> {
  const checked = check(schemaV1alpha2, document);
  if (!checked.ok) return checked;
  const { metadata: meta, spec } = checked.value;
  return {
    ok: true,
    value: {
      kind: "InferencePool",
      namespace: meta.namespace ?? NAMESPACE_DEFAULT,
      name: meta.name,
      matchLabels: spec.selector,
      targetPorts: [spec.targetPortNumber],
      appProtocol: "http",
      failureMode: spec.extensionRef?.failureMode ?? "FailClose",
      picker: spec.extensionRef?.name ?? undefined,
    },
  };
}
