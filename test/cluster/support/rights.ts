// What the manifests of Roles allow, one right at a time, and what an account asked for by the audit log.

import type { AuditEvent } from "./cluster.ts";
import type { KubeObject } from "./objects.ts";

/** One verb on one kind of object. */
export interface Right {
  /** Undefined: in all. */
  readonly namespace: string | undefined;
  readonly group: string;
  /** With its subresource: inferencemodels/status. */
  readonly resource: string;
  readonly verb: string;
  /** Undefined: of all objects. */
  readonly name: string | undefined;
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** Those of a Role or a ClusterRole; none of what is something else. */
export function rightsIn({ kind, metadata, rules = [] }: KubeObject): readonly Right[] {
  if (!["Role", "ClusterRole"].includes(kind)) return [];
  const { namespace } = metadata;
  return (rules as readonly Rule[]).flatMap(({ apiGroups, resources, verbs, resourceNames = [undefined] }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) => resourceNames.map((name) => ({ namespace, group, resource, verb, name }))),
      ),
    ),
  );
}

/** What was asked for in an event of the audit log; undefined for what is not an object, as discovery. */
export function askedIn({ verb, objectRef }: AuditEvent): Right | undefined {
  if (objectRef === undefined) return undefined;
  const { apiGroup: group = "", resource, subresource, namespace, name } = objectRef;
  return { namespace, group, resource: subresource ? `${resource}/${subresource}` : resource, verb, name };
}

export function isCovered(asked: Right, right: Right): boolean {
  const { namespace, name, ...kind } = right;
  const isOfKind = Object.entries(kind).every(([field, value]) => asked[field as keyof typeof kind] === value);
  return isOfKind && [undefined, asked.namespace].includes(namespace) && [undefined, asked.name].includes(name);
}
