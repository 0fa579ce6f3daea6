// What a request is answered for which no endpoint is picked.

import { utf8 } from "../abi/text";
import * as reply from "../reply";
import * as snapshot from "../state/snapshot";
import { UNKNOWN_POOL } from "./pool";

const noSnapshotCode = utf8("no_snapshot");
const noEndpointsCode = utf8("no_endpoints");
const noProfileCode = utf8("unknown_profile");
const saturatedCode = utf8("saturated");
const modelNotFoundCode = utf8("model_not_found");
const noSnapshotMessage = utf8("The gateway does not know its model servers yet.");
const noEndpointsMessage = utf8("No model server of this pool is ready.");
const noProfileMessage = utf8("The header that chooses a scheduling profile names one that is not configured.");
const saturatedMessage = utf8("No model server can take this request at the moment.");
const noPoolMessage = utf8("No pool serves this model: several exist, none names it and none is the default.");
const unknownPoolMessage = utf8("The route or a header of this request names a pool that does not exist.");
const noneOfSubsetMessage = utf8("None of the model servers that this request is bound to is ready.");
const ttlExpiredCode = utf8("ttl_expired");
const shuttingDownCode = utf8("shutting_down");
const evictedCode = utf8("evicted");
const fullMessage = utf8("The model servers are busy, and there is no room for this request to wait.");
const ttlExpiredMessage = utf8("The model servers were busy for as long as this request may wait.");
const stayedEmptyMessage = utf8("No model server of this pool became ready for as long as this request may wait.");
const shuttingDownMessage = utf8("The gateway is being shut down.");
const evictedMessage = utf8("This request was ended for more urgent ones.");
const notCachedCode = utf8("not_cached");
const notCachedMessage = utf8(
  "The model server for this request holds nothing of its prompt, and the request prefers to fail.",
);
const notRewrittenCode = utf8("not_rewritten");
const notRewrittenMessage = utf8("The model's name in the body of this request could not be replaced.");

function noSnapshot(): void {
  reply.error(503, reply.UNAVAILABLE, noSnapshotCode, noSnapshotMessage, reply.noEndpointsReason);
}

/** `pool`: what was found in the place of a pool. */
export function noPool(pool: u32): void {
  if (snapshot.poolCount == 0) {
    noSnapshot();
    return;
  }
  const message = pool == UNKNOWN_POOL ? unknownPoolMessage : noPoolMessage;
  reply.error(404, reply.NOT_FOUND_ERROR, modelNotFoundCode, message, null);
}

/** Of those that the subset hint allows. */
export function noneOfSubset(): void {
  reply.error(503, reply.UNAVAILABLE, noEndpointsCode, noneOfSubsetMessage, reply.noEndpointsReason);
}

/** The request prefers to be refused. */
export function notCached(): void {
  reply.error(412, reply.INVALID_REQUEST, notCachedCode, notCachedMessage, null);
}

export function notRewritten(): void {
  reply.error(500, reply.INTERNAL, notRewrittenCode, notRewrittenMessage, null);
}

export function noEndpoints(): void {
  reply.error(503, reply.UNAVAILABLE, noEndpointsCode, noEndpointsMessage, reply.noEndpointsReason);
}

export function noProfile(): void {
  reply.error(400, reply.INVALID_REQUEST, noProfileCode, noProfileMessage, null);
}

export function saturated(): void {
  reply.error(429, reply.RATE_LIMITED, saturatedCode, saturatedMessage, reply.saturatedReason);
}

/** No place, and no room to wait. */
export function full(retryS: f64): void {
  reply.error(429, reply.RATE_LIMITED, saturatedCode, fullMessage, reply.saturatedReason, retryS);
}

/** It waited as long as it may; `isEmpty`: for the first endpoint of its pool. */
export function expired(isEmpty: bool, retryS: f64): void {
  const reason = reply.ttlExpiredReason;
  if (isEmpty) reply.error(503, reply.UNAVAILABLE, ttlExpiredCode, stayedEmptyMessage, reason, retryS);
  else reply.error(429, reply.RATE_LIMITED, ttlExpiredCode, ttlExpiredMessage, reason, retryS);
}

export function shuttingDown(): void {
  reply.error(503, reply.UNAVAILABLE, shuttingDownCode, shuttingDownMessage, reply.shuttingDownReason);
}

/** It ran, and had not begun to be answered. */
export function evicted(retryS: f64): void {
  reply.error(429, reply.RATE_LIMITED, evictedCode, evictedMessage, reply.evictedReason, retryS);
}
