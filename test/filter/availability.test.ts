// What happens when there is nothing to pick from, or nothing fresh to pick by.

import { describe, expect, test } from "vitest";
import { FORMAT, FORMAT_OLDEST } from "../../src/wire/snapshot.ts";
import { headerOf } from "../host/drive.ts";
import { encodeMetrics, encodeTopology } from "../host/snapshot.ts";
import { CHAT, errorOf, Gateway, IDLE, POOL } from "./gateway.ts";

const [A, B, C] = ["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"] as const;

/** Requests that have nothing in common: none is at home anywhere. */
const chat = (n: number) => CHAT.replace("hello", `hello ${n}`);

/** Picks of that outcome; a worker tells Envoy its numbers together with what it tells other workers. */
function picks(gateway: Gateway, outcome: string): number {
  gateway.settle();
  return gateway.process.metrics.sum(`pointsman_picks_total.outcome.${outcome}.`);
}

describe("before any snapshot", () => {
  test("FailClose answers 503 with the reason", () => {
    const gateway = new Gateway({ failureMode: "FailClose" });
    expect(errorOf(gateway.worker.drive({ body: CHAT }))).toMatchObject({
      status: 503,
      type: "service_unavailable_error",
      code: "no_snapshot",
      reason: "rejected-no-endpoints",
    });
    expect(picks(gateway, "no_endpoints")).toBe(1);
  });

  test("FailOpen lets the cluster choose", () => {
    const gateway = new Gateway({ failureMode: "FailOpen" });
    const headers = [["x-gateway-destination-endpoint", "6.6.6.6:80"]] as const;
    const outcome = gateway.worker.drive({ body: CHAT, headers, upstream: { address: A } });
    expect(outcome.localResponse).toBeUndefined();
    expect(outcome.destination).toBeUndefined();
    expect(Buffer.from(outcome.forwardedBody).toString()).toBe(CHAT);
    expect(picks(gateway, "unsteered")).toBe(1);
    expect(gateway.inFlightTotal()).toBe(0);
  });

  test("the first snapshot ends it, without a restart", () => {
    const gateway = new Gateway();
    errorOf(gateway.worker.drive({ body: CHAT }));
    gateway.serve([A]);
    gateway.advance(1);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(A);
  });
});

describe("a pool without endpoints", () => {
  test("FailClose: 503, whatever the plugin's own mode", () => {
    const gateway = new Gateway({ failureMode: "FailOpen" });
    gateway.control.topology([{ name: POOL, endpoints: [] }]);
    expect(errorOf(gateway.worker.drive({ body: CHAT }))).toMatchObject({
      status: 503,
      code: "no_endpoints",
      reason: "rejected-no-endpoints",
    });
  });

  test("FailOpen: unsteered", () => {
    const gateway = new Gateway({ failureMode: "FailClose" });
    gateway.control.topology([{ name: POOL, failOpen: true, endpoints: [] }]);
    const outcome = gateway.worker.drive({ body: CHAT, upstream: { address: A } });
    expect(outcome.localResponse).toBeUndefined();
    expect(outcome.destination).toBeUndefined();
  });
});

describe("several pools", () => {
  const pools = [
    { name: "ns/one", endpoints: [{ address: A }] },
    { name: "ns/two", endpoints: [{ address: B }] },
  ];

  test("the default pool of the configuration is used", () => {
    for (const [defaultPool, expected] of [
      ["ns/one", A],
      ["ns/two", B],
    ] as const) {
      const gateway = new Gateway({ defaultPool });
      gateway.control.topology(pools);
      expect(gateway.worker.drive({ body: CHAT }).destination).toBe(expected);
    }
  });

  test("without one, or with one that does not exist: 404", () => {
    for (const configuration of [{}, { defaultPool: "ns/three" }]) {
      const gateway = new Gateway(configuration);
      gateway.control.topology(pools);
      expect(errorOf(gateway.worker.drive({ body: CHAT }))).toMatchObject({ status: 404, code: "model_not_found" });
    }
  });
});

describe("by age", () => {
  test("no metrics at all: in-flight decides, and it is counted as degraded", () => {
    const gateway = new Gateway();
    gateway.control.topology([{ name: POOL, endpoints: [A, B, C].map((address) => ({ address })) }]);
    const picked = Array.from({ length: 9 }, (_, n) => gateway.worker.open(chat(n)).request.sentHeaders);
    const first = picked.map((headers) => headerOf(headers, "x-gateway-destination-endpoint")!.split(",")[0]!);
    for (const address of [A, B, C]) expect(first.filter((one) => one === address)).toHaveLength(3);
    expect(picks(gateway, "degraded")).toBe(9);
    expect(picks(gateway, "scored")).toBe(0);
  });

  test("an endpoint that goes silent does not gain by it", () => {
    const gateway = new Gateway();
    const busy = { waiting: 20, running: 10, kvUsage: 0.6 };
    gateway.serve([A, B], [IDLE, busy]);
    gateway.advance(1_000);
    // B reports again; A's idle row is 1 s old by now and counts as no better than B's.
    gateway.control.metrics([{ ...IDLE, ageMs: 1_000, scrape: 1 }, busy]);
    gateway.advance(2);
    const asked = Array.from({ length: 64 }, (_, n) => gateway.worker.drive({ body: chat(n) }).destination!);
    const first = asked.map((list) => list.split(",")[0]!);
    expect(first.filter((address) => address === A).length).toBeGreaterThan(10);
    expect(first.filter((address) => address === B).length).toBeGreaterThan(10);
    expect(picks(gateway, "scored")).toBe(64);
  });
});

// Our agent sends none of these; a snapshot may come from another.
test.each([
  ["waiting", Number.NaN],
  ["waiting", Number.POSITIVE_INFINITY],
  ["waiting", -1],
  ["kvUsage", Number.NaN],
  ["kvUsage", -1e30],
  ["kvUsage", 1e30],
])("a row whose %s is %d neither wins nor spoils the pick", (field, value) => {
  const gateway = new Gateway();
  const busy = { waiting: 20, running: 10, kvUsage: 0.6 };
  gateway.serve([A, B, C], [{ ...busy, [field]: value }, IDLE, busy]);
  for (let n = 0; n < 10; n++) expect(gateway.worker.drive({ body: CHAT }).destination).toMatch(new RegExp(`^${B},`));
});

describe("formats", () => {
  const pools = [{ name: POOL, endpoints: [{ address: A }, { address: B }] }];
  const rows = [{ waiting: 9, running: 4, kvUsage: 0.9 }, IDLE];
  const put = (gateway: Gateway, what: "topology" | "metrics", blob: Buffer) =>
    gateway.control.exchange("PUT", `/v1/${what}`, blob).status;

  test.each([FORMAT_OLDEST, FORMAT])("format %d is read", (format) => {
    const gateway = new Gateway();
    expect(put(gateway, "topology", encodeTopology(1, pools, format))).toBe(200);
    expect(put(gateway, "metrics", encodeMetrics(1, 1, rows, format))).toBe(200);
    for (let n = 0; n < 10; n++) expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${B},${A}`);
    expect(picks(gateway, "scored")).toBe(10);
  });

  test("what format 2 does not have is unknown in it", () => {
    const gateway = new Gateway();
    const named = rows.map((row) => ({ ...row, runningAdapters: ["lora"], attributes: [1], maxAdapters: 4 }));
    const scorers = [{ type: "lora-affinity-scorer" }, { type: "endpoint-attribute-scorer", attribute: 0 }] as const;
    const programmed = [{ ...pools[0]!, program: { profiles: [{ scorers }] } }];
    expect(put(gateway, "topology", encodeTopology(1, programmed, 2))).toBe(200);
    expect(put(gateway, "metrics", encodeMetrics(1, 1, named, 2))).toBe(200);
    // The default program counts, not this one, whose list has one endpoint.
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${B},${A}`);
  });

  test("metrics of format 2 under a topology of format 3: adapters and custom metrics are unknown", () => {
    const gateway = new Gateway();
    const scorers = [{ type: "endpoint-attribute-scorer", attribute: 0, weight: 5 }, { type: "queue-scorer" }] as const;
    const programmed = [{ ...pools[0]!, program: { profiles: [{ scorers }] } }];
    expect(put(gateway, "topology", encodeTopology(1, programmed))).toBe(200);
    const prized = [{ ...rows[0]!, attributes: [7] }, rows[1]!];
    expect(put(gateway, "metrics", encodeMetrics(1, 1, prized))).toBe(200);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(A);
    gateway.advance(2);
    expect(put(gateway, "metrics", encodeMetrics(1, 2, prized, 2))).toBe(200);
    gateway.advance(2);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(B);
  });

  test("a format of the future is stored, not read, and counted; what was in force stays", () => {
    const gateway = new Gateway();
    gateway.serve([A, B], rows);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${B},${A}`);
    expect(put(gateway, "topology", encodeTopology(2, [{ name: POOL, endpoints: [{ address: C }] }], FORMAT + 1))).toBe(
      200,
    );
    expect(put(gateway, "metrics", encodeMetrics(2, 1, [IDLE], FORMAT + 1))).toBe(200);
    gateway.advance(2);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(`${B},${A}`);
    gateway.settle();
    expect(gateway.report().columns).toMatchObject([{ topologyEpoch: 1, unread: 2 }]);
    // The next one it can read ends it.
    put(gateway, "topology", encodeTopology(3, [{ name: POOL, endpoints: [{ address: C }] }]));
    gateway.advance(2);
    expect(gateway.worker.drive({ body: CHAT }).destination).toBe(C);
  });
});

describe("the plugin configuration", () => {
  const configured = (text: string) => {
    const gateway = new Gateway();
    const { configured: ok } = gateway.worker.vm.root(text);
    return { ok, said: gateway.process.logLines.at(-1)?.text ?? "" };
  };

  test.each([
    '{"role":"filter","failureMode":"FailClose"}',
    '{ "role" : "filter",\n "defaultPool": "ns/pool", "servedHeader": false, "inspectionBytes": 524288, "seed": 9 }',
    '{"role":"ingest"}',
    "{}",
  ])("%s is taken", (text) => {
    expect(configured(text).ok).toBe(true);
  });

  test.each([
    ['{"role":"filtre"}', /role/],
    ['{"failureMode":"open"}', /failureMode/],
    ['{"defaultPool":""}', /defaultPool/],
    ['{"servedHeader":"true"}', /servedHeader/],
    ['{"inspectionBytes":0}', /inspectionBytes/],
    ['{"inspectionBytes":1e3}', /inspectionBytes/],
    ['{"seed":-1}', /seed/],
    ['{"sede":1}', /unknown name/],
    ['{"role":"filter"', /./],
    ['{"role":"filter"}}', /./],
    ['["role"]', /JSON object/],
    ["role: filter", /JSON object/],
  ])("%s is refused, and the log says why", (text, why) => {
    const { ok, said } = configured(text);
    expect(ok).toBe(false);
    expect(said).toMatch(why);
  });
});
