// What the request scanner must find in a body, by the slow and obvious way: decode all of it, parse
// all of it, look at the result. Written from the specification, never from the filter.

import { JSON_DEPTH_MAX, MODEL_BYTES_MAX } from "../../src/wire/limits.ts";

export type ScanOutcome = "ok" | "not-json" | "too-deep" | "not-object" | "no-model";

export interface ScanResult {
  readonly outcome: ScanOutcome;
  /** Text of `model`; undefined unless ok, and when it is longer than MODEL_BYTES_MAX. */
  readonly model: string | undefined;
  /** True only for the literal true. */
  readonly stream: boolean;
  /** Of a chat request: max_completion_tokens, else max_tokens, whole numbers from 0 to 2³¹ − 1. */
  readonly maxOutput: number | undefined;
}

/** Reads a whole body. */
export function scan(body: Uint8Array): ScanResult {
  if (isTooDeep(body)) return refused("too-deep");
  const value = parse(body);
  if (value === undefined) return refused("not-json");
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refused("not-object");
  const members = value as Record<string, unknown>;
  const own = (name: string): unknown => (Object.hasOwn(members, name) ? members[name] : undefined);
  const model = own("model");
  return {
    outcome: typeof model === "string" ? "ok" : "no-model",
    model: typeof model === "string" && Buffer.byteLength(model) <= MODEL_BYTES_MAX ? model : undefined,
    stream: own("stream") === true,
    maxOutput: tokenLimit(own("max_completion_tokens")) ?? tokenLimit(own("max_tokens")),
  };
}

function refused(outcome: ScanOutcome): ScanResult {
  return { outcome, model: undefined, stream: false, maxOutput: undefined };
}

/** undefined when the bytes are not UTF-8 or not JSON; no JSON value is undefined. */
function parse(body: Uint8Array): unknown {
  try {
    // A byte order mark stays in the text, where JSON.parse refuses it.
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
  } catch {
    return undefined;
  }
}

function tokenLimit(value: unknown): number | undefined {
  if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
  return value >= 0 && value <= 0x7fffffff ? value + 0 : undefined;
}

/** Whether the text nests deeper than allowed before anything else is wrong with it. */
function isTooDeep(body: Uint8Array): boolean {
  const closers: string[] = [];
  let inString = false;
  for (let at = 0; at < body.length; at++) {
    const character = String.fromCharCode(body[at]!);
    if (inString) {
      if (character === "\\") at++;
      else if (character === '"') inString = false;
    } else if (character === '"') {
      inString = true;
    } else if (character === "{" || character === "[") {
      // With a number in place of this bracket, and everything closed, the text so far must be JSON.
      if (closers.length === JSON_DEPTH_MAX) {
        const rest = `0${closers.toReversed().join("")}`;
        return parse(Buffer.concat([body.subarray(0, at), Buffer.from(rest)])) !== undefined;
      }
      closers.push(character === "{" ? "}" : "]");
    } else if (character === "}" || character === "]") {
      closers.pop();
    }
  }
  return false;
}
