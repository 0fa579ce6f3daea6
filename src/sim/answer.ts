// What the simulated server says, in OpenAI's shapes as vLLM fills them.

import type { ApiError, InferenceRequest } from "./request.ts";

/** Words of a token's length, so that an answer put into the next prompt weighs what it counted. */
const WORDS = [" the", " sea", " lay", " dim", " and", " low", " red", " sun"];

export function errorJson(error: ApiError): string {
  const { message, type, param, status } = error;
  return JSON.stringify({ error: { message, type, param, code: status } });
}

export function modelsJson(model: string, loras: readonly string[], maxModelTokens: number, created: number): string {
  const card = (id: string, parent: string | null) => ({
    id,
    object: "model",
    created,
    owned_by: "vllm",
    root: id,
    parent,
    max_model_len: parent === null ? maxModelTokens : null,
    permission: [],
  });
  return JSON.stringify({ object: "list", data: [card(model, null), ...loras.map((lora) => card(lora, model))] });
}

/** The answer of a request that does not stream. `created` in seconds of Unix time. */
export function answerJson(request: InferenceRequest, id: string, created: number, cachedTokens: number): string {
  const text = answerText(request.answerTokens);
  const choice = (index: number) => ({
    index,
    ...(request.kind === "chat" ? { message: { role: "assistant", content: text } } : { text }),
    logprobs: null,
    finish_reason: request.finish,
    stop_reason: null,
  });
  const choices = Array.from({ length: request.choices }, (_, index) => choice(index));
  const object = request.kind === "chat" ? "chat.completion" : "text_completion";
  const usage = usageOf(request, cachedTokens);
  return JSON.stringify({ id, object, created, model: request.model, choices, usage });
}

/** One streamed answer: turns tokens into server-sent events. */
export class EventStream {
  readonly #request: InferenceRequest;
  /** Everything of an event before its choices. */
  readonly #head: string;
  #sent = 0;

  constructor(request: InferenceRequest, id: string, created: number) {
    this.#request = request;
    const object = request.kind === "chat" ? "chat.completion.chunk" : "text_completion";
    const head = JSON.stringify({ id, object, created, model: request.model });
    this.#head = `data: ${head.slice(0, -1)},"choices":[`;
  }

  /** The events of the next `count` tokens; with the last also the usage, if asked for, and the end mark. */
  next(count: number, done: boolean, cachedTokens: number): string {
    let events =
      this.#sent === 0 && this.#request.kind === "chat"
        ? this.#each('"delta":{"role":"assistant","content":""}', null)
        : "";
    for (let i = 1; i <= count; i += 1) {
      const word = words(this.#sent, 1);
      this.#sent += 1;
      const content = this.#request.kind === "chat" ? `"delta":{"content":"${word}"}` : `"text":"${word}"`;
      events += this.#each(content, done && i === count ? this.#request.finish : null);
    }
    if (!done) return events;
    if (this.#request.includeUsage) {
      events += `${this.#head}],"usage":${JSON.stringify(usageOf(this.#request, cachedTokens))}}\n\n`;
    }
    return `${events}data: [DONE]\n\n`;
  }

  #each(content: string, finish: string | null): string {
    let events = "";
    for (let index = 0; index < this.#request.choices; index += 1) {
      const reason = JSON.stringify(finish);
      events += `${this.#head}{"index":${index},${content},"logprobs":null,"finish_reason":${reason}}]}\n\n`;
    }
    return events;
  }
}

/** What an answer of this length says: each says the same. */
export function answerText(tokens: number): string {
  return words(0, tokens);
}

function usageOf(request: InferenceRequest, cachedTokens: number): object {
  const answered = request.answerTokens * request.choices;
  return {
    prompt_tokens: request.prompt.tokens,
    total_tokens: request.prompt.tokens + answered,
    completion_tokens: answered,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

function words(from: number, count: number): string {
  let text = "";
  for (let i = from; i < from + count; i += 1) text += WORDS[i % WORDS.length];
  return text;
}
