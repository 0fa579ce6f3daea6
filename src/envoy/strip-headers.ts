// Removes what only the gateway may say from requests before a route is chosen: on every route, also one that
// bypasses the filter, and before a route could match on it.

import { HEADER_SUBSET, HEADERS_INTERNAL } from "../wire/names.ts";

/** early_header_mutation_extensions of a connection manager. A trusted subset header is left to the filter. */
export function stripInternalHeaders(trustsSubsetHeader: boolean): readonly object[] {
  const names = trustsSubsetHeader ? HEADERS_INTERNAL : [...HEADERS_INTERNAL, HEADER_SUBSET];
  const type = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
  return [
    {
      name: "envoy.http.early_header_mutation.header_mutation",
      typed_config: { "@type": `type.googleapis.com/${type}`, mutations: names.map((remove) => ({ remove })) },
    },
  ];
}
