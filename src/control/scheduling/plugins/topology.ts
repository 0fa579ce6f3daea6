// Where pods are: the labels that say so, and the steps' reference to them.

import type { PlaceLabels } from "../scheduling.ts";
import type { Parameters, PluginType, Surroundings } from "./plugin.ts";
import { expectProducer } from "./references.ts";

const EXTRACTOR = "topology-extractor";
const LABELS: PlaceLabels = {
  host: "kubernetes.io/hostname",
  rack: "topology.kubernetes.io/rack",
  zone: "topology.kubernetes.io/zone",
  region: "topology.kubernetes.io/region",
};

export const topologyExtractor: PluginType = {
  parameters: ["hostname", "rack", "zone", "region"],
  read: (parameters) => ({
    role: "place labels",
    labels: {
      host: parameters.text("hostname") ?? LABELS.host,
      rack: parameters.text("rack") ?? LABELS.rack,
      zone: parameters.text("zone") ?? LABELS.zone,
      region: parameters.text("region") ?? LABELS.region,
    },
  }),
};

/** The labels of the extractor that is named; of the one with the type's name otherwise. */
export function topologyLabels(parameters: Parameters, surroundings: Surroundings): PlaceLabels {
  expectProducer(parameters, "topologyProducerName", EXTRACTOR, surroundings);
  const plugin = surroundings.named(parameters.text("topologyProducerName") ?? EXTRACTOR)?.plugin;
  return plugin?.role === "place labels" ? plugin.labels : LABELS;
}
