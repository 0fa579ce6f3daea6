// Which object of the API server is meant.

export type ObjectRef = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
};

/** An object as the API server has it, as far as it says which it is. */
export type Raw = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly uid?: string };
};

export function refOf({ apiVersion, kind, metadata: { namespace = "", name, uid = "" } }: Raw): ObjectRef {
  return { apiVersion, kind, namespace, name, uid };
}
