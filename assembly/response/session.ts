// Tells a client the name of the endpoint that served it, encoded: with that header its next request finds
// the same one (session affinity by encoded endpoint).

import { ENDPOINT_ID_BYTES_MAX } from "../../src/wire/limits";
import { NONE } from "../../src/wire/program";
import { encode } from "../abi/base64";
import * as host from "../abi/host";
import { RESPONSE_HEADERS } from "../abi/status";
import { Config } from "../config";
import { poolOf } from "../request/pool";
import * as endpoints from "../state/endpoints";
import * as programs from "../state/program";
import * as snapshot from "../state/snapshot";
import * as streams from "../state/streams";

const token: usize = heap.alloc(((ENDPOINT_ID_BYTES_MAX + 2) / 3) * 4);

/** Endpoint `id` served the stream. Nothing is told of one that has left the pool. */
export function tell(id: u32, stream: streams.Stream, config: Config): void {
  const number = poolOfStream(stream, config);
  if (id == endpoints.NO_ID || number >= snapshot.poolCount) return;
  const pool = snapshot.pool(number);
  const program = snapshot.program(pool);
  const row = rowIn(pool, id);
  if (row == endpoints.NO_ROW) return;
  if (program.sessionHeader == NONE) return;
  const name = snapshot.programTexts(pool) + programs.headerOffset(program, program.sessionHeader);
  const nameLength = programs.headerLength(program, program.sessionHeader);
  const length = encode(snapshot.endpointId(row), snapshot.endpointIdLength(row), token);
  host.setHeaderNamed(RESPONSE_HEADERS, name, nameLength, token, length);
}

/** After another topology has come pools may have other numbers: then only the default pool is told. */
function poolOfStream(stream: streams.Stream, config: Config): u32 {
  return stream.topology == endpoints.topologies ? <u32>stream.pool : poolOf(config);
}

/** The endpoint's row in the pool, or NO_ROW. Its first row is mostly that one; it may be in several pools. */
function rowIn(pool: snapshot.Pool, id: u32): u32 {
  const first = endpoints.at(id).row;
  const end = pool.firstRow + pool.rowCount;
  if (first >= pool.firstRow && first < end) return first;
  for (let row = pool.firstRow; row < end; ++row) if (snapshot.id(row) == id) return row;
  return endpoints.NO_ROW;
}
