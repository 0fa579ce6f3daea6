// Writes a value as JSON the way a random client might: blanks, escapes, members in any order.

/** An object by its members: names may repeat, and may be "__proto__". */
export class Members {
  readonly list: readonly (readonly [name: string, value: Spellable])[];

  constructor(list: readonly (readonly [name: string, value: Spellable])[]) {
    this.list = list;
  }
}

export type Spellable = null | boolean | number | string | Members | readonly Spellable[];

/** The value's text. The same seed gives the same spelling. */
export function spell(value: Spellable, seed: number): string {
  return new Speller(seed).value(value);
}

const BLANKS = ["", "", "", "", "", " ", " ", "\n", "\t", "\r\n  "];
const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "/": "\\/",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

class Speller {
  private state: number;
  /** How often a character is escaped that need not be. */
  private readonly escaping: number;
  private readonly hasBlanks: boolean;

  constructor(seed: number) {
    this.state = seed >>> 0;
    this.escaping = [0, 0, 0.02, 0.3][this.below(4)]!;
    this.hasBlanks = this.below(3) > 0;
  }

  value(value: Spellable): string {
    if (value instanceof Members) return this.members(value);
    if (typeof value === "string") return this.string(value);
    if (typeof value === "object" && value !== null)
      return this.list(
        value.map((item) => this.value(item)),
        "[",
        "]",
      );
    return JSON.stringify(value);
  }

  private members({ list }: Members): string {
    const shuffled = list.map((member) => ({ member, key: this.next() })).toSorted((a, b) => a.key - b.key);
    const texts = shuffled.map(({ member: [name, value] }) => {
      return `${this.string(name)}${this.blank()}:${this.blank()}${this.value(value)}`;
    });
    return this.list(texts, "{", "}");
  }

  private list(texts: readonly string[], open: string, close: string): string {
    const separated = texts.map((text, index) => `${index === 0 ? "" : ","}${this.blank()}${text}${this.blank()}`);
    return `${open}${texts.length === 0 ? this.blank() : ""}${separated.join("")}${close}`;
  }

  private string(text: string): string {
    let spelt = '"';
    for (const character of text) spelt += this.character(character);
    return `${spelt}"`;
  }

  private character(character: string): string {
    const mustEscape = character < " " || character === '"' || character === "\\" || !character.isWellFormed();
    if (!mustEscape && this.next() >= this.escaping) return character;
    const short = SHORT[character];
    if (short !== undefined && this.below(4) > 0) return short;
    return Array.from({ length: character.length }, (_, index) => this.hex(character.charCodeAt(index))).join("");
  }

  private hex(unit: number): string {
    const digits = unit.toString(16).padStart(4, "0");
    return `\\u${this.below(2) === 0 ? digits : digits.toUpperCase()}`;
  }

  private blank(): string {
    return this.hasBlanks ? BLANKS[this.below(BLANKS.length)]! : "";
  }

  private below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** 0 … 1, mulberry32. */
  private next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
