// The command `pointsman sim`: its options and what they start.

import { type Address, formatAddress, parseAddress } from "../envoy/address.ts";
import { type Sim, type SimOptions, startSim } from "./server.ts";

/** For node:util.parseArgs. `description` and `placeholder` are for the help text. */
export const simOptions = {
  listen: { type: "string", placeholder: "IP:PORT", description: "address to serve on (default 127.0.0.1:8000)" },
  name: { type: "string", placeholder: "NAME", description: "what x-sim-name says (default the address)" },
  model: { type: "string", placeholder: "NAME", description: "model served (default sim)" },
  loras: { type: "string", placeholder: "A,B", description: "LoRA adapters served" },
  "max-loras": { type: "string", placeholder: "N", description: "adapters in memory at once (default 4)" },
  "lora-load-ms": { type: "string", placeholder: "MS", description: "time to load an adapter (default 200)" },
  "max-running": { type: "string", placeholder: "N", description: "sequences that compute at once (default 64)" },
  blocks: { type: "string", placeholder: "N", description: "KV memory in blocks (default 8192)" },
  "block-size": { type: "string", placeholder: "TOKENS", description: "tokens in a block (default 16)" },
  "max-model-tokens": { type: "string", placeholder: "N", description: "prompt and answer (default: the KV memory)" },
  "answer-tokens": { type: "string", placeholder: "N", description: "length of unbounded answers (default 64)" },
  "start-ms": {
    type: "string",
    placeholder: "MS",
    description: "from admission to prefill (default 0)",
  },
  "prefill-tokens-per-s": { type: "string", placeholder: "N", description: "prompt speed (default 20000)" },
  "decode-tokens-per-s": { type: "string", placeholder: "N", description: "speed of one answer (default 50)" },
  "decode-slowdown": { type: "string", placeholder: "0…0.95", description: "loss when all slots run (default 0.3)" },
  "idle-close-ms": { type: "string", placeholder: "MS", description: "close idle connections; 0 never (default 5000)" },
  http2: { type: "boolean", description: "HTTP/2 without TLS (prior knowledge) in place of HTTP/1" },
} as const;

/** What parseArgs makes of `simOptions`. */
export type SimValues = {
  readonly [Name in keyof typeof simOptions]?: (Name extends "http2" ? boolean : string) | undefined;
};

/**
 * Starts the server that the options describe. Rejects with a sentence: a RangeError that names the option
 * when its value is bad, an Error when the address can't be listened on.
 */
export async function runSim(values: SimValues): Promise<Sim> {
  const options = {
    listen: address(values.listen ?? "127.0.0.1:8000"),
    name: values.name,
    model: values.model,
    loras: values.loras?.split(",").filter((lora) => lora !== ""),
    maxLoras: number(values, "max-loras", 1),
    loraLoadMs: number(values, "lora-load-ms", 0),
    maxRunning: number(values, "max-running", 1),
    blocks: number(values, "blocks", 2),
    blockSize: number(values, "block-size", 1),
    maxModelTokens: number(values, "max-model-tokens", 2),
    answerTokens: number(values, "answer-tokens", 1),
    startMs: number(values, "start-ms", 0),
    prefillTokensPerS: number(values, "prefill-tokens-per-s", 1),
    decodeTokensPerS: number(values, "decode-tokens-per-s", 1),
    decodeSlowdown: share(values["decode-slowdown"]),
    idleCloseMs: number(values, "idle-close-ms", 0),
    http2: values.http2,
  };
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  try {
    return await startSim(given as SimOptions);
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === "EADDRINUSE" ? "the port is in use" : (error as Error).message;
    throw new Error(`--listen ${formatAddress(options.listen)}: ${why}`);
  }
}

type NumberName = Exclude<keyof typeof simOptions, "http2">;

function number(values: SimValues, name: NumberName, min: number): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text) && Number(text) >= min) return Number(text);
  throw new RangeError(`--${name}: ${JSON.stringify(text)} is not a whole number of at least ${min}`);
}

function share(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^0(\.\d+)?$/.test(text) && Number(text) <= 0.95) return Number(text);
  throw new RangeError(`--decode-slowdown: ${JSON.stringify(text)} is not a number between 0 and 0.95`);
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed !== undefined) return parsed;
  throw new RangeError(`--listen: ${JSON.stringify(text)} is not an IP:PORT, such as 127.0.0.1:8000 or [::1]:8000`);
}
