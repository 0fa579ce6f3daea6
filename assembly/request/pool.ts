// Which pool a request belongs to, and what that pool wants to know of it. With one pool it is that one, and
// nothing is asked. With several: the pool that the route names, else the one whose objects name the model,
// else the one that a header names, else the default pool.

import { ROUTES } from "../../src/wire/models";
import { CLUSTER_PREFIX, METADATA_NAMESPACE, METADATA_POOL, ROUTE_NAME } from "../../src/wire/names";
import { NEEDS_LENGTH, NEEDS_PREFIX, NEEDS_TOKENS, PARSERS_DEFAULT } from "../../src/wire/program";
import { monotonicNs } from "../abi/clock";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { equals, startsWithIgnoringCase, utf8 } from "../abi/text";
import * as configs from "../config";
import { hearIfDue } from "../share/sync";
import * as models from "../state/models";
import * as snapshot from "../state/snapshot";
import { NO_POOL } from "../state/stats";
import * as scanner from "./3_scan";

const NEEDS_PROMPT: u32 = NEEDS_PREFIX | NEEDS_TOKENS | NEEDS_LENGTH;

const routeName = utf8("xds\0route_name");
const clusterName = utf8("xds\0cluster_name");
const routePool = utf8(`xds\0route_metadata\0filter_metadata\0${METADATA_NAMESPACE}\0${METADATA_POOL}`);
const ownRoute = utf8(ROUTE_NAME);
const clusterPrefix = utf8(CLUSTER_PREFIX);

/** A route or header names a pool that there is not. */
export const UNKNOWN_POOL: u32 = 0xfffffffe;

/** The pool of requests that do not choose; or NO_POOL. */
export function poolOf(config: configs.Config): u32 {
  if (config.defaultPoolLength == 0) return snapshot.poolCount == 1 ? 0 : NO_POOL;
  const named = poolNamed(configs.defaultPool(config), config.defaultPoolLength);
  return named == UNKNOWN_POOL ? NO_POOL : named;
}

/** Number of the pool of that name, or UNKNOWN_POOL. */
function poolNamed(name: usize, length: u32): u32 {
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    const pool = snapshot.pool(n);
    if (pool.nameLength == length && memory.compare(snapshot.poolName(pool), name, length) == 0) return n;
  }
  return UNKNOWN_POOL;
}

/** Number of the pool of the request that was read last; NO_POOL when nothing says which, or UNKNOWN_POOL. */
export function choose(config: configs.Config): u32 {
  if (snapshot.poolCount <= 1) return poolOf(config);
  const routed = byRoute();
  if (routed != NO_POOL) return routed;
  const modelled = byModel();
  if (modelled != NO_POOL) return modelled;
  const named = byHeader(config);
  return named != NO_POOL ? named : poolOf(config);
}

/** Routes that the agent writes lead where the filter says; others choose by metadata, or by their name or cluster. */
function byRoute(): u32 {
  const hasName = host.getProperty(routeName);
  if (hasName && equals(host.data, host.size, ownRoute)) return NO_POOL;
  const name = host.data;
  const length = hasName ? host.size : 0;
  if (host.getProperty(routePool) && host.size != 0) return poolNamed(host.data, host.size);
  if (hasPrefix(name, length)) return afterPrefix(name, length);
  if (!host.getProperty(clusterName) || !hasPrefix(host.data, host.size)) return NO_POOL;
  return afterPrefix(host.data, host.size);
}

function hasPrefix(name: usize, length: u32): bool {
  return startsWithIgnoringCase(name, length, clusterPrefix);
}

function afterPrefix(name: usize, length: u32): u32 {
  const prefix = <u32>clusterPrefix.byteLength;
  return poolNamed(name + prefix, length - prefix);
}

function byModel(): u32 {
  if (scanner.model != scanner.MODEL_TEXT || scanner.modelEnd == 0) return NO_POOL;
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    const section = snapshot.models(snapshot.pool(n));
    if (section == 0) continue;
    const found = models.find(section, snapshot.heapText(0), scanner.modelText(), scanner.modelLength);
    if (!models.isNone(found) && (found.flags & ROUTES) != 0) return n;
  }
  return NO_POOL;
}

function byHeader(config: configs.Config): u32 {
  if (config.poolHeaderLength == 0) return NO_POOL;
  if (!host.getHeaderNamed(REQUEST_HEADERS, configs.poolHeader(config), config.poolHeaderLength)) return NO_POOL;
  return host.size == 0 ? NO_POOL : poolNamed(host.data, host.size);
}

// ── What is read of a request before its pool is known ──

/** Epoch for which the two below were gathered. */
let gatheredEpoch: u64 = 0;
/** What any of the pools reads and needs. */
let anyParsers: u32 = 0;
let anyNeeds: u32 = 0;

/** What a pool does not read is then read in vain, but the pool is often chosen by what is read. */
function gather(): void {
  if (gatheredEpoch == snapshot.epoch) return;
  gatheredEpoch = snapshot.epoch;
  anyParsers = 0;
  anyNeeds = 0;
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    const program = snapshot.program(snapshot.pool(n));
    anyParsers |= program.parsers;
    anyNeeds |= program.flags;
  }
}

/** The bits of the APIs whose requests are read: those of the pool, or of any when there are several. */
export function parsersOf(config: configs.Config): u32 {
  if (snapshot.epoch == 0) hearIfDue(monotonicNs());
  if (snapshot.poolCount > 1) {
    gather();
    return anyParsers;
  }
  const pool = poolOf(config);
  return pool == NO_POOL ? PARSERS_DEFAULT : snapshot.program(snapshot.pool(pool)).parsers;
}

/** Whether the pool's program, or that of any, asks for the prompt, and not only for the model. */
export function readsPrompt(config: configs.Config): bool {
  if (snapshot.poolCount > 1) {
    gather();
    return (anyNeeds & NEEDS_PROMPT) != 0;
  }
  const pool = poolOf(config);
  return pool != NO_POOL && (snapshot.program(snapshot.pool(pool)).flags & NEEDS_PROMPT) != 0;
}
