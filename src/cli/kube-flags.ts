// The flags of `agent` that say which API server the objects come from, and which of its pools are ours.

import type { ConfigMapName, KubeOptions } from "../control/kube/cluster.ts";
import { type FlagValues, type Kind, SWITCH, TEXT, UsageError } from "./flags.ts";

const NAME = "[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?";

/** Of an object in Kubernetes. */
const OBJECT_NAME: Kind<string> = {
  placeholder: "NAME",
  expected: "a name of lower-case letters, digits, '-' and '.'",
  parse: (text) => (new RegExp(`^${NAME}$`).test(text) ? text : undefined),
};

const NAMESPACE: Kind<string> = {
  placeholder: "NAMESPACE",
  expected: "a namespace of lower-case letters, digits and '-', at most 63 long",
  parse: (text) => (/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(text) ? text : undefined),
};

const CONFIG_MAP: Kind<ConfigMapName> = {
  placeholder: "[NAMESPACE/]NAME[:KEY]",
  expected: "[NAMESPACE/]NAME[:KEY] of a ConfigMap, for example pointsman-config or infra/pointsman-config:chat.yaml",
  parse: (text) => {
    const match = new RegExp(`^(?:([a-z0-9][-a-z0-9]{0,62})/)?(${NAME})(?::([-._a-zA-Z0-9]{1,253}))?$`).exec(text);
    return match === null ? undefined : { namespace: match[1], name: match[2]!, key: match[3] };
  },
};

export const kubeFlags = {
  kube: { kind: SWITCH, help: "objects of an API server: the pod's service account, or kubeconfig" },
  context: { kind: TEXT, help: "with --kube: a context of kubeconfig, also inside a cluster" },
  namespace: { kind: NAMESPACE, help: "with --kube: whose pools (default: that of the pod or the context)" },
  pool: { kind: OBJECT_NAME, help: "with --kube: only this InferencePool" },
  "all-pools": {
    kind: SWITCH,
    help: "with --kube: every InferencePool; of all namespaces unless --namespace says one",
  },
  picker: { kind: OBJECT_NAME, help: "with --kube: only pools whose endpointPickerRef names this Service" },
  "pools-without-picker": { kind: SWITCH, help: "with --picker: pools that name no endpoint picker, too" },
  "config-map": { kind: CONFIG_MAP, help: "with --kube: the EndpointPickerConfig is in this ConfigMap, watched" },
} as const;

type Given = FlagValues<typeof kubeFlags> & {
  readonly objects: string | undefined;
  readonly config: string | undefined;
};

/** What the flags say; undefined when the objects are those of a folder. Throws a UsageError. */
export function kubeOptions(given: Given): KubeOptions | undefined {
  const problem = given.kube ? problemWith(given) : problemWithout(given);
  if (problem !== undefined) throw new UsageError(`pointsman agent: ${problem}`);
  if (!given.kube) return undefined;
  const { context, namespace, pool, picker } = given;
  return {
    context,
    namespace,
    pool,
    picker,
    allPools: given["all-pools"] ?? false,
    poolsWithoutPicker: given["pools-without-picker"] ?? false,
    configMap: given["config-map"],
  };
}

function problemWithout(given: Given): string | undefined {
  const names = Object.keys(kubeFlags) as (keyof typeof kubeFlags)[];
  const stray = names.find((name) => given[name] !== undefined);
  if (stray !== undefined) return `--${stray} goes with --kube`;
  return given.objects === undefined ? "--objects DIR or --kube is required" : undefined;
}

function problemWith(given: Given): string | undefined {
  const { objects, config, pool, picker } = given;
  if (objects !== undefined) return "--kube and --objects: expected one of them";
  if (config !== undefined && given["config-map"] !== undefined)
    return "--config and --config-map: expected one of them";
  if (pool !== undefined && (given["all-pools"] || picker !== undefined))
    return "--pool names the only pool: expected neither --all-pools nor --picker";
  return given["pools-without-picker"] && picker === undefined
    ? "--pools-without-picker goes with --picker"
    : undefined;
}
