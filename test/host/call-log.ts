// What a module did: one entry per callback and per host call, when somebody asked for it. Counting
// goes on always; it is what a request costs.

export interface CallbackEntry {
  readonly kind: "callback";
  readonly name: string;
  readonly args: readonly number[];
  /** What the callback returned; undefined when it returns nothing or trapped. */
  result: number | undefined;
}

export interface HostCallEntry {
  readonly kind: "call";
  readonly name: string;
  readonly args: readonly (string | number)[];
  readonly status: number;
  /** What the host handed back, readable: text, a number, or "<N bytes>". */
  readonly value: string | undefined;
}

export type LogEntry = CallbackEntry | HostCallEntry;

const READABLE_MAX = 200;

/** Text when the bytes are short and printable ASCII, their number otherwise. */
export function readable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  return bytes.length <= READABLE_MAX && /^[\x20-\x7e\n]*$/.test(text) ? text : `<${bytes.length} bytes>`;
}

export class CallLog {
  /** Entries are kept only while this is true. */
  recording = false;
  entries: LogEntry[] = [];
  /** Host calls since the module was loaded. */
  total = 0;
  private readonly counts = new Map<string, number>();

  count(name: string): void {
    this.total++;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  /** How often that host function was called since the module was loaded. */
  countOf(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  /** The entries so far; the log is empty afterwards. */
  take(): LogEntry[] {
    const taken = this.entries;
    this.entries = [];
    return taken;
  }
}
