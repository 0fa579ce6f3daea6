// The Kubernetes objects that make the demo's servers a pool.

import { stringify } from "yaml";
import type { Address } from "../envoy/address.ts";

const LABELS = { app: "demo" };

/** Pod names in the order of the addresses. */
export function podName(index: number): string {
  return `server-${index + 1}`;
}

/** An InferencePool and a ready Pod per address, as YAML documents. All addresses have one port. */
export function poolYaml(addresses: readonly Address[]): string {
  const pool = {
    apiVersion: "inference.networking.k8s.io/v1",
    kind: "InferencePool",
    metadata: { name: "demo", namespace: "default" },
    spec: {
      selector: { matchLabels: LABELS },
      targetPorts: [{ number: addresses[0]?.port }],
      endpointPickerRef: { name: "pointsman", port: { number: 9002 } },
    },
  };
  const pods = addresses.map((address, index) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: podName(index), namespace: "default", labels: LABELS },
    status: { podIP: address.host, conditions: [{ type: "Ready", status: "True" }] },
  }));
  return [pool, ...pods].map((object) => stringify(object)).join("---\n");
}
