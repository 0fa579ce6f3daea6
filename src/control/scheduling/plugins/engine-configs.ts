// core-metrics-extractor: which metrics of which model server mean what.

import { ADAPTER_LABELS, ENGINES, ENGINES_DEFAULT, type Family, type Gauge } from "../../scrape/engines.ts";
import type { Fields, Value } from "../document.ts";
import { suggest } from "../suggest.ts";
import type { PluginType } from "./plugin.ts";

const ENGINE_FIELDS = [
  "name",
  "queuedRequestsSpec",
  "runningRequestsSpec",
  "kvUsageSpec",
  "loraSpec",
  "cacheInfoSpec",
  "cacheBlockSizeLabelName",
  "cacheNumBlocksLabelName",
  "cacheBlockSizeSpec",
  "cacheNumBlocksSpec",
  "customMetrics",
];
/** The label of vLLM's series, which others have taken over. */
const MODEL_LABEL = "model_name";
/** Stands for the default engine in the reference. */
const RESERVED = "default";

type Series = Pick<Family, "name" | "only">;

export const coreMetricsExtractor: PluginType = {
  parameters: ["engineLabelKey", "defaultEngine", "engineConfigs"],
  read: (parameters) => {
    const label = parameters.text("engineLabelKey");
    const own: [string, readonly Family[]][] = [];
    for (const config of parameters.get("engineConfigs")?.list() ?? []) readEngine(config, own);
    const families = { ...ENGINES, ...Object.fromEntries(own) };
    const fallbackValue = parameters.get("defaultEngine");
    const fallback = fallbackValue?.text() || ENGINES_DEFAULT.fallback;
    const names = Object.keys(families);
    if (!names.includes(fallback)) {
      const near = suggest(fallback, names);
      fallbackValue?.error(
        `no engine of this name, ${near ? `did you mean ${near}?` : `expected one of ${names.join(", ")}`}`,
      );
    }
    const labels = label === undefined ? ENGINES_DEFAULT.labels : [label];
    return { role: "data", engines: { labels, fallback, families } };
  },
};

function readEngine(config: Value, engines: [string, readonly Family[]][]): void {
  const fields = config.fields(ENGINE_FIELDS);
  const nameValue = fields?.require("name", "the name of an engine");
  const name = nameValue?.text();
  if (fields === undefined || nameValue === undefined || name === undefined) return;
  if (name === "" || name === RESERVED) nameValue.expected(`the name of an engine, other than ${RESERVED}`);
  if (engines.some(([other]) => other === name)) nameValue.error(`${name} is given twice`);
  const families = [...gaugesOf(fields), ...infosOf(fields), ...customOf(fields.get("customMetrics"))];
  if (families.length === 0) config.error("expected at least one metric of the engine, found none");
  engines.push([name, families]);
}

function gaugesOf(fields: Fields): readonly Family[] {
  const gauges: readonly (readonly [field: string, role: Gauge])[] = [
    ["queuedRequestsSpec", "waiting"],
    ["runningRequestsSpec", "running"],
    ["kvUsageSpec", "kvUsage"],
    ["cacheBlockSizeSpec", "blockSize"],
    ["cacheNumBlocksSpec", "blocks"],
  ];
  return gauges.flatMap(([field, role]) => {
    const series = specOf(fields.get(field));
    if (series === undefined) return [];
    return [role === "waiting" ? { role, ...series, model: MODEL_LABEL } : { role, ...series }];
  });
}

function infosOf(fields: Fields): readonly Family[] {
  const adapters = specOf(fields.get("loraSpec"));
  const cache = specOf(fields.get("cacheInfoSpec"));
  const blockSize = fields.text("cacheBlockSizeLabelName") ?? "block_size";
  const blocks = fields.text("cacheNumBlocksLabelName") ?? "num_gpu_blocks";
  return [
    ...(adapters ? [{ role: "adapters" as const, ...adapters, ...ADAPTER_LABELS }] : []),
    ...(cache ? [{ role: "cache" as const, ...cache, blockSize, blocks }] : []),
  ];
}

function customOf(list: Value | undefined): readonly Family[] {
  return (list?.list() ?? []).flatMap((item): readonly Family[] => {
    const fields = item.fields(["attributeKey", "metricSpec"]);
    const keyValue = fields?.require("attributeKey", "a name for the metric");
    const key = keyValue?.text();
    if (key === "") keyValue?.expected("a name for the metric");
    const series = specOf(fields?.require("metricSpec", "a metric such as name{label=value}"));
    return key && series ? [{ role: "attribute", key, ...series }] : [];
  });
}

const SPEC = /^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?\s*$/;
const PAIR = /^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*(?:"([^"]*)"|([^",}\s]+))\s*$/;

/** `name{label=value,…}`, quotes optional; undefined for "" and after complaints. */
function specOf(value: Value | undefined): Series | undefined {
  const text = value?.text();
  if (!value || !text) return undefined;
  const [, name, labels] = SPEC.exec(text) ?? [];
  const pairs = (labels ?? "").trim() === "" ? [] : labels!.split(",").map((pair) => PAIR.exec(pair));
  if (name === undefined || pairs.includes(null)) return value.expected("a metric such as name{label=value}");
  const only = pairs.map((pair) => [pair![1]!, pair![2] ?? pair![3] ?? ""] as const);
  return only.length === 0 ? { name } : { name, only };
}
