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

/** Of each class: tokens in a block, u32. */
const sizes = memory.data(4 * BLOCK_SIZES_MAX, 4);
/** Of each row: its class, u8. */
const classesOfRows: usize = heap.alloc(ENDPOINTS_MAX);
/** Sizes told apart at present. */
export let classes: u32 = 0;
/** Whether the prefix index is there. */
export let isOpen: bool = false;

export function classOf(row: u32): u32 {
  return load<u8>(classesOfRows + row);
}

/** Tokens in a block of that class. */
export function tokensOf(size: u32): u32 {
  return load<u32>(sizes + (size << 2));
}

function wantsPrefix(): bool {
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    if ((snapshot.program(snapshot.pool(n)).flags & NEEDS_PREFIX) != 0) return true;
  }
  return false;
}

/** What the index may take; that of the last plugin configured in this VM. */
let budgetBytes: u32 = INDEX_MIB_DEFAULT << 20;

export function setBudget(bytes: u32): void {
  budgetBytes = bytes;
}

/**
 * Settles sizes and capacities by the snapshot in force; makes the index when a program first wants one.
 * Called when metrics came into force.
 */
export function settle(): void {
  if (!isOpen && wantsPrefix()) isOpen = index.open(budgetBytes);
  if (!isOpen) return;
  classes = 0;
  index.setEndpoints(endpoints.idLimit());
  index.setShare(snapshot.rowCount);
  for (let n: u32 = 0; n < snapshot.poolCount; ++n) {
    const pool = snapshot.pool(n);
    const program = snapshot.program(pool);
    for (let row = pool.firstRow, end = pool.firstRow + pool.rowCount; row < end; ++row) settleRow(row, program);
  }
}

function settleRow(row: u32, program: Program): void {
  const measured = changetype<snapshot.Metrics>(snapshot.metricsRow(row));
  const tunes = (program.flags & AUTO_TUNE) != 0;
  const reported = tunes && (measured.known & KNOWN_BLOCK_SIZE) != 0;
  const told = reported ? measured.blockSize : program.blockSize;
  const size = classFor(max<u32>(told, BLOCK_TOKENS_MIN));
  store<u8>(classesOfRows + row, <u8>size);
  const id = snapshot.id(row);
  if (id == endpoints.NO_ID) return;
  let capacity = <u64>program.capacity;
  if (reported && (measured.known & KNOWN_BLOCKS) != 0 && measured.blocks != 0) {
    capacity = (<u64>measured.blocks * told) / tokensOf(size);
  }
  index.setCapacity(id, <u32>min<u64>(max<u64>(capacity, 1), <u64>i32.MAX_VALUE));
}

/** The class of blocks of `tokens`; of the nearest size when there are too many. */
function classFor(tokens: u32): u32 {
  let nearest: u32 = 0;
  let distance: u32 = u32.MAX_VALUE;
  for (let size: u32 = 0; size < classes; ++size) {
    const known = tokensOf(size);
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
    cold.forget(id);
  }
  settle();
}
