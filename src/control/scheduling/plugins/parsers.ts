// Parsers: which APIs are read. Paths of others pass unread, be passthrough-parser named or not.

import * as p from "../../../wire/program.ts";
import type { PluginType } from "./plugin.ts";

/** `apis` is a bit mask. */
type ParserType = PluginType & { readonly apis: number };

function parser(...numbers: readonly number[]): ParserType {
  const apis = numbers.reduce((bits, api) => bits | (1 << api), 0);
  return { apis, parameters: [], read: () => ({ role: "parser", apis }) };
}

export const PARSERS: Readonly<Record<string, ParserType>> = {
  "openai-parser": parser(
    p.API_CHAT,
    p.API_COMPLETIONS,
    p.API_EMBEDDINGS,
    p.API_RESPONSES,
    p.API_CONVERSATIONS,
    p.API_IMAGES,
  ),
  "anthropic-parser": parser(p.API_MESSAGES),
  "vllmhttp-parser": parser(p.API_VLLM_GENERATE),
  "sglanghttp-parser": parser(p.API_SGLANG_GENERATE),
  "passthrough-parser": parser(),
};
