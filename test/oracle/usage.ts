// What an answer says of its tokens, by way of JSON.parse: slow, whole, and not how the filter does it.

export interface Usage {
  readonly input?: number;
  readonly output?: number;
  readonly cached?: number;
}

type Json = Readonly<Record<string, unknown>>;

/** Of a JSON document. */
export function usageOfDocument(body: string): Usage {
  return usageOf(parsed(body));
}

/** Of an event stream: what was named last counts. */
export function usageOfEvents(body: string): Usage {
  let usage: Usage = {};
  for (const line of body.split(/[\r\n]/)) {
    if (line.startsWith("data:")) usage = { ...usage, ...usageOf(parsed(line.slice(5))) };
  }
  return usage;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function usageOf(document: unknown): Usage {
  if (!isObject(document)) return {};
  let usage: Usage = {};
  // Members in the order in which they are written.
  for (const [name, value] of Object.entries(document)) {
    if ((name === "usage" || name === "meta_info") && isObject(value)) usage = { ...usage, ...counts(value) };
    if ((name === "response" || name === "message") && isObject(value) && isObject(value.usage)) {
      usage = { ...usage, ...counts(value.usage) };
    }
  }
  return usage;
}

function counts(usage: Json): Usage {
  const found: { input?: number; output?: number; cached?: number } = {};
  const take = (which: keyof Usage, value: unknown): void => {
    const number = countOf(value);
    if (number !== undefined) found[which] = number;
  };
  for (const [name, value] of Object.entries(usage)) {
    if (name === "prompt_tokens" || name === "input_tokens") take("input", value);
    if (name === "completion_tokens" || name === "output_tokens") take("output", value);
    if (name === "cached_tokens" || name === "cache_read_input_tokens") take("cached", value);
    if (name === "prompt_tokens_details" || name === "input_tokens_details") {
      if (isObject(value)) take("cached", value.cached_tokens);
    }
  }
  return found;
}

/** A whole number, or a text of digits; at most 2^32 − 2. */
function countOf(value: unknown): number | undefined {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string" || !/^[0-9]+$/.test(text)) return undefined;
  return Math.min(Number(text), 2 ** 32 - 2);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
