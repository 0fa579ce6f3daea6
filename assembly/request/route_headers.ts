// Has Envoy choose the route anew, by what the filter says in headers: the pool and the model, where there are
// several pools or the configuration asks for it; and that the request has a destination, where requests may
// wait: until then it is on a route that ends it when it waits for too long.

import { HEADER_MODEL_NAME, HEADER_POOL } from "../../src/wire/names";
import * as host from "../abi/host";
import { REQUEST_HEADERS } from "../abi/status";
import { utf8 } from "../abi/text";
import * as configs from "../config";
import * as flowSettings from "../state/flow_settings";
import * as snapshot from "../state/snapshot";
import * as model from "./model";

const modelHeader = utf8(HEADER_MODEL_NAME);
const poolHeader = utf8(HEADER_POOL);

/**
 * The request at hand goes to the pool of that number, if there is such. `hasWaited`: whatever the rules are by now,
 * it is on the route of those that wait.
 */
export function nameForRoutes(config: configs.Config, pool: u32, hasWaited: bool): void {
  if (snapshot.poolCount <= 1 && config.modelHeader == 0) {
    if (hasWaited || queues(pool)) host.chooseRouteAnew();
    return;
  }
  // The caller's name, as the Body-Based Router sets it; one that no header can hold is left out.
  if (model.isNameable() && isPrintable(model.caller, model.callerLength)) {
    host.setHeader(REQUEST_HEADERS, modelHeader, model.caller, model.callerLength);
  }
  if (pool < snapshot.poolCount) setPool(snapshot.pool(pool));
  host.chooseRouteAnew();
}

function queues(pool: u32): bool {
  return pool < snapshot.poolCount && flowSettings.queues(snapshot.program(snapshot.pool(pool)));
}

function setPool(pool: snapshot.Pool): void {
  if (!isPrintable(snapshot.poolName(pool), pool.nameLength)) return;
  host.setHeader(REQUEST_HEADERS, poolHeader, snapshot.poolName(pool), pool.nameLength);
}

/** Whether all of it is visible ASCII: anything else in a header could end it early. */
function isPrintable(p: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; ++i) {
    const c = load<u8>(p + i);
    if (c < 0x21 || c > 0x7e) return false;
  }
  return length != 0;
}
