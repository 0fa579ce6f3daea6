// What the API server holds of an InferenceModel as far as its status goes.

/** A condition of type Accepted. */
export type Condition = {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number | undefined;
  /** As the API server writes it: RFC 3339. */
  readonly lastTransitionTime: string;
};

export type SeenModel = {
  readonly namespace: string;
  readonly name: string;
  /** Name of the pool that it is for; empty when it names none. */
  readonly pool: string;
  /** Why it cannot be read, and what counts in its place. */
  readonly problem?: string | undefined;
  /** Counts the versions of its spec. */
  readonly generation: number;
  /** Of the whole object; a later one is greater. */
  readonly resourceVersion: string;
  readonly condition: Condition | undefined;
};

/** Of every type: what is not there is undefined. */
type Given = {
  readonly metadata?: {
    readonly namespace?: string;
    readonly name?: string;
    readonly generation?: number;
    readonly resourceVersion?: string;
  };
  readonly spec?: { readonly poolRef?: { readonly name?: string } };
  readonly status?: { readonly conditions?: readonly (Partial<Condition> & { readonly type?: string })[] };
};

/** Takes an InferenceModel as the API server sends it; undefined for something without a name. */
export function seenModel(object: unknown): SeenModel | undefined {
  const { metadata, spec, status } = (object ?? {}) as Given;
  const { namespace, name, generation = 0, resourceVersion = "" } = metadata ?? {};
  if (namespace === undefined || name === undefined) return undefined;
  const found = status?.conditions?.find(({ type }) => type === "Accepted");
  const pool = spec?.poolRef?.name ?? "";
  return { namespace, name, pool, generation, resourceVersion, condition: found && conditionOf(found) };
}

function conditionOf(given: Partial<Condition>): Condition {
  const { status = "", reason = "", message = "", observedGeneration, lastTransitionTime = "" } = given;
  return { status, reason, message, observedGeneration, lastTransitionTime };
}

/** Whether `a` is of `b`'s state of the object or of a later one. */
export function isAsNew(a: SeenModel, b: SeenModel): boolean {
  const [left, right] = [a.resourceVersion, b.resourceVersion];
  // Decimal numbers of any length.
  return left.length === right.length ? left >= right : left.length > right.length;
}
