// Tells a client the name of the endpoint that served it, encoded: with that header its next request finds
// the same one (session affinity by encoded endpoint).

import { ENDPOINT_ID_BYTES_MAX } from "../../src/wire/limits";
import { NONE } from "../../src/wire/program";
import { encode } from "../abi/base64";
import * as host from "../abi/host";
import { RESPONSE_HEADERS } from "../abi/status";
import * as endpoints from "../state/endpoints";
import * as programs from "../state/program";
import * as snapshot from "../state/snapshot";

const token: usize = heap.alloc(((ENDPOINT_ID_BYTES_MAX + 2) / 3) * 4);

/** Endpoint `id` served. Nothing is told of one that has left the topology. */
export function tell(id: u32): void {
  if (id == endpoints.NO_ID || endpoints.at(id).row == endpoints.NO_ROW) return;
  const row = endpoints.at(id).row;
  const number = snapshot.poolOfRow(row);
  if (number == snapshot.poolCount) return;
  const pool = snapshot.pool(number);
  const program = snapshot.program(pool);
  if (program.sessionHeader == NONE) return;
  const name = snapshot.programTexts(pool) + programs.headerOffset(program, program.sessionHeader);
  const nameLength = programs.headerLength(program, program.sessionHeader);
  const length = encode(snapshot.endpointId(row), snapshot.endpointIdLength(row), token);
  host.setHeaderNamed(RESPONSE_HEADERS, name, nameLength, token, length);
}
