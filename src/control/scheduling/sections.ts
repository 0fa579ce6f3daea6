// Sections of the document that are about neither scheduling nor flow control. What is not in force yet is checked
// all the same.

import type { Fields, Value } from "./document.ts";
import type { Listed } from "./listed-plugins.ts";
import { unlisted } from "./plugins/references.ts";
import { suggest } from "./suggest.ts";

export type Plugins = ReadonlyMap<string, Listed>;

const GATES = ["flowControl", "haPopulateNonLeaderDatastore"];

/** Whether flow control is on; of a gate that is named twice the last one counts. */
export function readFeatureGates(section: Value | undefined): boolean {
  let isOn = false;
  for (const item of section?.list() ?? []) {
    const [gate = "", value] = item.text()?.split("=") ?? [];
    if (gate === "" && value === undefined) continue;
    if (!GATES.includes(gate)) {
      const near = suggest(gate, GATES);
      item.error(
        `${gate} is no feature gate, ${near ? `did you mean ${near}?` : `expected one of ${GATES.join(", ")}`}`,
      );
    } else if (value !== undefined && !/^\s*(true|false|t|f|1|0)\s*$/i.test(value))
      item.expected(`${gate}, ${gate}=true or ${gate}=false`);
    else if (gate === "flowControl") isOn = !/^\s*(false|f|0)\s*$/i.test(value ?? "");
  }
  return isOn;
}

/** The plugin that the member `pluginRef` of a section names. Undefined after complaints, and without the section. */
export function referredIn(
  section: Value | undefined,
  plugins: Plugins,
  builtIn: readonly string[] = [],
): Listed | undefined {
  const reference = section?.fields(["pluginRef"])?.require("pluginRef", "the name of a plugin");
  return reference && referredBy(reference, plugins, builtIn);
}

/** `builtIn` are names that need not be listed. */
export function referredBy(reference: Value, plugins: Plugins, builtIn: readonly string[] = []): Listed | undefined {
  const name = reference.text();
  if (name === undefined) return undefined;
  const found = plugins.get(name);
  if (found === undefined && !builtIn.includes(name)) unlisted(reference, name, [...plugins.keys(), ...builtIn]);
  if (found !== undefined) found.use.isReferred = true;
  return found;
}

const METRICS_SOURCE = "metrics-data-source";
const METRICS_EXTRACTOR = "core-metrics-extractor";

/** The source and the extractor of metrics that count. */
export function metricsOf(
  section: Value | undefined,
  plugins: Plugins,
): { readonly source: Listed | undefined; readonly extractor: Listed | undefined } {
  const fields = section?.fields([
    "injectDefaults",
    "sources",
    "discovery",
    "peerDiscovery",
    "crossReplicaSyncerPluginRef",
    "crossReplicaSyncInterval",
  ]);
  if (fields?.get("injectDefaults")?.boolean() === false && fields.get("sources") === undefined)
    fields.get("injectDefaults")?.warn("has no effect: metrics are always read");
  if (fields) checkReplicas(fields, plugins);
  const referred = (fields?.get("sources")?.list() ?? []).map((source) => sourceOf(source, plugins));
  const source = oneOfType(
    METRICS_SOURCE,
    referred.map(({ source }) => source),
    plugins,
  );
  const extractor = oneOfType(
    METRICS_EXTRACTOR,
    referred.flatMap(({ extractors }) => extractors),
    plugins,
  );
  return { source, extractor };
}

function checkReplicas(fields: Fields, plugins: Plugins): void {
  const discovery = fields.get("discovery");
  const discoverer = referredIn(discovery, plugins);
  if (discoverer?.plugin?.role === "missing") discovery?.error(`${discoverer.type}: ${discoverer.plugin.why}`);
  else if (discoverer?.isKnown) discovery?.error(`${discoverer.name} is a ${discoverer.type}, expected a discovery`);
  const peers = fields.get("peerDiscovery");
  const syncer = fields.get("crossReplicaSyncerPluginRef");
  referredIn(peers, plugins);
  if (syncer?.text()) referredBy(syncer, plugins);
  fields.get("crossReplicaSyncInterval")?.duration();
  for (const value of [peers, syncer]) value?.warn("replicas do not tell each other anything yet, this has no effect");
}

type Source = { readonly source: Listed | undefined; readonly extractors: readonly (Listed | undefined)[] };

function sourceOf(source: Value, plugins: Plugins): Source {
  const fields = source.fields(["pluginRef", "extractors"]);
  const reference = fields?.require("pluginRef", "the name of a data source");
  const found = reference && referredBy(reference, plugins, [METRICS_SOURCE]);
  if (found?.plugin !== undefined && !["data", "missing"].includes(found.plugin.role))
    reference?.error(`${found.name} is a ${found.type}, expected a data source`);
  const extractors = fields?.get("extractors")?.list() ?? [];
  return {
    source: found,
    extractors: extractors.map((extractor) => referredIn(extractor, plugins, [METRICS_EXTRACTOR])),
  };
}

/** Of those referred to, and of one that is listed under the name of its type. A second one is an error. */
function oneOfType(type: string, referred: readonly (Listed | undefined)[], plugins: Plugins): Listed | undefined {
  const found = [...new Set(referred)].filter((listed) => listed?.type === type);
  for (const second of found.slice(1))
    second?.at.error(`a second ${type} is not there yet, expected one for all metrics`);
  const byName = plugins.get(type);
  return found[0] ?? (byName?.type === type ? byName : undefined);
}
