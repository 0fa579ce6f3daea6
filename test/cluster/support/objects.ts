// Kubernetes objects as the tests write them, and where the API server keeps objects of a kind.

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

export const GROUP_POOL = "inference.networking.k8s.io/v1";
export const GROUP_LLM_D = "llm-d.ai/v1alpha2";
export const GROUP_OLDER = "inference.networking.x-k8s.io/v1alpha2";

const OF_THE_CLUSTER = new Set(["Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"]);

/** Path of the object; without its namespace it is in "default". */
export function pathOf({ apiVersion, kind, metadata }: KubeObject): string {
  return `${collectionOf(apiVersion, kind, metadata.namespace)}/${metadata.name}`;
}

/** Path of the kind's objects in a namespace. */
export function collectionOf(apiVersion: string, kind: string, namespace = "default"): string {
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  // True of every kind that the tests use.
  const plural = `${kind.toLowerCase()}s`;
  return OF_THE_CLUSTER.has(kind) ? `${group}/${plural}` : `${group}/namespaces/${namespace}/${plural}`;
}

export interface PoolSpec {
  readonly namespace?: string;
  readonly port?: number;
  readonly failureMode?: "FailOpen" | "FailClose";
}

/** Selects the pods with the label app: its name. */
export function pool(name: string, { namespace, port = 8000, failureMode = "FailClose" }: PoolSpec = {}): KubeObject {
  const endpointPickerRef = { name: "pointsman", port: { number: 9002 }, failureMode };
  const spec = { selector: { matchLabels: { app: name } }, targetPorts: [{ number: port }], endpointPickerRef };
  return { apiVersion: GROUP_POOL, kind: "InferencePool", metadata: inNamespace(name, namespace), spec };
}

/** The same in the older group. */
export function olderPool(name: string, { namespace, port = 8000 }: PoolSpec = {}): KubeObject {
  const spec = { selector: { app: name }, targetPortNumber: port, extensionRef: { name: "pointsman" } };
  return { apiVersion: GROUP_OLDER, kind: "InferencePool", metadata: inNamespace(name, namespace), spec };
}

interface OfPool {
  readonly apiVersion?: string;
  readonly namespace?: string;
  readonly poolName: string;
}

export function objective(
  name: string,
  priority: number,
  { apiVersion = GROUP_LLM_D, namespace, poolName }: OfPool,
): KubeObject {
  const spec = { priority, poolRef: { name: poolName } };
  return { apiVersion, kind: "InferenceObjective", metadata: inNamespace(name, namespace), spec };
}

/** Requests for the model `from` ask for `to`. */
export function rewrite(
  name: string,
  from: string,
  to: string,
  { apiVersion = GROUP_LLM_D, namespace, poolName }: OfPool,
): KubeObject {
  const rules = [{ matches: [{ model: { value: from } }], targets: [{ modelRewrite: to }] }];
  const spec = { poolRef: { name: poolName }, rules };
  return { apiVersion, kind: "InferenceModelRewrite", metadata: inNamespace(name, namespace), spec };
}

export interface ModelSpec extends OfPool {
  readonly modelName?: string;
  readonly criticality?: "Critical" | "Standard" | "Sheddable";
  /** The model that servers are asked for. */
  readonly target?: string;
}

export function model(name: string, { modelName = name, criticality, target, namespace, poolName }: ModelSpec) {
  const spec = {
    modelName,
    poolRef: { name: poolName },
    ...(criticality === undefined ? {} : { criticality }),
    ...(target === undefined ? {} : { targetModels: [{ name: target }] }),
  };
  return { apiVersion: GROUP_OLDER, kind: "InferenceModel", metadata: inNamespace(name, namespace), spec };
}

export interface PodSpec {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
}

/** A pod without its status, which is written apart. */
export function pod(name: string, { namespace, labels = {}, annotations = {}, finalizers = [] }: PodSpec): KubeObject {
  const metadata = { ...inNamespace(name, namespace), labels, annotations, finalizers };
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [{ name: "server", image: "none" }] } };
}

/** What a kubelet would write of a pod that runs. */
export function podStatus(ip: string, ready: boolean): object {
  const conditions = [{ type: "Ready", status: ready ? "True" : "False" }];
  return { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions };
}

function inNamespace(name: string, namespace = "default"): { readonly name: string; readonly namespace: string } {
  return { name, namespace };
}
