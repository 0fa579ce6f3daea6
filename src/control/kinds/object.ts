// The one internal form of what the agent is configured by. A converter of this folder makes it from one API version.

/** Where an endpoint picker's failure leads: FailClose answers 503, FailOpen goes on unsteered. */
export type FailureMode = "FailOpen" | "FailClose";

/** Of a kind that has moved to another API group. */
type Moved = {
  /** The group that the object is of, when that is the one before the move. */
  readonly olderGroup?: string | undefined;
};

export type Pool = Moved & {
  readonly kind: "InferencePool";
  readonly namespace: string;
  readonly name: string;
  /** A pod is a member when it carries all of these. Never empty. */
  readonly matchLabels: Readonly<Record<string, string>>;
  /** Unique, 1–65535, in the order of the object. */
  readonly targetPorts: readonly number[];
  readonly appProtocol: "http" | "h2c";
  readonly failureMode: FailureMode;
  /** The Service that it names as its endpoint picker, if it does. */
  readonly picker?: string | undefined;
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

/** What an object says about the models of the pool that it names. */
type OfPool = {
  readonly namespace: string;
  readonly name: string;
  /** When it was created, in ms since 1970; undefined when it does not say. */
  readonly createdMs: number | undefined;
  /** In the object's own namespace. */
  readonly poolRef: PoolRef;
};

export type PoolRef = {
  /** Undefined when left out. */
  readonly group: string | undefined;
  readonly kind: string;
  readonly name: string;
};

export type Objective = Moved &
  OfPool & {
    readonly kind: "InferenceObjective";
    /** Below 0: its requests are shed first. */
    readonly priority: number;
  };

export type Target = { readonly name: string; readonly weight: number };

export type RewriteRule = {
  /** Names of models; empty for every model. */
  readonly models: readonly string[];
  /** Empty: the model stays as it is. */
  readonly targets: readonly Target[];
};

export type ModelRewrite = Moved &
  OfPool & { readonly kind: "InferenceModelRewrite"; readonly rules: readonly RewriteRule[] };

export type Criticality = "Critical" | "Standard" | "Sheddable";

export type Model = OfPool & {
  readonly kind: "InferenceModel";
  readonly modelName: string;
  readonly criticality: Criticality;
  /** Empty: the model is sent under its own name. */
  readonly targets: readonly Target[];
};

/** Objects that say something about models. */
export type ModelObject = Objective | ModelRewrite | Model;

export type ConfigObject = Pool | Pod | ModelObject;

/** Whether the object with `key` may be the one that a document calls `kind/namespace/name`, in whatever group. */
export function isCalled(called: string, key: string): boolean {
  const [kind = "", ...rest] = key.split("/");
  return [kind.split(".", 1)[0], ...rest].join("/") === called;
}

/** What tells objects apart: `kind/namespace/name`, and `kind.group/namespace/name` for one of an older group. */
export function objectKey(object: ConfigObject): string {
  const older = "olderGroup" in object && object.olderGroup !== undefined ? `.${object.olderGroup}` : "";
  return `${object.kind}${older}/${object.namespace}/${object.name}`;
}
