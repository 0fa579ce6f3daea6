// Pools × ready pods × target ports. The order is fixed (pools by name, pods by name, ports ascending), so that the
// same objects always give the same topology, byte for byte.

import { ENDPOINTS_MAX, POOLS_MAX } from "../wire/limits.ts";
import type { ConfigObject, Pod, Pool } from "./kinds/object.ts";
import type { PoolModels } from "./models/models.ts";
import { ENGINES_DEFAULT, type Engines, engineOf } from "./scrape/engines.ts";

export type Endpoint = {
  /** `ip:port` or `[ip]:port`. Unique within its pool. */
  readonly address: string;
  readonly ip: string;
  readonly port: number;
  /** Name of the pod, in the namespace of the pool. */
  readonly pod: string;
  /** What sessions are bound to: `namespace/pod-rank-N`, N being the place of the port in the pool's list. */
  readonly id: string;
  /** Of the pod. */
  readonly labels: Readonly<Record<string, string>>;
  /** Of the pod's spec. */
  readonly hostname?: string | undefined;
  /** Whose metrics it has. */
  readonly engine: string;
};

export type PoolEndpoints = {
  readonly pool: Pool;
  readonly endpoints: readonly Endpoint[];
  /** What the objects say about its models, if they say anything. */
  readonly models?: PoolModels | undefined;
};

export type Membership = {
  readonly pools: readonly PoolEndpoints[];
  /** Sentences about what had to be left out. */
  readonly left: readonly string[];
  /** Sentences about what was taken for something else. */
  readonly doubts: readonly string[];
};

export function poolName(pool: Pick<Pool, "namespace" | "name">): string {
  return `${pool.namespace}/${pool.name}`;
}

/** By code units, as for sort(). */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isMember(pod: Pod, pool: Pool): boolean {
  if (!pod.ready || pod.ip === undefined || pod.namespace !== pool.namespace) return false;
  return Object.entries(pool.matchLabels).every(([name, value]) => pod.labels[name] === value);
}

function endpointsOf(
  pool: Pool,
  pods: readonly Pod[],
  engines: Engines,
  left: string[],
  doubts: Set<string>,
): Endpoint[] {
  const byAddress = new Map<string, Endpoint>();
  const ports = [...pool.targetPorts].sort((a, b) => a - b);
  for (const pod of pods) {
    if (!isMember(pod, pool)) continue;
    const ip = pod.ip!;
    const { engine, unknown } = engineOf(pod.labels, engines);
    if (unknown !== undefined) doubts.add(doubtOf(pod, unknown, engine, engines));
    for (const port of ports) {
      if (pod.activePorts && !pod.activePorts.includes(port)) continue;
      const address = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
      const other = byAddress.get(address);
      if (other)
        left.push(`pods ${other.pod} and ${pod.name} of pool ${poolName(pool)} share ${address}, the first counts`);
      else {
        const id = `${pod.namespace}/${pod.name}-rank-${pool.targetPorts.indexOf(port)}`;
        const { name, labels, hostname } = pod;
        byAddress.set(address, { address, ip, port, pod: name, id, labels, hostname, engine });
      }
    }
  }
  return [...byAddress.values()];
}

function doubtOf(pod: Pod, unknown: string, engine: string, engines: Engines): string {
  const who = `pod ${pod.namespace}/${pod.name}`;
  return `${who}: label ${unknown}: expected one of ${Object.keys(engines.families).join(", ")}; read as ${engine}`;
}

/** Who belongs where. Over the limits of the wire the first pools and endpoints in order count. */
export function membership(objects: readonly ConfigObject[], engines: Engines = ENGINES_DEFAULT): Membership {
  const left: string[] = [];
  const doubts = new Set<string>();
  const pods = objects.filter((object) => object.kind === "Pod").sort((a, b) => byText(a.name, b.name));
  const all = objects
    .filter((object) => object.kind === "InferencePool")
    .sort((a, b) => byText(poolName(a), poolName(b)));
  if (all.length > POOLS_MAX) left.push(`${all.length} pools, only the first ${POOLS_MAX} by name count`);
  let room = ENDPOINTS_MAX;
  const pools = all.slice(0, POOLS_MAX).map((pool) => {
    const found = endpointsOf(pool, pods, engines, left, doubts);
    if (found.length > room)
      left.push(
        `pool ${poolName(pool)} has ${found.length} endpoints, only ${room} fit in ${ENDPOINTS_MAX} of all pools`,
      );
    const endpoints = found.slice(0, room);
    room -= endpoints.length;
    return { pool, endpoints };
  });
  return { pools, left, doubts: [...doubts] };
}
