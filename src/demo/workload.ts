// The demo's requests: short chats, long prompts and conversations that grow, all streamed, in a random
// but repeatable order.

export type Kind = "chat" | "long" | "turn";

export interface Planned {
  readonly kind: Kind;
  readonly path: string;
  /** JSON */
  readonly body: string;
}

/** Of a hundred requests. The rest are turns of conversations. */
const CHATS = 72;
const LONG = 6;

/** Characters of what is sent, and tokens of what is asked for: from, to. */
const CHAT_CHARS = [120, 600] as const;
const LONG_CHARS = [6_000, 12_000] as const;
const QUESTION_CHARS = [60, 300] as const;
const ANSWER_TOKENS = [16, 48] as const;
const SYSTEM_CHARS = 2_000;

/** Conversations at once, and turns until one is over and another begins. */
const CONVERSATIONS = 40;
const TURNS_MAX = 8;

interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

const WORDS =
  "harbour lantern signal meadow copper station winter ledger bridge orchard compass engine river marble " +
  "canvas timber hollow market beacon garden thunder carbon pencil velvet summit island mirror ribbon";
const VOCABULARY = WORDS.split(" ");

export class Workload {
  readonly #model: string;
  readonly #random: () => number;
  readonly #system: Message;
  readonly #conversations: Message[][];

  constructor(model: string, seed: number) {
    this.#model = model;
    this.#random = randomFrom(seed);
    this.#system = { role: "system", content: this.#text([SYSTEM_CHARS, SYSTEM_CHARS]) };
    this.#conversations = Array.from({ length: CONVERSATIONS }, () => [this.#system]);
  }

  next(): Planned {
    const draw = this.#random() * 100;
    if (draw < CHATS) return this.#plan("chat", [this.#question(CHAT_CHARS)]);
    if (draw < CHATS + LONG) return this.#plan("long", [this.#question(LONG_CHARS)]);
    return this.#turn();
  }

  /** Time until the request after this one, in ms, when `ratePerS` come independently of each other. */
  gapMs(ratePerS: number): number {
    return (-Math.log(1 - this.#random()) * 1000) / ratePerS;
  }

  #turn(): Planned {
    const index = Math.floor(this.#random() * CONVERSATIONS);
    const messages = [...this.#conversations[index]!, this.#question(QUESTION_CHARS)];
    const over = messages.length >= 2 * TURNS_MAX;
    // The load is open: the next turn does not wait for the real answer, so one of its length stands in.
    const answer: Message = { role: "assistant", content: this.#text([64, 192]) };
    this.#conversations[index] = over ? [this.#system] : [...messages, answer];
    return this.#plan("turn", messages);
  }

  #plan(kind: Kind, messages: readonly Message[]): Planned {
    const body = { model: this.#model, messages, max_tokens: this.#between(ANSWER_TOKENS), stream: true };
    return { kind, path: "/v1/chat/completions", body: JSON.stringify(body) };
  }

  #question(chars: readonly [number, number]): Message {
    return { role: "user", content: this.#text(chars) };
  }

  #text(chars: readonly [number, number]): string {
    const length = this.#between(chars);
    let text = "";
    while (text.length < length) text += `${VOCABULARY[Math.floor(this.#random() * VOCABULARY.length)]} `;
    return text.slice(0, length);
  }

  #between([from, to]: readonly [number, number]): number {
    return from + Math.floor(this.#random() * (to - from + 1));
  }
}

/** Numbers from 0 to 1, without 1: xorshift32. */
function randomFrom(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
