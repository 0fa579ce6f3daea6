// A received body as what the engine needs, or the error that vLLM answers in its place.

import { answerText } from "./answer.ts";
import { blocksAfter, measure, measureTokens, type Prompt } from "./prompt.ts";

export type Kind = "chat" | "completion";

/** What the server serves, to read a request by. */
export interface Served {
  readonly model: string;
  readonly loras: readonly string[];
  readonly blockSize: number;
  /** Prompt and answer together, in tokens. */
  readonly maxModelTokens: number;
  /** Length of an answer that the request does not bound. */
  readonly answerTokens: number;
}

export interface InferenceRequest {
  readonly kind: Kind;
  readonly model: string;
  readonly adapter: string | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly prompt: Prompt;
  readonly answerTokens: number;
  /** Names of the KV blocks that the answer fills. */
  readonly answerBlocks: readonly number[];
  readonly finish: "length" | "stop";
  /** Answers asked for: `n` times the number of prompts. All are the same, computed once. */
  readonly choices: number;
}

/** An answer in OpenAI's shape. */
export interface ApiError {
  readonly status: number;
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
}

export type Parsed = { readonly request: InferenceRequest } | { readonly error: ApiError };

type Fields = Readonly<Record<string, unknown>>;

/** `contentType` undefined: the header was absent, which vLLM takes for JSON. */
export function parseInference(kind: Kind, contentType: string | undefined, body: Buffer, served: Served): Parsed {
  if (contentType !== undefined && !/^application\/([\w.-]+\+)?json\b/i.test(contentType)) {
    return { error: validation("Unsupported Media Type: Only 'application/json' is allowed", null) };
  }
  let fields: unknown;
  try {
    fields = JSON.parse(body.toString("utf8"));
  } catch (error) {
    return {
      error: validation(`{'type': 'json_invalid', 'loc': 'body', 'msg': '${(error as Error).message}'}`, "body"),
    };
  }
  if (!isFields(fields)) return { error: wrongType("body", "a valid dictionary") };
  return parseFields(kind, fields, served);
}

function parseFields(kind: Kind, fields: Fields, served: Served): Parsed {
  // A missing model is the base model, as in vLLM.
  const model = fields.model ?? served.model;
  if (typeof model !== "string") return { error: wrongType("body.model", "a valid string") };
  const adapter = model === served.model ? undefined : model;
  if (adapter !== undefined && !served.loras.includes(adapter)) return { error: unknownModel(model, served) };

  const salt = `${adapter ?? ""}\n${typeof fields.cache_salt === "string" ? fields.cache_salt : ""}`;
  const prompts = kind === "chat" ? chatPrompt(fields, salt, served) : completionPrompts(fields, salt, served);
  if ("error" in prompts) return prompts;
  const { text } = prompts;

  const asked = kind === "chat" ? (fields.max_completion_tokens ?? fields.max_tokens) : fields.max_tokens;
  const bad = badTokenLimit(asked, prompts.prompt.tokens, served);
  if (bad !== undefined) return { error: bad };
  const room = Math.max(1, served.maxModelTokens - prompts.prompt.tokens);
  const bounded = typeof asked === "number";
  const answerTokens = Math.min(bounded ? asked : served.answerTokens, room);
  const options = isFields(fields.stream_options) ? fields.stream_options : {};
  return {
    request: {
      kind,
      model,
      adapter,
      stream: fields.stream === true,
      includeUsage: options.include_usage === true,
      prompt: prompts.prompt,
      answerTokens,
      answerBlocks: text === undefined ? [] : blocksAfter(text, answerText(answerTokens), salt, served.blockSize),
      finish: bounded ? "length" : "stop",
      choices: prompts.count * (typeof fields.n === "number" && fields.n > 1 ? Math.min(fields.n, 128) : 1),
    },
  };
}

/** `text` is what the answer goes on from; undefined where no later prompt can begin with both. */
type Prompts =
  | { readonly prompt: Prompt; readonly text: string | undefined; readonly count: number }
  | { readonly error: ApiError };

function chatPrompt(fields: Fields, salt: string, served: Served): Prompts {
  const { messages } = fields;
  if (messages === undefined) return { error: missing("body.messages") };
  if (!Array.isArray(messages)) return { error: wrongType("body.messages", "a valid list") };
  let text = fields.tools === undefined ? "" : JSON.stringify(fields.tools);
  let images = 0;
  for (const message of messages as readonly unknown[]) {
    if (!isFields(message)) return { error: wrongType("body.messages", "a list of dictionaries") };
    text += `<|${String(message.role)}|>`;
    const parts = Array.isArray(message.content) ? (message.content as readonly unknown[]) : [message.content];
    for (const part of parts) {
      if (typeof part === "string") text += part;
      else if (isFields(part) && typeof part.text === "string") text += part.text;
      else if (isFields(part)) images += 1;
    }
  }
  text += "<|assistant|>";
  return { prompt: measure(text, images, salt, served.blockSize), text, count: 1 };
}

function completionPrompts(fields: Fields, salt: string, served: Served): Prompts {
  const { prompt } = fields;
  if (prompt === undefined) return { error: missing("body.prompt") };
  if (typeof prompt === "string") {
    return { prompt: measure(prompt, 0, salt, served.blockSize), text: prompt, count: 1 };
  }
  if (Array.isArray(prompt) && prompt.length > 0) {
    if (prompt.every((item) => typeof item === "string")) {
      return { prompt: measure(prompt.join("\n"), 0, salt, served.blockSize), text: undefined, count: prompt.length };
    }
    if (prompt.every((item) => Number.isInteger(item))) {
      return { prompt: measureTokens(prompt, salt, served.blockSize), text: undefined, count: 1 };
    }
  }
  return { error: wrongType("body.prompt", "a string, a list of strings or a list of token ids") };
}

function badTokenLimit(asked: unknown, promptTokens: number, served: Served): ApiError | undefined {
  const { maxModelTokens } = served;
  if (asked !== undefined && asked !== null && !Number.isInteger(asked)) {
    return wrongType("body.max_tokens", "a valid integer");
  }
  const limit = typeof asked === "number" ? asked : 1;
  if (limit < 1) {
    return badRequest(
      `max_tokens must be at least 1, got ${limit}. (parameter=max_tokens, value=${limit})`,
      "max_tokens",
    );
  }
  if (promptTokens + 1 > maxModelTokens) {
    return badRequest(
      `This model's maximum context length is ${maxModelTokens} tokens. However, your prompt contains ` +
        `${promptTokens} input tokens. Please reduce the length of the input prompt.`,
      "input_tokens",
    );
  }
  if (limit > maxModelTokens) {
    return badRequest(`max_tokens=${limit} cannot be greater than max_model_len=${maxModelTokens}.`, "max_tokens");
  }
  return undefined;
}

function unknownModel(model: string, served: Served): ApiError {
  const names = [served.model, ...served.loras].join(", ");
  const message = `The model \`${model}\` does not exist. Valid aliases: ${names}.`;
  return { status: 404, message, type: "NotFoundError", param: "model" };
}

function missing(where: string): ApiError {
  return validation(`{'type': 'missing', 'loc': '${where}', 'msg': 'Field required'}`, where);
}

function wrongType(where: string, wanted: string): ApiError {
  return validation(`{'type': 'type_error', 'loc': '${where}', 'msg': 'Input should be ${wanted}'}`, where);
}

function validation(detail: string, param: string | null): ApiError {
  return { status: 400, message: `1 validation error:\n  ${detail}`, type: "Bad Request", param };
}

function badRequest(message: string, param: string): ApiError {
  return { status: 400, message, type: "BadRequestError", param };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
