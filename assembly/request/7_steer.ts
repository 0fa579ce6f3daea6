// Last station of a request: tells Envoy where to send it. The list is in order of preference; Envoy
// walks it on retries, so the number of retries is what bounds it.

import { ADDRESS_BYTES_MAX, DESTINATIONS_MAX } from "../../src/wire/limits";
import { HEADER_DATA_PARALLEL, HEADER_DESTINATION, HEADER_MAX_RETRIES } from "../../src/wire/names";
import { DESTINATIONS_DEFAULT } from "../../src/wire/policy";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { putNumber, utf8 } from "../abi/text";
import * as candidates from "../pick/candidates";
import * as choice from "../pick/choose";
import * as snapshot from "../state/snapshot";

const destinationHeader = utf8(HEADER_DESTINATION);
const dataParallelHeader = utf8(HEADER_DATA_PARALLEL);
const maxRetriesHeader = utf8(HEADER_MAX_RETRIES);
/** An address, another port and a comma for each. */
const list: usize = heap.alloc((ADDRESS_BYTES_MAX + 8) * DESTINATIONS_MAX);
const digit = memory.data(1);

/** Sends the request to the endpoints just chosen; to `port` there, when it is not 0. */
export function steer(port: u32): void {
  let end = list;
  for (let n: u32 = 0; n < choice.chosen; ++n) {
    if (n > 0) store<u8>(end++, 0x2c);
    end = putAddress(end, candidates.row(choice.choice(n)), port);
  }
  host.setHeader(REQUEST_HEADERS, destinationHeader, list, <u32>(end - list));
  if (port != 0) {
    const row = candidates.row(choice.choice(0));
    host.setHeader(REQUEST_HEADERS, dataParallelHeader, snapshot.address(row), snapshot.addressLength(row));
  }
  // The route's own number of retries fits a list of the default length.
  if (choice.chosen == DESTINATIONS_DEFAULT) return;
  store<u8>(digit, <u8>(0x30 + choice.chosen - 1));
  host.setHeader(REQUEST_HEADERS, maxRetriesHeader, digit, 1);
}

/** Writes a row's address, with `port` in the place of its own unless that is 0. Answers the end. */
function putAddress(to: usize, row: u32, port: u32): usize {
  let length = snapshot.addressLength(row);
  memory.copy(to, snapshot.address(row), length);
  if (port == 0) return to + length;
  while (length != 0 && load<u8>(to + length - 1) != 0x3a) --length;
  return putNumber(to + length, port);
}
