// Lines that change in place on a terminal; on anything else the caller writes what it wants to last.

/** One terminal, or one file. */
export class Screen {
  readonly #out: NodeJS.WriteStream;
  #drawn = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  get live(): boolean {
    return this.#out.isTTY === true;
  }

  get columns(): number {
    return this.live ? (this.#out.columns ?? 80) : 120;
  }

  /** Writes lines that stay. */
  print(...lines: readonly string[]): void {
    this.#drawn = 0;
    this.#out.write(`${lines.join("\n")}\n`);
  }

  /** Writes lines over those drawn last. Longer ones are cut: a wrapped line would shift what is below. */
  draw(lines: readonly string[]): void {
    const up = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\x1b[J`;
    const text = lines.map((line) => line.slice(0, this.columns)).join("\n");
    this.#out.write(`${up}${text}\n`);
    this.#drawn = lines.length;
  }
}
