// How old what an endpoint is believed to hold is, without a list per endpoint. Each pair of hash and
// endpoint wears a generation of its endpoint, a number on a circle of 65,536. Pairs of the generations
// first … current are live, all others are dead wherever they lie. A generation takes an eighth of the
// bound, then the next begins. Where there is no room for a pair, `first` moves on, and the oldest pairs
// die together without being looked for.
//
//     generation    90   91 … 97   98   99        ranges: at most 8, oldest first; those in the middle
//     live pairs   800      790   800  120        of what use took pairs from are joined
//                  first                current
//
// Touching an old pair moves it to the current generation.

import { ENDPOINT_IDS_MAX } from "../../src/wire/limits";

/** As ids of state/endpoints.ts. */
export const IDS_MAX: u32 = ENDPOINT_IDS_MAX;
/** Who holds a pair: id + 1; 0 is nobody. */
const HOLDERS: u32 = IDS_MAX + 1;
/** Behind the generations of all holders, so that 16 may be read from anywhere. */
const PADDING: u32 = 31;

const RANGES: u32 = 8;
/** Of the ranges the youngest that are never joined: what was used just now is told apart. */
const RANGES_APART: u32 = 4;
/** Pairs in that many of the youngest ranges are young enough. */
const RANGES_YOUNG: u32 = 2;
/** Live generations. The other three quarters of the circle are there to find the dead in: sweep.ts. */
const SPAN_MAX: u32 = 0x4000;
const CIRCLE: u32 = 0xffff;
/** Opposite on the circle: dead for as long as can be. */
export const OPPOSITE: u32 = 0x8000;

/** One endpoint, 64 bytes. The ranges are an array each, oldest first. */
@unmanaged
class Holder {
  count0: u64;
  count1: u64;
  count2: u64;
  count3: u64;
  start0: u64;
  start1: u64;
  /** Live pairs. */
  live: u32;
  /** What the endpoint itself can hold. */
  capacity: u32;
  /** What it may have here: min(capacity, share). */
  bound: u32;
  /** Number of the range of the current generation. */
  newest: u32;
}

const HOLDER_BYTES: u32 = 64;
if (offsetof<Holder>() != HOLDER_BYTES) ERROR("Holder must fill its entry");
const STARTS: usize = 32;
const GENERATIONS_BYTES: u32 = (HOLDERS + PADDING) * 2;

/** What these tables take. */
export const BYTES: u32 = HOLDER_BYTES * IDS_MAX + 5 * GENERATIONS_BYTES;

let holders: usize = 0;
/** Per holder, u16 each: the current generation; how many before it are live; … and are young enough. */
let currents: usize = 0;
let spans: usize = 0;
let youngs: usize = 0;
/** The current generations when the present sweep began. */
let sweepStarts: usize = 0;
/** The generations from which on pairs are of use to everybody: older ones need renewal, however young. */
let renewals: usize = 0;
let share: u32 = 0;
let total: u32 = 0;

/** Lays the tables out in zeroed memory. */
export function open(p: usize): void {
  currents = p;
  spans = p + GENERATIONS_BYTES;
  youngs = p + 2 * GENERATIONS_BYTES;
  sweepStarts = p + 3 * GENERATIONS_BYTES;
  renewals = p + 4 * GENERATIONS_BYTES;
  holders = p + 5 * GENERATIONS_BYTES;
  // Memory that was never written is pairs of nobody, of generation 0.
  store<u16>(currents, <u16>OPPOSITE);
  for (let id: u32 = 0; id < IDS_MAX; ++id) at(id).capacity = u32.MAX_VALUE;
}

function at(id: u32): Holder {
  return changetype<Holder>(holders + <usize>id * HOLDER_BYTES);
}

/** Live pairs of all endpoints. */
export function pairs(): u32 {
  return total;
}

export function boundOf(id: u32): u32 {
  return at(id).bound;
}

export function current(id: u32): u32 {
  return load<u16>(currents + ((<usize>id + 1) << 1));
}

/** Where the current generations, and the spans, of ids from `id` on lie. */
export function currentsFrom(id: u32): usize {
  return currents + ((<usize>id + 1) << 1);
}

export function spansFrom(id: u32): usize {
  return spans + ((<usize>id + 1) << 1);
}

/** How many generations ago, from 0; of the dead more than the span. */
function ago(holder: u32, generation: u32): u32 {
  return (load<u16>(currents + ((<usize>holder) << 1)) - generation) & CIRCLE;
}

export function isLive(holder: u32, generation: u32): bool {
  return ago(holder, generation) <= load<u16>(spans + ((<usize>holder) << 1));
}

/** Whether a pair needs no renewal. */
export function isYoung(holder: u32, generation: u32): bool {
  return ago(holder, generation) <= load<u16>(youngs + ((<usize>holder) << 1));
}

/** How far from youth to death a live pair is, 0 … 255. */
export function wear(holder: u32, generation: u32): u32 {
  return (ago(holder, generation) << 8) / (<u32>load<u16>(spans + ((<usize>holder) << 1)) + 1);
}

// ── Ranges ──

function countAt(holder: Holder, range: u32): usize {
  return changetype<usize>(holder) + ((<usize>range) << 2);
}

function startAt(holder: Holder, range: u32): usize {
  return changetype<usize>(holder) + STARTS + ((<usize>range) << 1);
}

/** Adds to the count of the range that the generation of a live pair is in. */
function change(id: u32, generation: u32, by: i32): void {
  const holder = at(id);
  const first = load<u16>(startAt(holder, 0));
  const distance = (generation - first) & CIRCLE;
  let range = holder.newest;
  while (range > 0 && ((<u32>load<u16>(startAt(holder, range)) - first) & CIRCLE) > distance) --range;
  const count = countAt(holder, range);
  store<u32>(count, load<u32>(count) + by);
}

/** Takes range n out of the arrays. */
function removeRange(holder: Holder, n: u32): void {
  const after = <usize>(holder.newest - n);
  memory.copy(countAt(holder, n), countAt(holder, n + 1), after << 2);
  memory.copy(startAt(holder, n), startAt(holder, n + 1), after << 1);
  --holder.newest;
}

function setSpan(id: u32): void {
  const holder = at(id);
  const now = current(id);
  const span = (now - load<u16>(startAt(holder, 0))) & CIRCLE;
  store<u16>(spans + ((<usize>id + 1) << 1), <u16>span);
  // While half of the bound is free nothing dies soon, so nothing needs renewal.
  const isAmple = holder.live <= holder.bound / 2 || holder.newest < RANGES_YOUNG;
  const start: u32 = isAmple ? 0 : load<u16>(startAt(holder, holder.newest - (RANGES_YOUNG - 1)));
  const young = isAmple ? span : (now - start) & CIRCLE;
  store<u16>(youngs + ((<usize>id + 1) << 1), <u16>min(young, sinceRenewal(id, span)));
}

/** How many generations ago the last renewal was; one before all that live is none any more. */
function sinceRenewal(id: u32, span: u32): u32 {
  const at = renewals + ((<usize>id + 1) << 1);
  const since = (current(id) - load<u16>(at)) & CIRCLE;
  if (since <= span) return since;
  store<u16>(at, <u16>(current(id) - span));
  return span;
}

/** All pairs of the endpoint need renewal: what is touched from now on is told apart from them. */
export function renew(id: u32): void {
  const holder = at(id);
  if (holder.live == 0) return;
  if (load<u32>(countAt(holder, holder.newest)) != 0) begin(id);
  store<u16>(renewals + ((<usize>id + 1) << 1), <u16>current(id));
  setSpan(id);
}

/** The next generation, with a range of its own. */
function begin(id: u32): void {
  const holder = at(id);
  if (holder.newest == RANGES - 1) joinRanges(holder);
  while (holder.newest > 0 && load<u32>(countAt(holder, 0)) == 0) removeRange(holder, 0);
  ++holder.newest;
  const next = (current(id) + 1) & CIRCLE;
  store<u16>(currents + ((<usize>id + 1) << 1), <u16>next);
  store<u16>(startAt(holder, holder.newest), <u16>next);
  store<u32>(countAt(holder, holder.newest), 0);
  setSpan(id);
  if (load<u16>(spans + ((<usize>id + 1) << 1)) >= <u16>SPAN_MAX) dropOldest(id);
}

/** Joins the two neighbours that are smallest together, among the older ranges. */
function joinRanges(holder: Holder): void {
  let best: u32 = 0;
  let least = u64.MAX_VALUE;
  for (let i: u32 = 0; i + 1 < RANGES - RANGES_APART; ++i) {
    const sum = <u64>load<u32>(countAt(holder, i)) + load<u32>(countAt(holder, i + 1));
    if (sum >= least) continue;
    least = sum;
    best = i;
  }
  // The older start stays, so the younger range's count goes to the older one.
  store<u32>(countAt(holder, best + 1), <u32>least);
  store<u16>(startAt(holder, best + 1), load<u16>(startAt(holder, best)));
  removeRange(holder, best);
}

/** The oldest pairs die. */
function dropOldest(id: u32): void {
  const holder = at(id);
  if (holder.newest == 0) {
    dropAll(id);
    return;
  }
  const count = load<u32>(countAt(holder, 0));
  holder.live -= count;
  total -= count;
  removeRange(holder, 0);
  setSpan(id);
}

function dropAll(id: u32): void {
  const holder = at(id);
  total -= holder.live;
  holder.live = 0;
  holder.newest = 0;
  const next = (current(id) + 1) & CIRCLE;
  store<u16>(currents + ((<usize>id + 1) << 1), <u16>next);
  store<u16>(startAt(holder, 0), <u16>next);
  store<u32>(countAt(holder, 0), 0);
  setSpan(id);
}

// ── Pairs ──

/** Before one more pair, the bound being above 0: lets the oldest die when there is no room. */
export function makeRoom(id: u32): void {
  beginIfFull(id);
  if (at(id).live >= at(id).bound) dropOldest(id);
}

/** Begins the next generation when the current one has its eighth of the bound. */
function beginIfFull(id: u32): void {
  const holder = at(id);
  const quota = (<u64>holder.bound + (RANGES - 1)) / RANGES;
  if (load<u32>(countAt(holder, holder.newest)) >= <u32>quota) begin(id);
}

/** One more pair, of the current generation, for which there is room. */
export function add(id: u32): void {
  const holder = at(id);
  const count = countAt(holder, holder.newest);
  store<u32>(count, load<u32>(count) + 1);
  ++holder.live;
  ++total;
}

/** A pair of that generation, live or dead, comes into the current one. */
export function touch(id: u32, generation: u32): void {
  beginIfFull(id);
  if (!isLive(id + 1, generation)) {
    makeRoom(id);
    add(id);
    return;
  }
  change(id, generation, -1);
  change(id, current(id), 1);
}

/** A live pair is given up. */
export function remove(id: u32, generation: u32): void {
  change(id, generation, -1);
  --at(id).live;
  --total;
}

// ── Endpoints ──

export function forget(id: u32): void {
  dropAll(id);
  at(id).capacity = u32.MAX_VALUE;
  applyBound(id);
}

export function setCapacity(id: u32, blocks: u32): void {
  if (at(id).capacity == blocks) return;
  at(id).capacity = blocks;
  applyBound(id);
}

/** How many pairs each endpoint may have at most. */
export function setShare(pairs: u32): bool {
  if (share == pairs) return false;
  share = pairs;
  for (let id: u32 = 0; id < IDS_MAX; ++id) applyBound(id);
  return true;
}

function applyBound(id: u32): void {
  const holder = at(id);
  holder.bound = min(holder.capacity, share);
  while (holder.live > holder.bound) dropOldest(id);
  setSpan(id);
}

// ── Sweeps ──

/** How many generations the endpoint has begun since the present sweep began. */
export function begunSinceSweep(id: u32): u32 {
  return (current(id) - load<u16>(sweepStarts + ((<usize>id + 1) << 1))) & CIRCLE;
}

export function beginSweep(): void {
  memory.copy(sweepStarts, currents, GENERATIONS_BYTES);
}
