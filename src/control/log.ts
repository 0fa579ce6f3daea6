// The agent's log: one JSON object per line.

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, unknown>>;
/** Writes one line. `fields` must be JSON values; they stand beside `time`, `level` and `message`. */
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** A log that drops what ranks below `lowest` and hands every other line, with its newline, to `write`. */
export function jsonLog(lowest: LogLevel, write: (line: string) => void): Log {
  return (level, message, fields) => {
    if (RANK[level] < RANK[lowest]) return;
    write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
  };
}
