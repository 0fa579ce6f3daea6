// One chat as its client holds it: every request carries all that was said so far.

interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export class Conversation {
  readonly #messages: Message[];

  constructor(system: string) {
    this.#messages = [{ role: "system", content: system }];
  }

  /** Questions asked so far. */
  get turns(): number {
    return this.#messages.filter(({ role }) => role === "user").length;
  }

  /** The body of the next request, with `fields` beside the messages. */
  ask(question: string, fields: object): string {
    this.#messages.push({ role: "user", content: question });
    return JSON.stringify({ messages: this.#messages, ...fields });
  }

  hear(answer: string): void {
    this.#messages.push({ role: "assistant", content: answer });
  }
}
