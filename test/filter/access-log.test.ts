// What the filter tells the access log, and that it tells nothing unless it shall.

import { expect, test } from "vitest";
import { CHAT, Gateway } from "./gateway.ts";

const SERVER = "10.0.0.1:8000";

function fieldsOf(gateway: Gateway, body: string): readonly (string | undefined)[] {
  const { stream } = gateway.worker.drive({ body });
  return ["pool", "endpoint", "score", "reason"]
    .map((name) => stream.property(name))
    .map((bytes) => bytes && String(Buffer.from(bytes)));
}

test("pool, endpoint, score and reason of a pick", () => {
  const gateway = new Gateway({ accessLogFields: true });
  gateway.serve([SERVER], [{ waiting: 0, running: 0, kvUsage: 0.25 }]);
  // prefix 0, queue 2 × 1, KV 2 × 0.75, in flight 3 × 1
  expect(fieldsOf(gateway, CHAT)).toEqual(["default/llama", SERVER, "6.500", "scored"]);
});

test("of a refusal the reason", () => {
  const gateway = new Gateway({ accessLogFields: true });
  expect(fieldsOf(gateway, CHAT)).toEqual([undefined, undefined, undefined, "no_endpoints"]);
  gateway.serve([]);
  gateway.advance(10);
  expect(fieldsOf(gateway, CHAT)).toEqual(["default/llama", undefined, undefined, "no_endpoints"]);
  expect(fieldsOf(gateway, "[")).toEqual(["default/llama", undefined, undefined, "bad_request"]);
});

test("nothing without the setting: each field is a host call", () => {
  const gateway = new Gateway();
  gateway.serve([SERVER]);
  fieldsOf(gateway, CHAT);
  expect(gateway.worker.vm.log.countOf("proxy_set_property")).toBe(0);
});
