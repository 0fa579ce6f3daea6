// The one internal form of what the agent is configured by. A converter of this folder makes it from one API version.

/** Where an endpoint picker's failure leads: FailClose answers 503, FailOpen goes on unsteered. */
export type FailureMode = "FailOpen" | "FailClose";

export type Pool = {
  readonly kind: "InferencePool";
  readonly namespace: string;
  readonly name: string;
  /** A pod is a member when it carries all of these. Never empty. */
  readonly matchLabels: Readonly<Record<string, string>>;
  /** Unique, 1–65535, in the order of the object. */
  readonly targetPorts: readonly number[];
  readonly appProtocol: "http" | "h2c";
  readonly failureMode: FailureMode;
};

export type Pod = {
  readonly kind: "Pod";
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Its spec's, if it has one. */
  readonly hostname?: string | undefined;
  /** IPv4, or IPv6 as inet_ntop writes it; undefined before the pod has one. */
  readonly ip: string | undefined;
  /** Its Ready condition is True and it is not being deleted. */
  readonly ready: boolean;
  /** Target ports that are live on this pod; undefined when all are. */
  readonly activePorts: readonly number[] | undefined;
};

export type ConfigObject = Pool | Pod;

/** What tells objects apart: `kind/namespace/name`. */
export function objectKey(object: Pick<ConfigObject, "kind" | "namespace" | "name">): string {
  return `${object.kind}/${object.namespace}/${object.name}`;
}
