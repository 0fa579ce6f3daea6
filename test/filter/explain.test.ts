// A request that asks how it would be picked for is answered, whatever the state, and leaves no trace.

import { describe, expect, test } from "vitest";
import { CHAT, errorOf, Gateway, IDLE, POOL } from "./gateway.ts";

const A = "10.0.0.1:8000";
const B = "10.0.0.2:8000";
const ASKS = [["x-pointsman-explain", "1"]] as const;

function explaining(more: object = {}): Gateway {
  return new Gateway({ explain: true, ...more });
}

function requestsCounted(gateway: Gateway): number {
  gateway.settle();
  return gateway.report().columns.reduce((sum, { requests }) => sum + requests, 0);
}

describe("is answered with an error and sent nowhere, though others would pass unsteered:", () => {
  test("before the first snapshot", () => {
    const gateway = explaining({ failureMode: "FailOpen" });
    const outcome = gateway.worker.drive({ body: CHAT, headers: ASKS });
    expect(errorOf(outcome)).toMatchObject({ status: 503, code: "no_snapshot" });
    expect(outcome.forwardedHeaders).toBeUndefined();
    expect(gateway.worker.drive({ body: CHAT }).forwardedHeaders).toBeDefined();
  });

  test("when the pool has no endpoint", () => {
    const gateway = explaining();
    gateway.control.topology([{ name: POOL, failOpen: true, endpoints: [] }]);
    const outcome = gateway.worker.drive({ body: CHAT, headers: ASKS });
    expect(errorOf(outcome)).toMatchObject({ status: 503, code: "no_endpoints" });
    expect(outcome.forwardedHeaders).toBeUndefined();
  });

  test("when it belongs to no pool", () => {
    const gateway = explaining();
    const pools = ["ns/a", "ns/b"].map((name) => ({ name, endpoints: [{ address: A }] }));
    gateway.control.topology(pools);
    expect(errorOf(gateway.worker.drive({ body: CHAT, headers: ASKS }))).toMatchObject({ status: 404 });
  });
});

test("is counted nowhere, a broken one neither, and the picks of others come as if nobody had asked", () => {
  const [asked, quiet] = [explaining(), explaining()];
  const order = [asked, quiet].map((gateway) => {
    gateway.serve([A, B], [IDLE, IDLE]);
    return Array.from({ length: 20 }, (_, n) => {
      if (gateway === asked) gateway.worker.drive({ body: CHAT, headers: ASKS });
      return gateway.worker.drive({ body: JSON.stringify({ model: "m", prompt: `${n}` }), path: "/v1/completions" })
        .destination;
    });
  });
  asked.worker.drive({ body: "no json", headers: ASKS });
  expect(order[0]).toEqual(order[1]);
  expect(new Set(order[0]).size).toBe(2);
  expect(requestsCounted(asked)).toBe(20);
});

test.each([
  [0.25, 0.25],
  [-2.5, -2.5],
  [9e12, 9e12],
  [1.1e13, null],
  [-1e15, null],
  [1e300, null],
])("a weight of %d is told as %s", (weight, told) => {
  const gateway = explaining();
  const program = { profiles: [{ scorers: [{ type: "queue-scorer" as const, weight }] }] };
  gateway.control.topology([{ name: POOL, program, endpoints: [{ address: A }] }]);
  gateway.control.metrics([IDLE]);
  const reply = gateway.worker.drive({ body: CHAT, headers: ASKS }).localResponse;
  const { steps } = JSON.parse(Buffer.from(reply!.body).toString());
  expect(steps[0].weight).toBe(told);
});

test("without leave the header says nothing", () => {
  const gateway = new Gateway();
  gateway.serve([A]);
  expect(gateway.worker.drive({ body: CHAT, headers: ASKS }).destination).toBe(A);
});
