// One --log-level for Envoy and the agent, with Envoy's names.

import { choice, type Kind } from "./flags.ts";

export type LogLevel = "trace" | "debug" | "info" | "warning" | "error" | "critical" | "off";

export const LOG_LEVEL: Kind<LogLevel> = {
  ...choice("trace", "debug", "info", "warning", "error", "critical", "off"),
  placeholder: "LEVEL",
};

/** The agent's name for the level; undefined when nothing is to be written. */
export function agentLogLevel(level: LogLevel): "debug" | "info" | "warn" | "error" | undefined {
  if (level === "off") return undefined;
  if (level === "trace" || level === "debug") return "debug";
  if (level === "critical" || level === "error") return "error";
  return level === "warning" ? "warn" : "info";
}
