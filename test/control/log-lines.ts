// A log that keeps its lines.

import type { Log, LogFields, LogLevel } from "../../src/control/log.ts";

export type Line = { readonly level: LogLevel; readonly message: string; readonly fields: LogFields };

export function logLines(): { readonly log: Log; readonly lines: Line[] } {
  const lines: Line[] = [];
  return { lines, log: (level, message, fields = {}) => lines.push({ level, message, fields }) };
}
