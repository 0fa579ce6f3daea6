// What a request is answered for which no endpoint is picked.

import { utf8 } from "../abi/text";
import * as reply from "../reply";

const noSnapshotCode = utf8("no_snapshot");
const noEndpointsCode = utf8("no_endpoints");
const noProfileCode = utf8("unknown_profile");
const saturatedCode = utf8("saturated");
const modelNotFoundCode = utf8("model_not_found");
const noSnapshotMessage = utf8("The gateway does not know its model servers yet.");
const noEndpointsMessage = utf8("No model server of this pool is ready.");
const noProfileMessage = utf8("The header that chooses a scheduling profile names one that is not configured.");
const saturatedMessage = utf8("No model server can take this request at the moment.");
const noPoolMessage = utf8("No pool serves this request: several exist and none is the default.");

export function noSnapshot(): void {
  reply.error(503, reply.UNAVAILABLE, noSnapshotCode, noSnapshotMessage, reply.noEndpointsReason);
}

export function noPool(): void {
  reply.error(404, reply.NOT_FOUND_ERROR, modelNotFoundCode, noPoolMessage, null);
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
