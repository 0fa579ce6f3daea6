// In which blocks each endpoint caches prompts, and how many it keeps: settled when metrics arrive, so that
// a pick only looks up. A pool may mix up to BLOCK_SIZES_MAX sizes.

import { BLOCK_SIZES_MAX, BLOCK_TOKENS_MIN, ENDPOINTS_MAX, INDEX_MIB_DEFAULT } from "../../src/wire/limits";
import { AUTO_TUNE, NEEDS_PREFIX } from "../../src/wire/program";
import { KNOWN_BLOCK_SIZE, KNOWN_BLOCKS } from "../../src/wire/snapshot";
import * as index from "../prefix/index";
import * as cold from "./cold";
import * as endpoints from "./endpoints";
import { Program } from "./program";
import * as snapshot from "./snapshot";

export const NO_CLASS: u32 = 0xffffffff;

/** Of each row of a pool that matches prompts: its class, u8; tokens in a block of that class, u32. */
const classesOfRows: usize = heap.alloc(ENDPOINTS_MAX);
const tokensOfRows: usize = heap.alloc(ENDPOINTS_MAX * 4);
/** … how many classes its pool has, u8. */
const classCounts: usize = heap.alloc(ENDPOINTS_MAX);
/** Of each id what the endpoint last reported, u32 each: tokens in a block, blocks; 0 = nothing. */
const reportedSizes: usize = heap.alloc(endpoints.IDS_MAX * 4);
const reportedBlocks: usize = heap.alloc(endpoints.IDS_MAX * 4);
/** Of each class of the pool that is being settled: tokens in a block, u32. */
const sizes = memory.data(4 * BLOCK_SIZES_MAX, 4);
let classes: u32 = 0;
/** Whether the prefix index is there. */
export let isOpen: bool = false;

/** Which of its pool's block sizes the endpoint has. */
export function classOf(row: u32): u32 {
  return load<u8>(classesOfRows + row);
}

/** Tokens in a block of it. */
export function tokensOf(row: u32): u32 {
  return load<u32>(tokensOfRows + (row << 2));
}

/** How many block sizes the row's pool has. */
export function classesBeside(row: u32): u32 {
  return load<u8>(classCounts + row);
}

/** What the index may take; that of the last plugin configured in this VM. */
let budgetBytes: u32 = INDEX_MIB_DEFAULT << 20;

export function setBudget(bytes: u32): void {
  budgetBytes = bytes;
}

function matchesPrompts(pool: snapshot.Pool): bool {
  return (snapshot.program(pool).flags & NEEDS_PREFIX) != 0;
}

function wantsPrefix(): bool {
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) if (matchesPrompts(snapshot.pool(n))) return true;
  return false;
}

/**
 * Settles sizes and capacities by the snapshot in force; makes the index when a program first wants one.
 * Called when metrics came into force.
 */
export function settle(): void {
  for (let row: u32 = 0; row < snapshot.rowCount; ++row) noteReported(row);
  if (!isOpen && wantsPrefix()) isOpen = index.open(budgetBytes);
  if (!isOpen) return;
  index.setEndpoints(endpoints.idLimit());
  index.setShare(snapshot.rowCount);
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    if (matchesPrompts(snapshot.pool(n))) settlePool(snapshot.pool(n));
  }
}

/** Keeps what the endpoint reports: until the first metrics of another topology, or of another agent, it holds. */
function noteReported(row: u32): void {
  const measured = changetype<snapshot.Metrics>(snapshot.metricsRow(row));
  const id = snapshot.id(row);
  if (measured.known == 0 || id == endpoints.NO_ID) return;
  const size = (measured.known & KNOWN_BLOCK_SIZE) != 0 ? measured.blockSize : 0;
  const blocks = (measured.known & KNOWN_BLOCKS) != 0 ? measured.blocks : 0;
  store<u32>(reportedSizes + (id << 2), size);
  store<u32>(reportedBlocks + (id << 2), blocks);
}

function settlePool(pool: snapshot.Pool): void {
  classes = 0;
  const program = snapshot.program(pool);
  for (let row = pool.firstRow, end = pool.firstRow + pool.rowCount; row < end; ++row) settleRow(row, program);
  memory.fill(classCounts + pool.firstRow, <u8>classes, pool.rowCount);
}

function settleRow(row: u32, program: Program): void {
  const id = snapshot.id(row);
  const tunes = (program.flags & AUTO_TUNE) != 0 && id != endpoints.NO_ID;
  const reported: u32 = tunes ? load<u32>(reportedSizes + (id << 2)) : 0;
  const size = classFor(max<u32>(reported != 0 ? reported : program.blockSize, BLOCK_TOKENS_MIN));
  const tokens = load<u32>(sizes + (size << 2));
  store<u8>(classesOfRows + row, <u8>size);
  store<u32>(tokensOfRows + (row << 2), tokens);
  if (id == endpoints.NO_ID) return;
  const blocks: u32 = reported != 0 ? load<u32>(reportedBlocks + (id << 2)) : 0;
  const capacity = blocks != 0 ? (<u64>blocks * reported) / tokens : <u64>program.capacity;
  index.setCapacity(id, <u32>min<u64>(max<u64>(capacity, 1), <u64>i32.MAX_VALUE));
}

/** The class of blocks of `tokens`; of the nearest size when there are too many. */
function classFor(tokens: u32): u32 {
  let nearest: u32 = 0;
  let distance: u32 = u32.MAX_VALUE;
  for (let size: u32 = 0; size < classes; ++size) {
    const known = load<u32>(sizes + (size << 2));
    const apart = known > tokens ? known - tokens : tokens - known;
    if (apart < distance) {
      distance = apart;
      nearest = size;
    }
  }
  if (distance == 0 || classes == BLOCK_SIZES_MAX) return nearest;
  store<u32>(sizes + (classes << 2), tokens);
  return classes++;
}

/** Another topology came into force: endpoints that it does not name hold nothing any more. */
export function settleTopology(): void {
  for (let id: u32 = 0; id < endpoints.idLimit(); ++id) {
    if (endpoints.at(id).row != endpoints.NO_ROW) continue;
    if (isOpen) index.forget(id);
    store<u32>(reportedSizes + (id << 2), 0);
    store<u32>(reportedBlocks + (id << 2), 0);
  }
  cold.forgetGone();
  settle();
}
