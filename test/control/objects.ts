// Documents for tests.

import type { Pool } from "../../src/control/kinds/object.ts";

export function podYaml(
  name: string,
  ip: string,
  more: {
    readonly ready?: boolean;
    readonly app?: string;
    readonly engine?: string;
    /** The port that is active; all are otherwise. */
    readonly port?: number;
  } = {},
): string {
  const { ready = true, app = "m", engine, port } = more;
  return [
    "apiVersion: v1",
    "kind: Pod",
    "metadata:",
    `  name: ${name}`,
    "  labels:",
    `    app: ${app}`,
    ...(engine === undefined ? [] : [`    llm-d.ai/engine-type: ${engine}`]),
    ...(port === undefined ? [] : ["  annotations:", `    llm-d.ai/active-ports: "${port}"`]),
    "status:",
    `  podIP: ${ip}`,
    "  conditions:",
    "    - type: Ready",
    `      status: "${ready ? "True" : "False"}"`,
    "",
  ].join("\n");
}

export function poolYaml(name: string, ports: readonly number[], app = "m"): string {
  return [
    "apiVersion: inference.networking.k8s.io/v1",
    "kind: InferencePool",
    "metadata:",
    `  name: ${name}`,
    "spec:",
    "  selector:",
    "    matchLabels:",
    `      app: ${app}`,
    "  targetPorts:",
    ...ports.map((port) => `    - number: ${port}`),
    "",
  ].join("\n");
}

/** A pool in its internal form. */
export function pool(name: string, appProtocol: Pool["appProtocol"] = "http"): Pool {
  return {
    kind: "InferencePool",
    namespace: "default",
    name,
    matchLabels: { app: "m" },
    targetPorts: [8000],
    appProtocol,
    failureMode: "FailClose",
  };
}
