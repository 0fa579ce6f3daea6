// Scheduling programs in the snapshot: damaged ones are refused whole, and what a program can answer itself.

import { describe, expect, test } from "vitest";
import * as flow from "../../src/wire/flow.ts";
import * as wire from "../../src/wire/program.ts";
import { ENDPOINT_BYTES, HEADER_BYTES, P_PROGRAM, P_PROGRAM_BYTES, POOL_BYTES } from "../../src/wire/snapshot.ts";
import { headerOf } from "../host/drive.ts";
import type { ProgramSpec } from "../host/program.ts";
import { encodeTopology, resum } from "../host/snapshot.ts";
import { CHAT, errorOf, Gateway, IDLE, POOL } from "./gateway.ts";

const A = "10.0.0.1:8000";
const B = "10.0.0.2:8000";
const PROFILES_AT = wire.PROGRAM_BYTES;
const STEPS_AT = PROFILES_AT + wire.PROFILE_BYTES;
const HEADERS_AT = STEPS_AT + 2 * wire.STEP_BYTES;
const FLOW_AT = HEADERS_AT + wire.HEADER_NAME_BYTES;
const BANDS_AT = FLOW_AT + flow.FLOW_BYTES;

const program: ProgramSpec = {
  profiles: [
    {
      filters: [{ type: "label-filter", bit: 5 }],
      scorers: [{ type: "session-affinity-scorer", sources: ["x-session-id"] }],
    },
  ],
  flow: { bands: [{ priority: 5 }, { priority: -5 }] },
};

function gatewayBy(by: ProgramSpec): Gateway {
  const gateway = new Gateway();
  const endpoints = [A, B].map((address) => ({ address, passes: [5] }));
  gateway.control.topology([{ name: POOL, endpoints, program: by }]);
  gateway.control.metrics([IDLE, IDLE]);
  return gateway;
}

describe("a damaged program is refused, and what was in force stays", () => {
  const PROGRAM_AT = HEADER_BYTES + POOL_BYTES + ENDPOINT_BYTES;
  const u32 = (value: number, at: number) => (bytes: Buffer) => bytes.writeUInt32LE(value, PROGRAM_AT + at);
  const f64 = (value: number, at: number) => (bytes: Buffer) => bytes.writeDoubleLE(value, PROGRAM_AT + at);

  const cases: readonly (readonly [string, (bytes: Buffer) => void])[] = [
    ["it begins beyond the blob", (bytes) => bytes.writeUInt32LE(1e6, HEADER_BYTES + P_PROGRAM)],
    ["it begins inside the header", (bytes) => bytes.writeUInt32LE(8, HEADER_BYTES + P_PROGRAM)],
    ["it is not aligned", (bytes) => bytes.writeUInt32LE(PROGRAM_AT + 4, HEADER_BYTES + P_PROGRAM)],
    ["it is longer than the blob", (bytes) => bytes.writeUInt32LE(1e6, HEADER_BYTES + P_PROGRAM_BYTES)],
    ["it is shorter than its tables", (bytes) => bytes.writeUInt32LE(100, HEADER_BYTES + P_PROGRAM_BYTES)],
    ["no profile", u32(0, wire.G_PROFILE_COUNT)],
    ["too many profiles", u32(17, wire.G_PROFILE_COUNT)],
    ["profiles without end", u32(0x0800_0003, wire.G_PROFILE_COUNT)],
    ["too many steps", u32(129, wire.G_STEP_COUNT)],
    ["steps without end", u32(0x0400_0002, wire.G_STEP_COUNT)],
    ["too many headers", u32(17, wire.G_HEADER_COUNT)],
    ["an unknown handler", u32(3, wire.G_HANDLER)],
    ["a handler's header that there is not", u32(1, wire.G_HANDLER_HEADER)],
    ["a default profile that there is not", u32(1, wire.G_DEFAULT_PROFILE)],
    ["a session header that there is not", u32(1, wire.G_SESSION_HEADER)],
    ["a port that there is not", u32(65_536, wire.G_PRIMARY_PORT)],
    ["a profile's steps beyond the last", u32(3, PROFILES_AT + wire.F_STEP_COUNT)],
    ["a profile's first step near 2³²", u32(0xffffffff, PROFILES_AT + wire.F_FIRST_STEP)],
    ["an unknown picker", u32(3, PROFILES_AT + wire.F_PICKER)],
    ["a list of none", u32(0, PROFILES_AT + wire.F_ENDPOINTS)],
    ["a list of nine", u32(9, PROFILES_AT + wire.F_ENDPOINTS)],
    ["a profile's name beyond the heap", u32(1e6, PROFILES_AT + wire.F_NAME_OFFSET)],
    ["a picker's name beyond the heap", u32(1e6, PROFILES_AT + wire.F_PICKER_NAME_LENGTH)],
    ["step 0", (bytes) => bytes.writeUInt16LE(0, PROGRAM_AT + STEPS_AT)],
    ["an unknown filter", (bytes) => bytes.writeUInt16LE(wire.FILTERS, PROGRAM_AT + STEPS_AT)],
    ["an unknown scorer", (bytes) => bytes.writeUInt16LE(wire.SCORERS, PROGRAM_AT + STEPS_AT + wire.STEP_BYTES)],
    ["a bit that there is not", u32(64, STEPS_AT + wire.S_NUMBER)],
    ["a step's headers beyond the last", u32(2, STEPS_AT + wire.STEP_BYTES + wire.S_HEADER_COUNT)],
    ["a step's first header near 2³²", u32(0xffffffff, STEPS_AT + wire.STEP_BYTES + wire.S_FIRST_HEADER)],
    ["a step's name beyond the heap", u32(1e6, STEPS_AT + wire.S_NAME_OFFSET)],
    ["a weight that is no number", f64(Number.NaN, STEPS_AT + wire.STEP_BYTES + wire.S_WEIGHT)],
    ["a header without a name", u32(0, HEADERS_AT + 4)],
    ["a header's name beyond the heap", u32(1e6, HEADERS_AT)],
    ["flow control inside its tables", u32(FLOW_AT - 8, wire.G_FLOW)],
    ["flow control that is not aligned", u32(FLOW_AT + 4, wire.G_FLOW)],
    ["flow control beyond its end", u32(1e6, wire.G_FLOW)],
    ["flow control near 2³²", u32(0xfffffff8, wire.G_FLOW)],
    ["flow control whose bands are beyond its end", u32(5, FLOW_AT + flow.L_BAND_COUNT)],
    ["flow control without default bands", u32(1, FLOW_AT + flow.L_BAND_COUNT)],
    ["bands without end", u32(0x8000_0002, FLOW_AT + flow.L_BAND_COUNT)],
    ["an unknown detector", u32(2, FLOW_AT + flow.L_DETECTOR)],
    ["an unknown usage-limit policy", u32(2, FLOW_AT + flow.L_USAGE)],
    ["an unknown domain", u32(2, FLOW_AT + flow.L_DOMAIN)],
    ["a queue threshold of 0", f64(0, FLOW_AT + flow.L_QUEUE_THRESHOLD)],
    ["a KV threshold that is no number", f64(Number.NaN, FLOW_AT + flow.L_KV_THRESHOLD)],
    ["a concurrency of 0", f64(0, FLOW_AT + flow.L_MAX_CONCURRENCY)],
    ["a token concurrency of 0", f64(0, FLOW_AT + flow.L_MAX_TOKEN_CONCURRENCY)],
    ["a ceiling below 0", f64(-1, FLOW_AT + flow.L_CEILING)],
    ["a ceiling without end", f64(Number.POSITIVE_INFINITY, FLOW_AT + flow.L_CEILING)],
    ["a highest ceiling that is no number", f64(Number.NaN, FLOW_AT + flow.L_MAX_CEILING)],
    ["a request limit that is no number", f64(Number.NaN, FLOW_AT + flow.L_MAX_REQUESTS)],
    ["a byte limit below 0", f64(-1, FLOW_AT + flow.L_MAX_BYTES)],
    ["a time to live below 0", f64(-1, FLOW_AT + flow.L_TTL_MS)],
    ["a time to live without endpoints that is no number", f64(Number.NaN, FLOW_AT + flow.L_EMPTY_TTL_MS)],
    ["an unknown fairness policy", u32(2, BANDS_AT + flow.W_FAIRNESS)],
    ["an unknown ordering policy", u32(3, BANDS_AT + flow.BAND_BYTES + flow.W_ORDERING)],
    ["a band's request limit below 0", f64(-1, BANDS_AT + flow.W_MAX_REQUESTS)],
    ["a band's byte limit that is no number", f64(Number.NaN, BANDS_AT + 3 * flow.BAND_BYTES + flow.W_MAX_BYTES)],
    ["a band's time to live that is no number", f64(Number.NaN, BANDS_AT + flow.W_TTL_MS)],
    ["bands of one priority", u32(5, BANDS_AT + 3 * flow.BAND_BYTES + flow.W_PRIORITY)],
    ["bands that are not in order", u32(6, BANDS_AT + 3 * flow.BAND_BYTES + flow.W_PRIORITY)],
  ];

  test.each(cases)("%s", (_, damage) => {
    const gateway = gatewayBy({ profiles: [{ endpoints: 2 }] });
    expect(gateway.worker.drive({ body: CHAT }).destination).toMatch(/^.+,.+$/);
    const blob = encodeTopology(2, [{ name: POOL, endpoints: [{ address: A, passes: [5] }], program }]);
    damage(blob);
    const answer = gateway.control.exchange("PUT", "/v1/topology", resum(blob));
    expect(answer.json).toMatchObject({ error: { code: "bad_table" } });
    gateway.advance(2);
    expect(gateway.worker.drive({ body: CHAT }).destination).toMatch(/^.+,.+$/);
    for (const { trap } of [gateway.control.vm, gateway.worker.vm]) expect(trap).toBeUndefined();
  });

  test("undamaged it is taken", () => {
    const gateway = gatewayBy(program);
    expect(gateway.worker.drive({ body: CHAT }).destination).toMatch(/^[^,]+$/);
  });
});

describe("answers", () => {
  test("429 with the reason, and when to come again, where the filters leave nobody", () => {
    const gateway = gatewayBy({ profiles: [{ filters: [{ type: "label-filter", bit: 6 }] }] });
    const outcome = gateway.worker.drive({ body: CHAT });
    expect(errorOf(outcome)).toMatchObject({ status: 429, code: "saturated", reason: "rejected-saturated" });
    expect(headerOf(outcome.localResponse?.headers, "retry-after")).toBe("1");
    gateway.settle();
    expect(gateway.process.metrics.sum("pointsman_picks_total.outcome.saturated.")).toBe(1);
    expect(gateway.inFlightTotal()).toBe(0);
  });

  test("400 where the request names a profile that there is not", () => {
    const profiles = [{ name: "decode" }, { name: "other" }];
    const gateway = gatewayBy({ handler: { type: "header-profile-handler" }, profiles });
    const ask = (profile: string) => gateway.worker.drive({ body: CHAT, headers: [["epp-profile", profile]] });
    expect(errorOf(ask("third"))).toMatchObject({
      status: 400,
      type: "invalid_request_error",
      code: "unknown_profile",
    });
    expect(ask("other").destination).toBeDefined();
  });

  test("the session token is that of the stream's pool, also for an endpoint of two pools", () => {
    const gateway = new Gateway({ defaultPool: "ns/b" });
    const sessions: ProgramSpec = { profiles: [{ scorers: [{ type: "session-affinity-scorer" }] }] };
    const plain: ProgramSpec = { profiles: [{ scorers: [{ type: "queue-scorer" }] }] };
    gateway.control.topology([
      { name: "ns/a", endpoints: [{ address: A }], program: plain },
      { name: "ns/b", endpoints: [{ address: B }, { address: A }], program: sessions },
    ]);
    gateway.control.metrics([IDLE, IDLE, IDLE]);
    for (let n = 0; n < 10; ++n) {
      const { responseHeaders } = gateway.worker.drive({ body: CHAT });
      expect(headerOf(responseHeaders, "x-session-token")).toBeDefined();
    }
  });

  test("… also of a pool that the model chose", () => {
    const gateway = new Gateway({ defaultPool: "ns/a" });
    const sessions: ProgramSpec = { profiles: [{ scorers: [{ type: "session-affinity-scorer" }] }] };
    const plain: ProgramSpec = { profiles: [{ scorers: [{ type: "queue-scorer" }] }] };
    gateway.control.topology([
      { name: "ns/a", endpoints: [{ address: A }], program: plain },
      { name: "ns/b", endpoints: [{ address: A }], program: sessions, models: { models: [{ name: "llama" }] } },
    ]);
    gateway.control.metrics([IDLE, IDLE]);
    const tokenFor = (body: string) => headerOf(gateway.worker.drive({ body }).responseHeaders, "x-session-token");
    expect(tokenFor(CHAT)).toBeDefined();
    expect(tokenFor('{"model":"other"}')).toBeUndefined();
  });

  test("an endpoint that lists thousands of adapters costs a pick no more than one that lists some", () => {
    const gateway = new Gateway();
    const program: ProgramSpec = { profiles: [{ scorers: [{ type: "lora-affinity-scorer" }] }] };
    gateway.control.topology([{ name: POOL, endpoints: [{ address: A }], program }]);
    const runningAdapters = Array.from({ length: 16_000 }, (_, n) => `adapter-${n}`);
    gateway.control.metrics([{ ...IDLE, runningAdapters, maxAdapters: 100_000 }]);
    gateway.worker.drive({ body: CHAT });
    const start = performance.now();
    for (let n = 0; n < 100; ++n) gateway.worker.drive({ body: CHAT });
    // 0.05 ms each here; all names with each other would take 126 ms each.
    expect((performance.now() - start) / 100).toBeLessThan(10);
  });

  test("the session token on the response names the endpoint that served", () => {
    const gateway = gatewayBy({ profiles: [{ scorers: [{ type: "session-affinity-scorer" }], endpoints: 2 }] });
    const outcome = gateway.worker.drive({ body: CHAT });
    const [first, second] = outcome.destination!.split(",");
    const token = headerOf(outcome.responseHeaders, "x-session-token")!;
    expect(Buffer.from(token, "base64").toString()).toBe(`default/pod-${first === A ? 0 : 1}-rank-0`);
    for (let n = 0; n < 8; n++) {
      const next = gateway.worker.drive({ body: CHAT, headers: [["x-session-token", token]] });
      expect(next.destination).toBe(`${first},${second}`);
    }
  });
});

test("a new program takes effect with the topology that brings it, and what was learned stays", () => {
  const gateway = gatewayBy({ profiles: [{ scorers: [{ type: "prefix-cache-scorer" }] }] });
  const first = gateway.worker.drive({ body: CHAT }).destination!;
  const endpoints = [A, B].map((address) => ({ address }));
  const scorers = [{ type: "prefix-cache-scorer" }] as const;
  gateway.control.topology([{ name: POOL, endpoints, program: { profiles: [{ scorers, endpoints: 2 }] } }]);
  gateway.advance(2);
  const other = first === A ? B : A;
  for (let n = 0; n < 8; n++) expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${first},${other}`);
});
