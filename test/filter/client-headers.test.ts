// The headers by which clients say how a request is to be treated: what they come to, whom the configuration
// believes, and that the server sees none of them.

import { describe, expect, test } from "vitest";
import * as names from "../../src/wire/names.ts";
import { headerOf } from "../host/drive.ts";
import { CHAT, Gateway, IDLE, POOL } from "./gateway.ts";
import { resolved } from "./resolved.ts";

const A = "10.0.0.1:8000";

function one(configuration: object = {}): Gateway {
  const gateway = new Gateway({ explain: true, ...configuration });
  const models = { objectives: { urgent: 7, "batch jobs": -3 }, models: [{ name: "llama", priority: 2 }] };
  gateway.control.topology([{ name: POOL, models, endpoints: [{ address: A }] }]);
  gateway.control.metrics([IDLE]);
  return gateway;
}

const STRIPPED = [
  names.HEADER_OBJECTIVE,
  names.HEADER_OBJECTIVE_OLD,
  names.HEADER_FAIRNESS,
  names.HEADER_FAIRNESS_OLD,
  names.HEADER_REWRITE,
  names.HEADER_REWRITE_OLD,
  names.HEADER_SLO_TTFT,
  names.HEADER_SLO_TTFT_OLD,
  names.HEADER_SLO_TPOT,
  names.HEADER_SLO_TPOT_OLD,
  names.HEADER_TTL,
  names.HEADER_VIDEO_SECONDS,
  names.HEADER_VIDEO_RESOLUTION,
  names.HEADER_VIDEO_FPS,
];
const INTERNAL = [names.HEADER_MODEL_NAME, names.HEADER_BASE_MODEL_NAME, names.HEADER_POOL, names.HEADER_SUBSET];

describe.each(["all", "none"])("believed: %s", (trustedHeaders) => {
  test.each([...STRIPPED, ...INTERNAL])("the server does not see %s, however often it was sent", (name) => {
    const { worker } = one({ trustedHeaders });
    const headers = [
      [name, "llama"],
      ["x-request-id", "r1"],
      [name, "9"],
    ] as const;
    for (const request of [
      { body: CHAT, headers },
      { path: "/health", headers },
    ]) {
      const { forwardedHeaders } = worker.drive(request);
      expect(headerOf(forwardedHeaders, name)).toBeUndefined();
      expect(headerOf(forwardedHeaders, "x-request-id")).toBe("r1");
    }
  });
});

test("Prefer, x-request-id and traceparent go on", () => {
  const kept = { prefer: "respond-async", "x-request-id": "r1", traceparent: "00-1-1-01" };
  const { forwardedHeaders } = one().worker.drive({ body: CHAT, headers: Object.entries(kept) });
  for (const [name, value] of Object.entries(kept)) expect(headerOf(forwardedHeaders, name)).toBe(value);
});

test("nothing of it costs a host call when no such header is there", () => {
  const gateway = one();
  gateway.worker.drive({ body: CHAT });
  const plain = gateway.worker.drive({ body: CHAT }).requestCalls;
  const strange = [["x-llm-d-inference-objectivf", "urgent"]] as const;
  expect(gateway.worker.drive({ body: CHAT, headers: strange }).requestCalls).toBe(plain);
  const present = [[names.HEADER_OBJECTIVE, "urgent"]] as const;
  expect(gateway.worker.drive({ body: CHAT, headers: present }).requestCalls).toBe(plain + 1);
});

describe("the objective", () => {
  const priority = (headers: readonly (readonly [string, string])[], configuration: object = {}) =>
    resolved(one(configuration).worker, { headers }).priority;

  test("in either spelling, the current one first, whichever comes first", () => {
    expect(priority([[names.HEADER_OBJECTIVE, "urgent"]])).toBe(7);
    expect(priority([[names.HEADER_OBJECTIVE_OLD, "batch jobs"]])).toBe(-3);
    const both = [
      [names.HEADER_OBJECTIVE_OLD, "batch jobs"],
      [names.HEADER_OBJECTIVE, "urgent"],
    ] as const;
    expect(priority(both)).toBe(7);
    expect(priority(both.toReversed())).toBe(7);
  });

  test("is the model's own where none is named, and 0 where the one named is not there", () => {
    expect(priority([])).toBe(2);
    expect(priority([[names.HEADER_OBJECTIVE, ""]])).toBe(2);
    expect(priority([[names.HEADER_OBJECTIVE, "nobody's"]])).toBe(0);
  });

  test("has no effect where it is not believed", () => {
    const headers = [[names.HEADER_OBJECTIVE, "urgent"]] as const;
    expect(priority(headers, { trustedHeaders: "none" })).toBe(2);
    expect(priority(headers, { trustedHeaders: "x-llm-d-inference-ttl, prefer" })).toBe(2);
    expect(priority(headers, { trustedHeaders: ` prefer , ${names.HEADER_OBJECTIVE}` })).toBe(7);
    expect(priority([[names.HEADER_OBJECTIVE_OLD, "urgent"]], { trustedHeaders: names.HEADER_OBJECTIVE })).toBe(2);
  });
});

test.each([
  ['{"trustedHeaders":""}', "trustedHeaders: expected"],
  ['{"trustedHeaders":"authorization"}', "trustedHeaders: expected"],
  ['{"trustedHeaders":"prefer,"}', "trustedHeaders: expected"],
  ['{"trustedHeaders":"x-gateway-destination-endpoint-subset"}', "trustedHeaders: expected"],
  ['{"trustSubsetHeader":"yes"}', "trustSubsetHeader: expected"],
  ['{"subsetHint":"header"}', "subsetHint: expected"],
  ['{"poolHeader":"X-Pool"}', "poolHeader: expected"],
  ['{"modelHeader":1}', "modelHeader: expected"],
])("%s is refused, and the log says why", (text, why) => {
  const gateway = new Gateway();
  expect(gateway.worker.vm.root(text).configured).toBe(false);
  expect(gateway.process.logLines.at(-1)!.text).toContain(why);
});
