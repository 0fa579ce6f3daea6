// Text without meaning but of a chosen length, the same for the same seed.

const WORDS =
  "anchor basin cedar delta ember fjord gravel hazel indigo jetty kelp ledge mortar nickel oxide pewter quarry " +
  "resin slate tundra umber vellum willow yarrow zinc alder birch cobalt";
const VOCABULARY = WORDS.split(" ");

export class Words {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  /** From 0 to 1, without 1. */
  share(): number {
    return this.#random();
  }

  /** A whole number, both ends included. */
  between([from, to]: readonly [number, number]): number {
    return from + Math.floor(this.#random() * (to - from + 1));
  }

  /** Positive, of this mean, most often small: what lies between events that know nothing of each other. */
  gap(mean: number): number {
    return -Math.log(1 - this.#random()) * mean;
  }

  text(bytes: number): string {
    const words: string[] = [];
    for (let length = 0; length < bytes; length += words.at(-1)!.length + 1) {
      words.push(VOCABULARY[this.between([0, VOCABULARY.length - 1])]!);
    }
    return words.join(" ").slice(0, bytes);
  }
}

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
