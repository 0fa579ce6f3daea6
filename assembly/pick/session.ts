// Which endpoint the request's session belongs to. Either the client brings the endpoint's name, encoded, as
// an earlier response gave it; or it brings an id that this proxy has bound to an endpoint.

import { ENDPOINT_ID_BYTES_MAX } from "../../src/wire/limits";
import { SESSION_ID } from "../../src/wire/program";
import { decode } from "../abi/base64";
import * as endpoints from "../state/endpoints";
import { Step } from "../state/program";
import * as sessions from "../state/sessions";
import * as snapshot from "../state/snapshot";
import * as candidates from "./candidates";
import * as request from "./request";

/** The session's id, hashed; 0 = the request has none. Set by find. */
export let id: u64 = 0;
/** Whether the session is bound to an endpoint that is not among the candidates: then it moves. */
export let isHomeless: bool = false;

const name: usize = heap.alloc(ENDPOINT_ID_BYTES_MAX + 4);
const NOBODY: u32 = 0xffffffff;

export function begin(): void {
  id = 0;
  isHomeless = false;
}

/** Number of the candidate that the session belongs to, by the step's headers; NOBODY. */
export function find(step: Step): u32 {
  return (<u32>step.flags & SESSION_ID) != 0 ? findById(step) : findByName(step);
}

function findById(step: Step): u32 {
  if (!readId(step)) return NOBODY;
  const bound = sessions.find(id, request.nowNs, request.sessionTtlNs());
  if (bound == endpoints.NO_ID) return NOBODY;
  isHomeless = true;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    if (candidates.id(n) != bound) continue;
    isHomeless = false;
    return n;
  }
  return NOBODY;
}

/** The first of the step's headers that is there. */
function readId(step: Step): bool {
  for (let n: u32 = 0; n < step.headerCount; ++n) {
    if (!request.readHeader(step.firstHeader + n)) continue;
    id = request.hashInPool(request.value, request.valueLength);
    return true;
  }
  return false;
}

function findByName(step: Step): u32 {
  if (step.headerCount == 0 || !request.readHeader(step.firstHeader)) return NOBODY;
  if (request.valueLength > ((ENDPOINT_ID_BYTES_MAX + 2) / 3) * 4) return NOBODY;
  const length = decode(request.value, request.valueLength, name);
  if (length == 0) return NOBODY;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const row = candidates.row(n);
    if (snapshot.endpointIdLength(row) != length) continue;
    if (memory.compare(snapshot.endpointId(row), name, length) == 0) return n;
  }
  return NOBODY;
}

/** After a pick: the session belongs to the endpoint `chosen`. Answers whether the other workers must be told. */
export function keep(chosen: u32): bool {
  if (id == 0) return false;
  if (isHomeless || sessions.find(id, request.nowNs, request.sessionTtlNs()) == endpoints.NO_ID) {
    sessions.bind(id, chosen, request.nowNs);
    return true;
  }
  return sessions.refresh(id, request.nowNs, request.sessionTtlNs());
}
