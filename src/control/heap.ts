// The text that rows of a snapshot point into.

export type Place = { readonly offset: number; readonly length: number };

/** Equal texts are kept once. */
export class Heap {
  readonly #parts: Buffer[] = [];
  readonly #places = new Map<string, Place>();
  length = 0;

  place(text: string): Place {
    const known = this.#places.get(text);
    if (known) return known;
    const bytes = Buffer.from(text, "utf8");
    const place = { offset: this.length, length: bytes.length };
    this.#parts.push(bytes);
    this.#places.set(text, place);
    this.length += bytes.length;
    return place;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Reads texts back. The first that cannot be read is kept in `wrong`. */
export class HeapReader {
  readonly #heap: Buffer;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  wrong: string | undefined;

  constructor(heap: Buffer) {
    this.#heap = heap;
  }

  text(what: string, offset: number, length: number, most: number): string {
    const end = offset + length;
    if (length > most) this.wrong ??= `${what} has ${length} bytes, expected at most ${most}`;
    else if (end > this.#heap.length)
      this.wrong ??= `${what} lies at ${offset}…${end} of a heap of ${this.#heap.length} bytes`;
    else {
      try {
        return this.#utf8.decode(this.#heap.subarray(offset, end));
      } catch {
        this.wrong ??= `${what} is not UTF-8`;
      }
    }
    return "";
  }
}
