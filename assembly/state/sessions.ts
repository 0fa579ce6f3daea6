// Which endpoint a session belongs to. A session is the FNV-1a of what its header says; an endpoint is
// kept by the hash of its address, so that an id given to another one binds nobody to it.
//
// Buckets of 8: the one used longest ago of a bucket makes room. Nothing is ever removed; a binding is
// dead once its session was silent for the program's time to live.

import { SESSIONS_MAX } from "../../src/wire/limits";
import * as endpoints from "./endpoints";

/** One binding, 32 bytes. Times are of the proxy's monotonic clock, the same in all workers. */
@unmanaged
class Binding {
  /** 0: the place was never used. */
  session: u64;
  addressHash: u64;
  /** When the session was bound to this endpoint. Of two workers' bindings the later one counts. */
  boundNs: u64;
  /** When its last request came, as far as this worker knows. */
  seenNs: u64;
}

const BINDING_BYTES: usize = 32;
if (offsetof<Binding>() != BINDING_BYTES) ERROR("Binding must fill its place");
const PER_BUCKET: u32 = 8;
const BUCKET_MASK: u32 = SESSIONS_MAX / PER_BUCKET - 1;
if ((SESSIONS_MAX & (SESSIONS_MAX - 1)) != 0) ERROR("the number of sessions must be a power of two");

/** How often within its time to live a session that goes on is told to the other workers. */
const TELLS_PER_TTL: u64 = 8;

const bindings: usize = heap.alloc(BINDING_BYTES * SESSIONS_MAX);

/** Id of the endpoint the session belongs to; endpoints.NO_ID when none, too long ago, or the endpoint is gone. */
export function find(session: u64, nowNs: u64, ttlNs: u64): u32 {
  const binding = placeOf(session);
  if (!isOf(binding, session) || hasEnded(binding, nowNs, ttlNs)) return endpoints.NO_ID;
  return endpoints.find(binding.addressHash);
}

/** Binds a session, or moves it. The others must be told. */
export function bind(session: u64, id: u32, nowNs: u64): void {
  write(placeOf(session), session, endpoints.at(id).addressHash, nowNs, nowNs);
}

/** A bound session had another request. Answers whether it is time to tell the others that it goes on. */
export function refresh(session: u64, nowNs: u64, ttlNs: u64): bool {
  const binding = placeOf(session);
  if (!isOf(binding, session)) return false;
  const period = max<u64>(ttlNs / TELLS_PER_TTL, 1);
  const isDue = binding.seenNs / period != nowNs / period;
  binding.seenNs = max<u64>(binding.seenNs, nowNs);
  return isDue;
}

/** Another worker bound a session, or saw it go on. */
export function learn(session: u64, addressHash: u64, boundNs: u64, seenNs: u64): void {
  const binding = placeOf(session);
  if (!isOf(binding, session)) {
    write(binding, session, addressHash, boundNs, seenNs);
    return;
  }
  // Equal times happen when two workers bind in one tick of the clock: all take the same one then.
  if (boundNs > binding.boundNs || (boundNs == binding.boundNs && addressHash > binding.addressHash)) {
    binding.addressHash = addressHash;
    binding.boundNs = boundNs;
  }
  binding.seenNs = max<u64>(binding.seenNs, seenNs);
}

/** When the session was bound to its endpoint; 0 = it is not. */
export function boundNs(session: u64): u64 {
  const binding = placeOf(session);
  return isOf(binding, session) ? binding.boundNs : 0;
}

function write(binding: Binding, session: u64, addressHash: u64, boundNs: u64, seenNs: u64): void {
  binding.session = known(session);
  binding.addressHash = addressHash;
  binding.boundNs = boundNs;
  binding.seenNs = seenNs;
}

/** A session whose hash is 0 counts as the one whose hash is 1: 0 marks places never used. */
function known(session: u64): u64 {
  return session == 0 ? 1 : session;
}

function isOf(binding: Binding, session: u64): bool {
  return binding.session == known(session);
}

/** A binding that another worker saw may be newer than this worker's clock reading. */
function hasEnded(binding: Binding, nowNs: u64, ttlNs: u64): bool {
  return nowNs > binding.seenNs && nowNs - binding.seenNs > ttlNs;
}

/** Where the session's binding is, or else the one it may take: never used, or used longest ago. */
function placeOf(session: u64): Binding {
  const bucket = bindings + <usize>((<u32>(session ^ (session >> 32)) & BUCKET_MASK) * PER_BUCKET) * BINDING_BYTES;
  let oldest = changetype<Binding>(bucket);
  for (let n: u32 = 0; n < PER_BUCKET; ++n) {
    const binding = changetype<Binding>(bucket + <usize>n * BINDING_BYTES);
    if (isOf(binding, session)) return binding;
    if (binding.seenNs < oldest.seenNs) oldest = binding;
  }
  return oldest;
}
