// Removes what only the gateway may say from requests before a route is chosen: on every route, also one that
// bypasses the filter, and before a route could match on it.

import {
  HEADER_BASE_MODEL_NAME,
  HEADER_DATA_PARALLEL,
  HEADER_DESTINATION,
  HEADER_ENCODERS,
  HEADER_HEDGE,
  HEADER_KV_SOURCE,
  HEADER_MAX_RETRIES,
  HEADER_MODEL_NAME,
  HEADER_POOL,
  HEADER_PREFILLER,
  HEADER_RETRIABLE_CODES,
  HEADER_RETRIABLE_HEADERS,
  HEADER_RETRY_GRPC_ON,
  HEADER_RETRY_ON,
  HEADER_SERVED,
  HEADER_SUBSET,
  HEADER_TIMEOUT_MS,
  HEADER_TRY_TIMEOUT_MS,
} from "../wire/names.ts";

const INTERNAL = [
  HEADER_DESTINATION,
  HEADER_SERVED,
  HEADER_PREFILLER,
  HEADER_ENCODERS,
  HEADER_DATA_PARALLEL,
  HEADER_KV_SOURCE,
  HEADER_MODEL_NAME,
  HEADER_BASE_MODEL_NAME,
  HEADER_POOL,
  HEADER_MAX_RETRIES,
  HEADER_RETRY_ON,
  HEADER_RETRY_GRPC_ON,
  HEADER_RETRIABLE_CODES,
  HEADER_RETRIABLE_HEADERS,
  HEADER_TIMEOUT_MS,
  HEADER_TRY_TIMEOUT_MS,
  HEADER_HEDGE,
];

/** early_header_mutation_extensions of a connection manager. A trusted subset header is left to the filter. */
export function stripInternalHeaders(trustsSubsetHeader: boolean): readonly object[] {
  const names = trustsSubsetHeader ? INTERNAL : [...INTERNAL, HEADER_SUBSET];
  const type = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
  return [
    {
      name: "envoy.http.early_header_mutation.header_mutation",
      typed_config: { "@type": `type.googleapis.com/${type}`, mutations: names.map((remove) => ({ remove })) },
    },
  ];
}
