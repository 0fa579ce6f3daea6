// Producers: what they produce is known here without them, so that listing one only sets its parameters.

import { BLOCK_TOKENS_MIN } from "../../../wire/limits.ts";
import type { Value } from "../document.ts";
import { OUTPUT_DEFAULT, PREFIX_DEFAULT } from "../program.ts";
import { PREFIX_PRODUCER } from "./filters.ts";
import { headerName } from "./headers.ts";
import type { PluginType } from "./plugin.ts";
import { expectProducer } from "./references.ts";

const U32_MAX = 0xffff_ffff;
/** Of the deprecated bound in blocks, which counts when the one in tokens is 0. */
const BLOCKS_TO_MATCH = 2048;

function capacityOf(value: Value | undefined): number {
  const { capacity } = PREFIX_DEFAULT;
  return value?.numberOr({ whole: true, min: 1, max: U32_MAX }, capacity) ?? capacity;
}

const prefixCache: PluginType = {
  parameters: [
    "autoTune",
    "blockSizeTokens",
    "blockSize",
    "maxPrefixBlocksToMatch",
    "maxPrefixTokensToMatch",
    "lruCapacityPerServer",
  ],
  read: (parameters) => {
    const size = (name: string, min: number): number | undefined =>
      parameters.get(name)?.number({ whole: true, min, max: U32_MAX });
    const autoTune = parameters.get("autoTune")?.boolean() ?? true;
    parameters.get("blockSize")?.warn("is deprecated, use blockSizeTokens instead");
    parameters.get("maxPrefixBlocksToMatch")?.warn("is deprecated, use maxPrefixTokensToMatch instead");
    const legacy = size("blockSize", 0) || undefined;
    const wanted = size("blockSizeTokens", autoTune ? 0 : 1) ?? legacy ?? BLOCK_TOKENS_MIN;
    if (wanted < BLOCK_TOKENS_MIN && wanted > 0)
      (parameters.get("blockSizeTokens") ?? parameters.get("blockSize"))?.warn(
        `blocks have at least ${BLOCK_TOKENS_MIN} tokens, ${wanted} counts as that`,
      );
    const maxTokens = size("maxPrefixTokensToMatch", 0) ?? PREFIX_DEFAULT.maxTokens;
    const maxBlocks = size("maxPrefixBlocksToMatch", 0) ?? BLOCKS_TO_MATCH;
    return {
      role: "data",
      prefix: {
        always: true,
        autoTune,
        blockSize: Math.max(BLOCK_TOKENS_MIN, wanted),
        capacity: capacityOf(parameters.get("lruCapacityPerServer")),
        maxTokens,
        maxBlocks: maxTokens === 0 ? maxBlocks : 0,
      },
    };
  },
};

const inFlightLoad: PluginType = {
  parameters: [
    "addEstimatedOutputTokens",
    "outputRatio",
    "maxEstimatedOutputTokens",
    "prefixMatchInfoProducerName",
    "syncCrossReplicaState",
  ],
  read: (parameters, surroundings) => {
    expectProducer(parameters, "prefixMatchInfoProducerName", PREFIX_PRODUCER, surroundings);
    parameters.get("syncCrossReplicaState")?.boolean();
    return {
      role: "data",
      output: {
        counts: parameters.get("addEstimatedOutputTokens")?.boolean() ?? OUTPUT_DEFAULT.counts,
        ratio: parameters.get("outputRatio")?.number({ min: 0 }) ?? OUTPUT_DEFAULT.ratio,
        maxTokens:
          parameters.get("maxEstimatedOutputTokens")?.number({ whole: true, min: 0 }) ?? OUTPUT_DEFAULT.maxTokens,
      },
    };
  },
};

const sessionId: PluginType = {
  parameters: ["headerName", "cookieName"],
  read: (parameters, _surroundings, at) => {
    const named = parameters.get("headerName");
    const header = named && headerName(named, "");
    const cookie = parameters.text("cookieName")?.trim();
    if ((named !== undefined && header !== "") === Boolean(cookie)) {
      at.error("expected exactly one of the parameters headerName and cookieName");
      return undefined;
    }
    if (cookie) at.warn("cookieName: sessions by cookie are not there yet, this has no effect");
    return { role: "session id", header: header || undefined };
  },
};

const RESOLUTION = ["width", "height"];

/** Estimates are made by fixed rules here; what a document says of them is checked only. */
function checkEstimate(estimate: Value): void {
  const fields = estimate.fields(["image", "video"]);
  const image = fields?.get("image")?.fields(["mode", "defaultResolution", "static", "dynamic"]);
  image?.get("mode")?.choice(["dynamic", "static"]);
  image?.get("defaultResolution")?.fields(RESOLUTION);
  image?.get("static")?.fields(["staticToken"]);
  image?.get("dynamic")?.fields(["factor"]);
  const video = fields?.get("video");
  video
    ?.fields(["defaultResolution", "defaultDuration", "tokensPerFrame", "frames", "maxVideoTokens"])
    ?.get("defaultResolution")
    ?.fields(RESOLUTION);
  for (const part of [fields?.get("image"), video]) part?.warn("has no effect yet: the default estimate counts");
}

const tokens: PluginType = {
  parameters: ["estimate", "modelName", "vllm", "udsTokenizerConfig"],
  read: (parameters) => {
    const estimate = parameters.get("estimate");
    if (estimate) checkEstimate(estimate);
    for (const name of ["vllm", "udsTokenizerConfig", "modelName"]) {
      const value = parameters.get(name);
      value?.warn("a tokenizer behind /render is not there yet: four bytes of text count as one token");
      if (value !== undefined) break;
    }
    return { role: "data" };
  },
};

export const PRODUCERS: Readonly<Record<string, PluginType>> = {
  [PREFIX_PRODUCER]: prefixCache,
  "inflight-load-producer": inFlightLoad,
  "session-id-producer": sessionId,
  "token-producer": tokens,
};
