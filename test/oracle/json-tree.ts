// JSON as a tree that remembers how each value was written. For text that JSON.parse accepts.

export type Json =
  | { readonly kind: "null"; readonly raw: string }
  | { readonly kind: "boolean"; readonly raw: string; readonly value: boolean }
  | { readonly kind: "number"; readonly raw: string; readonly value: number }
  /** Without lone surrogates: each is U+FFFD. */
  | { readonly kind: "string"; readonly raw: string; readonly value: string }
  | { readonly kind: "array"; readonly raw: string; readonly items: readonly Json[] }
  /** Of members of one name, the last. */
  | { readonly kind: "object"; readonly raw: string; readonly members: ReadonlyMap<string, Json> };

/** The tree of `text`; undefined when it is not JSON. */
export function parseTree(text: string): Json | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return new Reader(text).value();
}

const STRING = /"(?:[^"\\]|\\.)*"/y;
const NUMBER = /[-+.0-9eE]+/y;
const WORD = /true|false|null/y;
const BLANK = /[ \t\r\n]*/y;

class Reader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  value(): Json {
    this.take(BLANK);
    const start = this.at;
    const first = this.text[this.at]!;
    if (first === "{") {
      const members = this.members();
      return { kind: "object", raw: this.text.slice(start, this.at), members };
    }
    if (first === "[") {
      const items = this.items();
      return { kind: "array", raw: this.text.slice(start, this.at), items };
    }
    if (first === '"') return this.string();
    if (/[tfn]/.test(first)) return this.word();
    const raw = this.take(NUMBER);
    return { kind: "number", raw, value: Number(raw) };
  }

  private string(): Json & { readonly kind: "string" } {
    const raw = this.take(STRING);
    return { kind: "string", raw, value: (JSON.parse(raw) as string).toWellFormed() };
  }

  private word(): Json {
    const raw = this.take(WORD);
    return raw === "null" ? { kind: "null", raw } : { kind: "boolean", raw, value: raw === "true" };
  }

  private members(): ReadonlyMap<string, Json> {
    const members = new Map<string, Json>();
    this.list("}", () => {
      const name = this.string().value;
      this.take(BLANK);
      this.at++;
      members.set(name, this.value());
    });
    return members;
  }

  private items(): readonly Json[] {
    const items: Json[] = [];
    this.list("]", () => items.push(this.value()));
    return items;
  }

  /** From the opening bracket to behind the closing one, `one` reading each element. */
  private list(close: string, one: () => void): void {
    this.at++;
    this.take(BLANK);
    while (this.text[this.at] !== close) {
      one();
      this.take(BLANK);
      if (this.text[this.at] === ",") this.at++;
      this.take(BLANK);
    }
    this.at++;
  }

  private take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? "";
    this.at += found.length;
    return found;
  }
}
