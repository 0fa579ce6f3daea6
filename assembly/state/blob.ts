// What must hold of a blob before a byte of its tables is read. Shared by ingest, which refuses a
// blob with the reason, and by the filters, which keep what they have.

import {
  ADAPTER_HASHES_MAX,
  ADDRESS_BYTES_MAX,
  ENDPOINT_ID_BYTES_MAX,
  ENDPOINTS_MAX,
  POOL_NAME_BYTES_MAX,
  POOLS_MAX,
} from "../../src/wire/limits";
import {
  E_ADDRESS_LENGTH,
  E_ADDRESS_OFFSET,
  E_ID_LENGTH,
  E_ID_OFFSET,
  E_POD_LENGTH,
  E_POD_OFFSET,
  ENDPOINT_BYTES,
  ENDPOINT_BYTES_2,
  FORMAT,
  FORMAT_OLDEST,
  H_FORMAT,
  H_HEAP_LENGTH,
  H_HEAP_OFFSET,
  H_KIND,
  H_LENGTH,
  H_MAGIC,
  H_POOL_COUNT,
  H_POOLS_OFFSET,
  H_ROW_COUNT,
  H_ROWS_OFFSET,
  HEADER_BYTES,
  KIND_TOPOLOGY,
  M_ADAPTERS,
  M_RUNNING_ADAPTERS,
  M_WAITING_ADAPTERS,
  MAGIC,
  METRICS_BYTES,
  METRICS_BYTES_2,
  P_FIRST_ROW,
  P_MODELS,
  P_MODELS_BYTES,
  P_NAME_LENGTH,
  P_NAME_OFFSET,
  P_PROGRAM,
  P_PROGRAM_BYTES,
  P_ROW_COUNT,
  POOL_BYTES,
  POOL_BYTES_2,
} from "../../src/wire/snapshot";
import * as models from "./models";
import * as programs from "./program";

export const GOOD = 0;
export const TOO_SHORT = 1;
export const BAD_MAGIC = 2;
export const BAD_KIND = 3;
export const BAD_LENGTH = 4;
export const BAD_TABLE = 5;

export function isReadable(p: usize): bool {
  const format = <u32>load<u16>(p, H_FORMAT);
  return format >= FORMAT_OLDEST && format <= FORMAT;
}

function isFormat2(p: usize): bool {
  return load<u16>(p, H_FORMAT) == 2;
}

/** Bytes of a pool's row in the blob's format. */
function poolRowBytes(p: usize): u32 {
  return isFormat2(p) ? POOL_BYTES_2 : POOL_BYTES;
}

function endpointRowBytes(p: usize): u32 {
  return isFormat2(p) ? ENDPOINT_BYTES_2 : ENDPOINT_BYTES;
}

function metricsRowBytes(p: usize): u32 {
  return isFormat2(p) ? METRICS_BYTES_2 : METRICS_BYTES;
}

/** Whether `count` rows of `rowBytes` from `offset` lie inside the blob, 8-byte aligned. */
function fits(offset: u32, count: u32, rowBytes: u32, length: u32): bool {
  return (offset & 7) == 0 && offset >= HEADER_BYTES && <u64>offset + <u64>count * rowBytes <= <u64>length;
}

/** The first thing that is wrong with the `length` bytes at `p` as a blob of `kind`, or GOOD. */
export function check(p: usize, length: u32, kind: u32): i32 {
  if (length < HEADER_BYTES) return TOO_SHORT;
  if (load<u32>(p, H_MAGIC) != MAGIC) return BAD_MAGIC;
  if (load<u16>(p, H_KIND) != kind) return BAD_KIND;
  if (load<u32>(p, H_LENGTH) != length) return BAD_LENGTH;
  if (!isReadable(p)) return GOOD; // a later format may lay its tables out otherwise
  return checkTables(p, length, kind) ? GOOD : BAD_TABLE;
}

function checkTables(p: usize, length: u32, kind: u32): bool {
  const rows = load<u32>(p, H_ROW_COUNT);
  if (rows > ENDPOINTS_MAX) return false;
  const heapEnd = <u64>load<u32>(p, H_HEAP_OFFSET) + load<u32>(p, H_HEAP_LENGTH);
  if (heapEnd > <u64>length) return false;
  const rowBytes = kind == KIND_TOPOLOGY ? endpointRowBytes(p) : metricsRowBytes(p);
  if (!fits(load<u32>(p, H_ROWS_OFFSET), rows, rowBytes, length)) return false;
  if (kind != KIND_TOPOLOGY) return isFormat2(p) || checkAdapters(p, rows);
  const pools = load<u32>(p, H_POOL_COUNT);
  if (pools > POOLS_MAX) return false;
  if (!fits(load<u32>(p, H_POOLS_OFFSET), pools, poolRowBytes(p), length)) return false;
  // Widened rows and the heap are laid out anew: what both were part of would be there twice.
  const rowsEnd = load<u32>(p, H_ROWS_OFFSET) + rows * rowBytes;
  if (isFormat2(p) && load<u32>(p, H_HEAP_OFFSET) < rowsEnd) return false;
  return checkPools(p, pools, rows, length) && checkEndpoints(p, rows);
}

/** The heap of metrics: hashes of adapters' names, 8 bytes each. */
function checkAdapters(p: usize, rows: u32): bool {
  const hashes = load<u32>(p, H_HEAP_LENGTH) >> 3;
  if (hashes > ADAPTER_HASHES_MAX || ((load<u32>(p, H_HEAP_OFFSET) | load<u32>(p, H_HEAP_LENGTH)) & 7) != 0)
    return false;
  let row = p + load<u32>(p, H_ROWS_OFFSET);
  for (let i: u32 = 0; i < rows; ++i, row += METRICS_BYTES) {
    const count = <u32>load<u16>(row, M_RUNNING_ADAPTERS) + load<u16>(row, M_WAITING_ADAPTERS);
    if (<u64>load<u32>(row, M_ADAPTERS) + count > <u64>hashes) return false;
  }
  return true;
}

function textFits(p: usize, offset: u32, length: u32, lengthMax: u32): bool {
  return length <= lengthMax && <u64>offset + length <= <u64>load<u32>(p, H_HEAP_LENGTH);
}

function checkPools(p: usize, pools: u32, rows: u32, length: u32): bool {
  let row = p + load<u32>(p, H_POOLS_OFFSET);
  const rowBytes = poolRowBytes(p);
  for (let i: u32 = 0; i < pools; ++i, row += rowBytes) {
    if (!textFits(p, load<u32>(row, P_NAME_OFFSET), load<u32>(row, P_NAME_LENGTH), POOL_NAME_BYTES_MAX)) return false;
    if (<u64>load<u32>(row, P_FIRST_ROW) + load<u32>(row, P_ROW_COUNT) > <u64>rows) return false;
    if (isFormat2(p)) continue;
    if (!checkProgram(p, load<u32>(row, P_PROGRAM), load<u32>(row, P_PROGRAM_BYTES), length)) return false;
    if (!checkModels(p, load<u32>(row, P_MODELS), load<u32>(row, P_MODELS_BYTES), length)) return false;
  }
  return true;
}

function checkProgram(p: usize, offset: u32, bytes: u32, length: u32): bool {
  if (offset == 0) return true;
  return fits(offset, 1, bytes, length) && programs.isGood(p + offset, bytes, load<u32>(p, H_HEAP_LENGTH));
}

function checkModels(p: usize, offset: u32, bytes: u32, length: u32): bool {
  if (offset == 0) return true;
  return fits(offset, 1, bytes, length) && models.isGood(p + offset, bytes, load<u32>(p, H_HEAP_LENGTH));
}

function checkEndpoints(p: usize, rows: u32): bool {
  let row = p + load<u32>(p, H_ROWS_OFFSET);
  const rowBytes = endpointRowBytes(p);
  for (let i: u32 = 0; i < rows; ++i, row += rowBytes) {
    const length = load<u32>(row, E_ADDRESS_LENGTH);
    if (length == 0 || !textFits(p, load<u32>(row, E_ADDRESS_OFFSET), length, ADDRESS_BYTES_MAX)) return false;
    const podLength = load<u32>(row, E_POD_LENGTH);
    if (!textFits(p, load<u32>(row, E_POD_OFFSET), podLength, ENDPOINT_ID_BYTES_MAX)) return false;
    if (isFormat2(p)) continue;
    if (!textFits(p, load<u32>(row, E_ID_OFFSET), load<u32>(row, E_ID_LENGTH), ENDPOINT_ID_BYTES_MAX)) return false;
  }
  return true;
}
