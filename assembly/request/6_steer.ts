// Last station of a request: tells Envoy where to send it. The list is in order of preference; Envoy
// walks it on retries, so the number of retries is what bounds it.

import { ADDRESS_BYTES_MAX, DESTINATIONS_MAX } from "../../src/wire/limits";
import { HEADER_DESTINATION, HEADER_MAX_RETRIES } from "../../src/wire/names";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { utf8 } from "../abi/text";
import * as choice from "../pick/choose";
import * as snapshot from "../state/snapshot";

const destinationHeader = utf8(HEADER_DESTINATION);
const maxRetriesHeader = utf8(HEADER_MAX_RETRIES);
const list: usize = heap.alloc((ADDRESS_BYTES_MAX + 1) * DESTINATIONS_MAX);
const digit = memory.data(1);

/** Sends the request to the endpoints just chosen. */
export function steer(): void {
  let end = list;
  for (let n: u32 = 0; n < choice.chosen; ++n) {
    if (n > 0) store<u8>(end++, 0x2c);
    const row = choice.choice(n).row;
    const length = snapshot.addressLength(row);
    memory.copy(end, snapshot.address(row), length);
    end += length;
  }
  host.setHeader(REQUEST_HEADERS, destinationHeader, list, <u32>(end - list));
  // The route's own number of retries fits a full list.
  if (choice.chosen == DESTINATIONS_MAX) return;
  store<u8>(digit, <u8>(0x30 + choice.chosen - 1));
  host.setHeader(REQUEST_HEADERS, maxRetriesHeader, digit, 1);
}
