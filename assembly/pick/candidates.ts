// Who may be picked, and what is known of them: columns of equal length, filled from the snapshot and from
// this proxy's own counts. Filters thin them out, scorers read them. Columns, not rows: a scorer reads one
// value of 1000 endpoints, and a column of them is 8 KB.

import { ENDPOINTS_MAX } from "../../src/wire/limits";
import { NEEDS_TOKENS } from "../../src/wire/program";
import * as endpoints from "../state/endpoints";
import * as snapshot from "../state/snapshot";
import * as subset from "./subset";

// Columns of f64. NaN in a measured value: not known; for scorers staleness.settle judges it.
const COLUMN_BYTES: u32 = ENDPOINTS_MAX * 8;
export const WAITING: usize = heap.alloc(COLUMN_BYTES);
export const RUNNING: usize = heap.alloc(COLUMN_BYTES);
export const KV_USAGE: usize = heap.alloc(COLUMN_BYTES);
/** Requests of all workers in flight. */
export const IN_FLIGHT: usize = heap.alloc(COLUMN_BYTES);
/** Prompt tokens in flight; only when the program asks for them. */
export const TOKENS: usize = heap.alloc(COLUMN_BYTES);
/** The score that the scorer at work gives, and the weighted sum so far. */
export const RAW: usize = heap.alloc(COLUMN_BYTES);
const TOTAL: usize = heap.alloc(COLUMN_BYTES);

// Columns of u32
const ROW: usize = heap.alloc(ENDPOINTS_MAX * 4);
const ID: usize = heap.alloc(ENDPOINTS_MAX * 4);
/** Blocks of the prompt that it holds, all blocks of the prompt, tokens in a block; by its block size. */
const MATCHED: usize = heap.alloc(ENDPOINTS_MAX * 4 + 16);
const BLOCKS: usize = heap.alloc(ENDPOINTS_MAX * 4);
const BLOCK_TOKENS: usize = heap.alloc(ENDPOINTS_MAX * 4);
const STALE: usize = heap.alloc(ENDPOINTS_MAX * 4);
/** What the filter at work says: whether it stays. */
const KEPT: usize = heap.alloc(ENDPOINTS_MAX * 4);

/** Whether any candidate holds some of the prompt; else the column of it is not even written. */
export let anyMatched: bool = false;
/** Whether all candidates have blocks of one size, and then how many the prompt has and of how many tokens. */
let isUniform: bool = true;
let uniformBlocks: u32 = 0;
let uniformTokens: u32 = 0;

export let count: u32 = 0;
/** Whether any candidate has fresh metrics. */
export let anyFresh: bool = false;
/** Candidates whose metrics are stale or not all known. Mostly none, and then there is nothing to settle. */
export let unsettled: u32 = 0;

/** Value n of a column of f64. */
export function value(column: usize, n: u32): f64 {
  return load<f64>(column + ((<usize>n) << 3));
}

export function setValue(column: usize, n: u32, to: f64): void {
  store<f64>(column + ((<usize>n) << 3), to);
}

export function row(n: u32): u32 {
  return load<u32>(ROW + ((<usize>n) << 2));
}

export function id(n: u32): u32 {
  return load<u32>(ID + ((<usize>n) << 2));
}

export function isStale(n: u32): bool {
  return load<u32>(STALE + ((<usize>n) << 2)) != 0;
}

export function matched(n: u32): u32 {
  return anyMatched ? load<u32>(MATCHED + ((<usize>n) << 2)) : 0;
}

/** Whether any of the candidates n … n + 3 holds some of the prompt; n is a multiple of 4. */
export function hasMatchedOfFour(n: u32): bool {
  return v128.any_true(v128.load(MATCHED + ((<usize>n) << 2)));
}

export function blocks(n: u32): u32 {
  return isUniform ? uniformBlocks : load<u32>(BLOCKS + ((<usize>n) << 2));
}

export function blockTokens(n: u32): u32 {
  return isUniform ? uniformTokens : load<u32>(BLOCK_TOKENS + ((<usize>n) << 2));
}

/** Nothing is known of the prompt. */
function clearMatch(): void {
  anyMatched = false;
  isUniform = true;
  uniformBlocks = 0;
  uniformTokens = 0;
}

/** The prompt has `all` blocks of `tokens` for every candidate. Who holds some is said afterwards. */
export function setUniform(all: u32, tokens: u32): void {
  uniformBlocks = all;
  uniformTokens = tokens;
}

/** Blocks differ in size: each candidate's are told. Until then it has none. */
export function setMixed(): void {
  isUniform = false;
  memory.fill(BLOCKS, 0, (<usize>count) << 2);
}

export function setBlocks(n: u32, all: u32, tokens: u32): void {
  store<u32>(BLOCKS + ((<usize>n) << 2), all);
  store<u32>(BLOCK_TOKENS + ((<usize>n) << 2), tokens);
}

/** Some candidates hold some of the prompt: what is told of each counts from now on. */
export function beginMatched(): void {
  // With what fills up the last four.
  if (!anyMatched) memory.fill(MATCHED, 0, ((<usize>count) << 2) + 12);
  anyMatched = true;
}

/** Candidate n holds so many blocks of the prompt. */
export function setMatched(n: u32, held: u32): void {
  store<u32>(MATCHED + ((<usize>n) << 2), held);
}

// ── Gathering ──

let countsTokens: bool = false;

/**
 * Fills the columns with the endpoints of a pool: those that are not down, or all when all are. Of a request that
 * is bound to some, only those.
 */
export function gather(pool: snapshot.Pool, nowNs: u64): void {
  countsTokens = (snapshot.program(pool).flags & NEEDS_TOKENS) != 0;
  clearMatch();
  if (!subset.isOn && !endpoints.isAnyDown(nowNs) && snapshot.isWholeAndFresh(nowNs)) {
    gatherAll(pool);
    return;
  }
  gatherWhere(pool, nowNs, false);
  if (count == 0) gatherWhere(pool, nowNs, true);
}

/** All of the pool, when nobody is down and everything is known and fresh: columns are copied as they are. */
function gatherAll(pool: snapshot.Pool): void {
  count = pool.rowCount;
  anyFresh = count != 0;
  unsettled = 0;
  const from = pool.firstRow;
  memory.copy(WAITING, snapshot.waitingFrom(from), (<usize>count) << 3);
  memory.copy(RUNNING, snapshot.runningFrom(from), (<usize>count) << 3);
  memory.copy(KV_USAGE, snapshot.kvUsageFrom(from), (<usize>count) << 3);
  memory.fill(STALE, 0, (<usize>count) << 2);
  for (let n: u32 = 0; n < count; ++n) {
    const known = snapshot.id(from + n);
    store<u32>(ROW + ((<usize>n) << 2), from + n);
    store<u32>(ID + ((<usize>n) << 2), known);
    setOwn(n, endpoints.at(known));
  }
}

function gatherWhere(pool: snapshot.Pool, nowNs: u64, alsoDown: bool): void {
  count = 0;
  anyFresh = false;
  unsettled = 0;
  for (let at = pool.firstRow, end = pool.firstRow + pool.rowCount; at < end; ++at) {
    const known = snapshot.id(at);
    if (known == endpoints.NO_ID) continue;
    const endpoint = endpoints.at(known);
    if (subset.isOn && !subset.allows(at, endpoint)) continue;
    if (!alsoDown && endpoints.isDown(endpoint, nowNs)) continue;
    add(at, known, endpoint, snapshot.isStale(at, nowNs));
  }
}

function add(at: u32, known: u32, endpoint: endpoints.Endpoint, stale: bool): void {
  const n = count;
  ++count;
  const waiting = load<f64>(snapshot.waitingFrom(at));
  const running = load<f64>(snapshot.runningFrom(at));
  const kvUsage = load<f64>(snapshot.kvUsageFrom(at));
  store<u32>(ROW + ((<usize>n) << 2), at);
  store<u32>(ID + ((<usize>n) << 2), known);
  store<u32>(STALE + ((<usize>n) << 2), stale ? 1 : 0);
  setValue(WAITING, n, waiting);
  setValue(RUNNING, n, running);
  setValue(KV_USAGE, n, kvUsage);
  setOwn(n, endpoint);
  if (!stale) anyFresh = true;
  if (stale || isNaN(waiting + running + kvUsage)) ++unsettled;
}

/**
 * What this proxy knows of candidate n. The scraped queue is corrected by what was sent and seen finished
 * since; only where there was a queue: otherwise what was sent may well be running.
 */
function setOwn(n: u32, endpoint: endpoints.Endpoint): void {
  const active = <f64>endpoints.inFlight(endpoint);
  setValue(IN_FLIGHT, n, active);
  if (countsTokens) setValue(TOKENS, n, <f64>endpoints.tokens(endpoint));
  const scraped = value(WAITING, n);
  if (scraped > 0) setValue(WAITING, n, max<f64>(0, scraped + active - <f64>endpoint.inFlightAtScrape));
}

// ── Filtering ──

/** Value n of a column as filters take it: unknown is 0. */
export function orZero(column: usize, n: u32): f64 {
  const known = value(column, n);
  return isNaN(known) ? 0 : known;
}

export function isKept(n: u32): bool {
  return load<u32>(KEPT + ((<usize>n) << 2)) != 0;
}

/** The filter at work keeps candidate n, or does not. */
export function setKept(n: u32, keeps: bool): void {
  store<u32>(KEPT + ((<usize>n) << 2), keeps ? 1 : 0);
}

export function keepAll(): void {
  for (let n: u32 = 0; n < count; ++n) setKept(n, true);
}

/** How many candidates the filter at work keeps. */
export function countKept(): u32 {
  let kept: u32 = 0;
  for (let n: u32 = 0; n < count; ++n) kept += load<u32>(KEPT + ((<usize>n) << 2));
  return kept;
}

/** Removes the candidates that the filter at work did not keep. */
export function removeOthers(): void {
  let to: u32 = 0;
  for (let n: u32 = 0; n < count; ++n) {
    if (!isKept(n)) continue;
    if (to != n) move(n, to);
    ++to;
  }
  count = to;
}

function move(from: u32, to: u32): void {
  setValue(WAITING, to, value(WAITING, from));
  setValue(RUNNING, to, value(RUNNING, from));
  setValue(KV_USAGE, to, value(KV_USAGE, from));
  setValue(IN_FLIGHT, to, value(IN_FLIGHT, from));
  setValue(TOKENS, to, value(TOKENS, from));
  store<u32>(ROW + ((<usize>to) << 2), row(from));
  store<u32>(ID + ((<usize>to) << 2), id(from));
  store<u32>(STALE + ((<usize>to) << 2), load<u32>(STALE + ((<usize>from) << 2)));
  setMatched(to, matched(from));
  setBlocks(to, blocks(from), blockTokens(from));
}

// ── Scoring ──

/** The scorer at work gives candidate n this score. */
export function setRaw(n: u32, score: f64): void {
  setValue(RAW, n, score);
}

/** … and all candidates this one. */
export function setAllRaw(score: f64): void {
  const scores = f64x2.splat(score);
  for (let at: usize = 0, end = (<usize>count) << 3; at < end; at += 16) v128.store(RAW + at, scores);
}

export function raw(n: u32): f64 {
  return value(RAW, n);
}

/** The score of candidate n within 0 … 1; NaN is 0. */
export function clamped(n: u32): f64 {
  const score = raw(n);
  return score > 0 ? min<f64>(score, 1) : 0;
}

export function total(n: u32): f64 {
  return value(TOTAL, n);
}

/** Sets all totals to 0, before the first scorer. */
export function beginTotals(): void {
  memory.fill(TOTAL, 0, (<usize>count) << 3);
}

/** Adds weight × the scores of the scorer that has just worked, each clamped. Two at a time. */
export function addScores(weight: f64): void {
  const weights = f64x2.splat(weight);
  const zeros = f64x2.splat(0);
  const ones = f64x2.splat(1);
  // The odd one's neighbour lies in the column's unused part.
  for (let at: usize = 0, end = (<usize>count) << 3; at < end; at += 16) {
    // pmax and pmin give their first operand unless the second compares greater or less: NaN becomes 0.
    const scores = f64x2.pmin(ones, f64x2.pmax(zeros, v128.load(RAW + at)));
    v128.store(TOTAL + at, f64x2.add(v128.load(TOTAL + at), f64x2.mul(weights, scores)));
  }
}
