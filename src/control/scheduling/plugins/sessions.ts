// Parameters of the session affinity filter and scorer, which are the same.

import { SESSION_ID } from "../../../wire/program.ts";
import type { Value } from "../document.ts";
import { SESSION_TTL_MS } from "../program.ts";
import { headerName } from "./headers.ts";
import type { MakeStep, Parameters, Surroundings } from "./plugin.ts";
import { unlisted } from "./references.ts";

export const SESSION_PARAMETERS = ["strategy", "encodedEndpointHeaderConfig", "sessionIdConfig", "profileName"];

const STRATEGIES = ["encoded_endpoint_header", "session_id"] as const;
const TOKEN_HEADER = "x-session-token";
const ID_HEADER = "x-session-id";
const ATTRIBUTE_PRODUCER = "session-id-producer";

/** Makes the step with this id. Undefined after complaints. */
export function sessionStep(id: number, parameters: Parameters, surroundings: Surroundings): MakeStep | undefined {
  const strategy = parameters.get("strategy")?.choice(STRATEGIES) ?? "encoded_endpoint_header";
  const profileName = parameters.get("profileName");
  if (profileName?.text())
    profileName.warn("one profile runs for a request here, and the session is bound to what it chose");
  const tokenFields = parameters.get("encodedEndpointHeaderConfig")?.fields(["header"]);
  const token = tokenFields?.get("header");
  const header = token === undefined ? TOKEN_HEADER : headerName(token, TOKEN_HEADER);
  const ids = sessionIds(parameters.get("sessionIdConfig"), surroundings);
  if (strategy === "session_id")
    return (shared) => {
      shared.sessionTtlMs(ids.ttlMs);
      return { id, flags: SESSION_ID, headers: ids.headers };
    };
  if (header === undefined) return undefined;
  return (shared) => {
    shared.sessionHeader(header);
    return { id, headers: [header] };
  };
}

function sessionIds(
  config: Value | undefined,
  surroundings: Surroundings,
): { readonly headers: readonly string[]; readonly ttlMs: number } {
  const fields = config?.fields(["sources", "evictionTtlSeconds", "evictionSweepSeconds"]);
  fields?.get("evictionSweepSeconds")?.number({ min: 0 });
  const ttl = fields?.get("evictionTtlSeconds")?.number({ min: 0, max: 31_536_000 });
  const sources = fields?.get("sources")?.list() ?? [];
  const headers = sources.flatMap((source) => sourceHeader(source, surroundings) ?? []);
  return { headers: headers.length === 0 ? [ID_HEADER] : headers, ttlMs: ttl ? ttl * 1000 : SESSION_TTL_MS };
}

/** The header that a source reads: named, or read by a session-id-producer. */
function sourceHeader(source: Value, surroundings: Surroundings): string | undefined {
  const fields = source.fields(["header", "attribute", "producer"]);
  if (fields === undefined) return undefined;
  const header = fields.get("header");
  const attribute = fields.text("attribute");
  if ((header?.text() === undefined) === (attribute === undefined)) {
    source.error("expected exactly one of header and attribute");
    return undefined;
  }
  if (header !== undefined) return headerName(header, ID_HEADER);
  return attributeHeader(fields.get("producer") ?? source, fields.text("producer"), surroundings);
}

function attributeHeader(at: Value, producer: string | undefined, surroundings: Surroundings): string | undefined {
  const found = producer === undefined ? undefined : surroundings.named(producer);
  const plugin = found?.plugin;
  if (plugin?.role === "session id" && plugin.header !== undefined) return plugin.header;
  if (plugin?.role === "missing") at.error(`${producer}: ${plugin.why}`);
  else if (producer !== undefined && found === undefined) unlisted(at, producer, surroundings.names());
  else if (found === undefined || (found.isKnown && found.plugin !== undefined))
    at.error(`expected the attribute of a ${ATTRIBUTE_PRODUCER} with a headerName: no other is there yet`);
  return undefined;
}
