// Pod v1.

import { isIP, SocketAddress } from "node:net";
import * as v from "valibot";
import type { Pod } from "./object.ts";
import { type Converted, check, labels, mapping, maybe, metadata, misfit, NAMESPACE_DEFAULT, text } from "./schema.ts";

/** Current name first, then the alias. */
const ACTIVE_PORTS_ANNOTATIONS = ["llm-d.ai/active-ports", "inference.networking.k8s.io/active-ports"] as const;
const activePortsPhrase = "port numbers separated by commas, such as 8000,8001";

const condition = mapping({
  type: text,
  status: v.picklist(["True", "False", "Unknown"], 'one of the texts "True", "False", "Unknown" (in quotes)'),
});

const schema = mapping({
  metadata: mapping({
    ...metadata.entries,
    labels: maybe(labels),
    annotations: maybe(v.record(text, text, "a mapping of texts")),
    deletionTimestamp: maybe(text),
  }),
  spec: maybe(mapping({ hostname: maybe(text) })),
  status: maybe(
    mapping({
      podIP: maybe(v.pipe(text, v.check(isAddress, "an IPv4 or IPv6 address"))),
      conditions: maybe(v.array(condition, "a list of conditions")),
    }),
  ),
});

function isAddress(ip: string): boolean {
  return ip === "" || (isIP(ip) !== 0 && !ip.includes("%"));
}

/** As Envoy prints it: the text in a destination header must equal the text Envoy knows the host by. */
function canonical(ip: string): string {
  return isIP(ip) === 6 ? new SocketAddress({ address: ip, family: "ipv6" }).address : ip;
}

function portsIn(list: string): number[] | undefined {
  const parts = list.split(",").map((part) => part.trim());
  const ports = parts.map((part) => (/^\d{1,5}$/.test(part) ? Number(part) : 0));
  return ports.every((port) => port >= 1 && port <= 65_535) ? ports : undefined;
}

/**
 * A pod whose list of active ports cannot be read, with the ports that it had before: readiness and deletion count all
 * the same. Undefined when there is more that cannot be read.
 */
export function podWithPortsOf(before: Pod, document: object): Pod | undefined {
  const { metadata } = document as { readonly metadata?: object };
  const converted = podV1({ ...document, metadata: { ...metadata, annotations: undefined } });
  return converted.ok ? { ...converted.value, activePorts: before.activePorts } : undefined;
}

/** Converts a parsed document. */
export function podV1(document: unknown): Converted<Pod> {
  const checked = check(schema, document);
  if (!checked.ok) return checked;
  const { metadata: meta, spec, status } = checked.value;
  const annotation = ACTIVE_PORTS_ANNOTATIONS.find((name) => meta.annotations?.[name] !== undefined);
  const portList = annotation === undefined ? undefined : meta.annotations?.[annotation];
  const activePorts = portList === undefined ? undefined : portsIn(portList);
  if (annotation !== undefined && activePorts === undefined)
    return { ok: false, misfit: misfit(["metadata", "annotations", annotation], activePortsPhrase, portList) };
  const ready = status?.conditions?.some((item) => item.type === "Ready" && item.status === "True") ?? false;
  const deleted = meta.deletionTimestamp !== undefined && meta.deletionTimestamp !== null;
  return {
    ok: true,
    value: {
      kind: "Pod",
      namespace: meta.namespace ?? NAMESPACE_DEFAULT,
      name: meta.name,
      labels: meta.labels ?? {},
      hostname: spec?.hostname || undefined,
      ip: status?.podIP ? canonical(status.podIP) : undefined,
      ready: ready && !deleted,
      activePorts,
    },
  };
}
