// What workers share: requests in flight, failures, and what becomes of it when a worker is lost or the
// topology changes.

import { describe, expect, test } from "vitest";
import { OtherWorker } from "../host/column.ts";
import { drive, headerOf } from "../host/drive.ts";
import { fnv1a } from "../host/fnv.ts";
import type { Stream } from "../host/stream.ts";
import { CHAT, destinationOf, Gateway, IDLE, POOL, type Worker } from "./gateway.ts";

const [A, B, C, D] = ["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000", "10.0.0.4:8000"] as const;
const firstOf = (stream: Stream) => destinationOf(stream)!.split(",")[0]!;
const inFlightGauge = (gateway: Gateway) => gateway.process.metrics.value(`pointsman_inflight_requests.pool.${POOL}`);

let chats = 0;
/** A request that has nothing in common with any other: it is at home nowhere. */
const chat = () => CHAT.replace("hello", `hello ${++chats}`);

function opened(worker: Worker, count: number): Stream[] {
  return Array.from({ length: count }, () => worker.open(chat()));
}

function tally(streams: readonly Stream[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const stream of streams) counts.set(firstOf(stream), (counts.get(firstOf(stream)) ?? 0) + 1);
  return counts;
}

describe("in flight", () => {
  test("200 requests at one instant spread evenly over four idle endpoints, with no scrape in between", () => {
    const gateway = new Gateway();
    gateway.serve([A, B, C, D]);
    const counts = tally(opened(gateway.worker, 200));
    for (const address of [A, B, C, D]) expect(counts.get(address)).toBe(50);
  });

  test("two workers count as one", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const second = gateway.newWorker();
    const streams: Stream[] = [];
    for (let n = 0; n < 50; n++) {
      streams.push(gateway.worker.open(chat()));
      gateway.advance(1);
      streams.push(second.open(chat()));
      gateway.advance(1);
    }
    const counts = tally(streams);
    expect(Math.abs(counts.get(A)! - counts.get(B)!)).toBeLessThanOrEqual(4);
    gateway.settle();
    expect(gateway.inFlightTotal()).toBe(100);
    expect(inFlightGauge(gateway)).toBe(100);
  });

  test("a worker's request is known to the next pick of another", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const workers = [gateway.worker, gateway.newWorker()];
    for (const worker of workers) worker.drive({ body: chat() });
    for (let n = 0; n < 10; n++) {
      gateway.advance(2);
      const [first, second] = workers.map((worker) => {
        const stream = worker.open(chat());
        gateway.advance(2);
        return stream;
      });
      expect(firstOf(first!)).not.toBe(firstOf(second!));
    }
  });

  test("a worker sends nothing to an endpoint that another has filled", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const filled = opened(gateway.worker, 40).filter((stream) => firstOf(stream) === B);
    for (const stream of filled) stream.end();
    gateway.settle();
    const second = gateway.newWorker();
    expect(tally(opened(second, 15))).toEqual(new Map([[B, 15]]));
  });

  test.each([
    ["a complete answer", (stream: Stream) => finish(stream)],
    ["a client reset before the answer", (stream: Stream) => stream.reset()],
    ["a client reset while it streams", (stream: Stream) => midway(stream)],
    ["an answer of the proxy itself", (stream: Stream) => finish(stream, "504")],
  ])("is released once by %s", (_, end) => {
    const gateway = new Gateway();
    gateway.serve([A, B, C]);
    for (const stream of opened(gateway.worker, 9)) {
      end(stream);
      stream.end();
    }
    gateway.settle();
    expect(gateway.inFlightTotal()).toBe(0);
    expect(inFlightGauge(gateway) ?? 0).toBe(0);
  });

  test("a request that was never sent on counts nowhere", () => {
    const gateway = new Gateway();
    gateway.serve([A]);
    const stream = gateway.worker.stream();
    stream.requestHeaders(
      [
        [":path", "/v1/completions"],
        [":method", "POST"],
      ],
      false,
    );
    stream.requestBody('{"model":', false);
    gateway.settle();
    expect(gateway.inFlightTotal()).toBe(0);
    stream.reset();
    gateway.settle();
    expect(gateway.inFlightTotal()).toBe(0);
  });
});

function finish(stream: Stream, status = "200"): void {
  stream.setProperty("upstream.address", firstOf(stream));
  stream.responseHeaders([[":status", status]], false);
  stream.responseBody("{}", true);
}

function midway(stream: Stream): void {
  stream.setProperty("upstream.address", firstOf(stream));
  stream.responseHeaders([[":status", "200"]], false);
  stream.responseBody("data: {}\n\n", false);
  stream.reset();
}

test("a prompt is at home where any worker sent it, as soon as that one's message has come", () => {
  const gateway = new Gateway();
  gateway.serve([A, B, C, D]);
  const workers = [gateway.worker, gateway.newWorker(), gateway.newWorker()];
  for (const worker of workers) worker.drive({ body: chat() });
  gateway.advance(20);
  for (let n = 0; n < 20; n++) {
    const body = chat();
    const first = firstOf(workers[n % 3]!.open(body));
    gateway.process.queues.deliver();
    for (const worker of workers) expect(firstOf(worker.open(body))).toBe(first);
    gateway.advance(20);
  }
});

test("the report has every column whole", () => {
  const gateway = new Gateway();
  gateway.serve([A, B]);
  gateway.worker.drive({ body: chat() });
  new OtherWorker(gateway.process).tell([
    { address: A, inFlight: 3, tokens: 100, adapters: { tiny: 2, large: 1 } },
    { address: B, inFlight: 1, tokens: 7 },
  ]);
  expect(gateway.report().columns).toMatchObject([
    { slot: 0, requests: 1, blocks: 1, cachedBlocks: 0, adapters: [] },
    {
      entries: [
        { inFlight: 3, tokens: 100 },
        { inFlight: 1, tokens: 7 },
      ],
      adapters: [
        { addressHash: fnv1a(A), inFlight: 2, adapterHash: fnv1a("tiny") },
        { addressHash: fnv1a(A), inFlight: 1, adapterHash: fnv1a("large") },
      ],
    },
  ]);
});

describe("a lost worker", () => {
  test("its requests stop counting after 750 ms, and its slot is taken again", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    gateway.worker.drive({ body: chat() });
    const lost = gateway.newWorker();
    opened(lost, 30);
    gateway.settle();
    expect(gateway.inFlightTotal()).toBe(30);
    expect(inFlightGauge(gateway)).toBe(30);
    // Nothing of it is heard any more; its last word is at most a heartbeat old.
    lost.vm.frozen = true;
    gateway.advance(490);
    expect(inFlightGauge(gateway)).toBe(30);
    gateway.advance(520);
    expect(inFlightGauge(gateway)).toBe(0);
    const slots = () => gateway.report().columns.map((column) => column.slot);
    const generations = () => gateway.report().columns.map((column) => Number(column.generation));
    expect(slots()).toEqual([0]);
    gateway.newWorker().drive({ body: chat() });
    expect(slots()).toEqual([0, 1]);
    expect(generations()).toEqual([1, 3]);
  });

  test("one that was only slow takes a slot of its own again, and counts again", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const slow = gateway.newWorker();
    opened(slow, 3);
    slow.vm.frozen = true;
    gateway.advance(900);
    const thief = gateway.newWorker();
    thief.drive({ body: chat() });
    expect(gateway.report().columns).toMatchObject([{ slot: 0, entries: [{ inFlight: 1 }] }]);
    slow.vm.frozen = false;
    gateway.settle();
    expect(gateway.report().columns).toHaveLength(2);
    expect(gateway.inFlightTotal()).toBe(3);
  });

  test("an idle worker's heartbeat keeps its place", () => {
    const gateway = new Gateway();
    gateway.serve([A]);
    gateway.worker.drive({ body: chat() });
    for (let n = 0; n < 20; n++) {
      gateway.advance(149);
      expect(gateway.report().columns).toMatchObject([{ generation: 1n }]);
    }
    expect(gateway.worker.vm.tickPeriodMs(gateway.worker.root)).toBe(250);
  });

  test("two configurations in one VM are both back to the heartbeat when nothing waits", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const { vm, root } = gateway.worker;
    const second = vm.root({ role: "filter", failureMode: "FailClose", servedHeader: false });
    drive(vm, root, { body: chat() });
    // Its next tick is due at 260 ms, and clears what the second configuration's request left to tell.
    gateway.advance(255);
    drive(vm, second, { body: chat() });
    gateway.settle();
    expect([root, second].map((one) => vm.tickPeriodMs(one))).toEqual([250, 250]);
    expect(gateway.inFlightTotal()).toBe(0);
  });

  test("a VM that never saw a request takes no slot", () => {
    const gateway = new Gateway();
    gateway.serve([A]);
    gateway.settle();
    expect(gateway.worker.vm.tickPeriodMs(gateway.worker.root)).toBeUndefined();
    expect(gateway.report().columns).toEqual([]);
  });
});

test("a worker that starts late counts as sent since a scrape only what was sent since", () => {
  const gateway = new Gateway();
  const queueing = { waiting: 3, running: 8, kvUsage: 0.25 };
  gateway.serve([A, B], [queueing, queueing]);
  for (const stream of opened(gateway.worker, 60)) if (firstOf(stream) === B) stream.end();
  gateway.settle();
  // Seen for the first time with A's thirty requests already running: A waits no longer than B.
  gateway.control.metrics([queueing, queueing]);
  const late = gateway.newWorker();
  late.drive({ body: chat() });
  gateway.advance(20);
  for (const address of [A, B]) expect(gateway.inFlight(address)).toBe(address === A ? 30 : 0);
  // In flight decides for B by 3 points; were A's queue taken as 33, B would lead. Make B full: A leads by 0.5.
  gateway.control.metrics([queueing, { ...queueing, kvUsage: 1, waiting: 30, scrape: 2 }]);
  gateway.advance(2);
  expect(late.drive({ body: chat() }).destination!.split(",")[0]).toBe(A);
});

describe("a new topology", () => {
  test("keeps what is in flight by address, wherever the endpoint's row is", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const streams = opened(gateway.worker, 20);
    for (const stream of streams) if (firstOf(stream) === A) stream.end();
    // B's ten stay. It moves to another row, A leaves, C and D come.
    gateway.advance(2);
    gateway.serve([D, C, B]);
    gateway.advance(2);
    const counts = tally(opened(gateway.worker, 14));
    expect(counts.get(B) ?? 0).toBe(0);
    expect(counts.get(A)).toBeUndefined();
    for (const stream of streams) stream.end();
    gateway.settle();
    expect(gateway.inFlight(B)).toBe(0);
    expect(gateway.inFlightTotal()).toBe(14);
  });

  test("an endpoint that left and came back still has its running requests", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const streams = opened(gateway.worker, 10);
    gateway.advance(2);
    gateway.serve([C]);
    gateway.advance(2);
    gateway.worker.drive({ body: chat() });
    gateway.serve([A, B, C]);
    gateway.advance(2);
    expect(tally(opened(gateway.worker, 4))).toEqual(new Map([[C, 4]]));
    for (const stream of streams) stream.end();
    gateway.settle();
    expect(gateway.inFlight(A) + gateway.inFlight(B)).toBe(0);
  });

  test("a reordered topology changes no worker's view of another's requests", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const second = gateway.newWorker();
    for (const stream of opened(gateway.worker, 40)) if (firstOf(stream) === A) stream.end();
    gateway.settle();
    gateway.serve([B, A]);
    expect(tally(opened(second, 15))).toEqual(new Map([[A, 15]]));
  });
});

describe("failures", () => {
  const answered = (worker: Worker, by: string, status = "200") => {
    const stream = worker.open(chat());
    stream.setProperty("upstream.address", by);
    stream.responseHeaders([[":status", status]], true);
    stream.end();
    return stream;
  };
  /** Asks until the pick's first choice is `address`. */
  const picking = (gateway: Gateway, address: string) => {
    for (let n = 0; n < 200; n++) {
      const stream = gateway.worker.open(chat());
      if (firstOf(stream) === address) return stream;
      stream.end();
    }
    throw new Error(`${address} is never picked`);
  };
  const everPicked = (worker: Worker, address: string, tries = 60) =>
    Array.from({ length: tries }, () => worker.drive({ body: chat() }).destination!).some((list) =>
      list.includes(address),
    );

  test("served by the second of the list: the first is left out at once, and the request counts where it runs", () => {
    const gateway = new Gateway();
    gateway.serve([A, B, C]);
    const stream = picking(gateway, A);
    const [, second] = destinationOf(stream)!.split(",");
    stream.setProperty("upstream.address", second!);
    stream.responseHeaders([[":status", "200"]], false);
    gateway.settle();
    expect(gateway.inFlight(A)).toBe(0);
    expect(gateway.inFlight(second!)).toBe(1);
    expect(headerOf(stream.response.sentHeaders, "x-gateway-destination-endpoint-served")).toBe(second);
    stream.end();
    expect(everPicked(gateway.worker, A)).toBe(false);
    expect(gateway.worker.drive({ body: chat() }).destination!.split(",")).toHaveLength(2);
  });

  test("served by the third: both before it are left out", () => {
    const gateway = new Gateway();
    gateway.serve([A, B, C, D]);
    const stream = gateway.worker.open(chat());
    const [first, second, third] = destinationOf(stream)!.split(",");
    stream.setProperty("upstream.address", third!);
    stream.responseHeaders([[":status", "200"]], true);
    stream.end();
    const lists = Array.from({ length: 40 }, () => gateway.worker.drive({ body: chat() }).destination!);
    expect(lists.some((list) => list.includes(first!) || list.includes(second!))).toBe(false);
    expect(lists.every((list) => list.includes(third!))).toBe(true);
  });

  test("what was in flight when an endpoint failed counts as one failure: it is tried again after a second", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const open = Array.from({ length: 16 }, () => gateway.worker.open(chat()));
    const onA = open.filter((stream) => firstOf(stream) === A);
    expect(onA.length).toBeGreaterThan(4);
    for (const stream of open) {
      const by = firstOf(stream)!;
      stream.setProperty("upstream.address", by);
      stream.responseHeaders([[":status", by === A ? "503" : "200"]], true);
      stream.end();
    }
    expect(everPicked(gateway.worker, A)).toBe(false);
    gateway.advance(1_001);
    expect(everPicked(gateway.worker, A)).toBe(true);
  });

  test("Envoy's own 413 says nothing good of an endpoint that failed", () => {
    const gateway = new Gateway();
    gateway.serve([A]);
    answered(gateway.worker, A, "503");
    const own = gateway.worker.open(chat());
    own.setProperty("upstream.address", A);
    own.setProperty("response.code_details", "request_payload_too_large");
    own.responseHeaders([[":status", "413"]], true);
    own.end();
    gateway.settle();
    expect(gateway.report().columns[0]?.entries).toMatchObject([{ failures: 1 }]);
  });

  test("a 5xx leaves its endpoint out, a 4xx does not", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const bad = picking(gateway, A);
    bad.setProperty("upstream.address", A);
    bad.responseHeaders([[":status", "500"]], true);
    bad.end();
    expect(everPicked(gateway.worker, A)).toBe(false);
    answered(gateway.worker, B, "429");
    answered(gateway.worker, B, "400");
    expect(everPicked(gateway.worker, B)).toBe(true);
  });

  test.each([
    ["a refused connection", 0x20, true],
    ["a reset by the endpoint", 0x10, true],
    ["a connection that ended", 0x40, true],
    ["a request that took too long", 0x04, true],
    ["an endpoint's own 5xx after the last retry", 0x8000, true],
    ["the cluster's circuit breaker", 0x80, false],
    ["an idle stream", 0x1_0000, false],
  ])("a 503 with Envoy's flag for %s (%i) blames the endpoint: %s", (_, flag, isBlamed) => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const stream = picking(gateway, A);
    const flags = Buffer.alloc(8);
    flags.writeBigUInt64LE(BigInt(flag));
    stream.setProperty("response.flags", flags);
    stream.setProperty("upstream.address", A);
    stream.responseHeaders([[":status", "503"]], true);
    stream.end();
    expect(everPicked(gateway.worker, A)).toBe(!isBlamed);
  });

  test("other workers hear of it", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const second = gateway.newWorker();
    second.drive({ body: chat() });
    gateway.advance(20);
    const bad = picking(gateway, A);
    bad.setProperty("upstream.address", A);
    bad.responseHeaders([[":status", "503"]], true);
    bad.end();
    gateway.settle();
    gateway.advance(2);
    expect(everPicked(second, A)).toBe(false);
  });

  test("after its cooldown one request probes it; failing again doubles the wait, an answer ends it", () => {
    const gateway = new Gateway();
    gateway.serve([A, B]);
    const fail = () => {
      const stream = picking(gateway, A);
      stream.setProperty("upstream.address", A);
      stream.responseHeaders([[":status", "503"]], true);
      stream.end();
    };
    const firstChoices = () => Array.from({ length: 30 }, () => firstOf(gateway.worker.open(chat())));
    const steps = () => gateway.control.metrics([IDLE, IDLE]);
    fail();
    gateway.advance(990);
    steps();
    expect(everPicked(gateway.worker, A)).toBe(false);
    gateway.advance(20);
    fail();
    gateway.advance(1_900);
    expect(everPicked(gateway.worker, A)).toBe(false);
    gateway.advance(200);
    // The probe is under way: nobody else is sent there.
    const probe = picking(gateway, A);
    expect(firstChoices()).not.toContain(A);
    probe.setProperty("upstream.address", A);
    probe.responseHeaders([[":status", "200"]], true);
    probe.end();
    expect(firstChoices()).toContain(A);
  });

  test("an endpoint is not blamed for one whose place it took", () => {
    const gateway = new Gateway();
    gateway.serve([A, B, C]);
    const stream = gateway.worker.open(chat());
    const [, second, third] = destinationOf(stream)!.split(",");
    // The second leaves and D comes, while the request waits for its answer.
    gateway.advance(2);
    gateway.serve([A, B, C, D].filter((address) => address !== second));
    gateway.advance(2);
    expect(everPicked(gateway.worker, D)).toBe(true);
    stream.setProperty("upstream.address", third!);
    stream.responseHeaders([[":status", "200"]], true);
    stream.end();
    expect(everPicked(gateway.worker, D)).toBe(true);
  });

  test("endpoints of the list that were not asked are not blamed when a stranger answers", () => {
    const gateway = new Gateway();
    gateway.serve([A, B, C]);
    const stream = gateway.worker.open(chat());
    const [first, second, third] = destinationOf(stream)!.split(",");
    stream.setProperty("upstream.address", "10.9.9.9:8000");
    stream.responseHeaders([[":status", "200"]], true);
    stream.end();
    expect(first).toBeDefined();
    expect(everPicked(gateway.worker, second!)).toBe(true);
    expect(everPicked(gateway.worker, third!)).toBe(true);
  });

  test("when all have failed all are tried", () => {
    const gateway = new Gateway();
    gateway.serve([A]);
    answered(gateway.worker, A, "503");
    expect(gateway.worker.drive({ body: chat() }).destination).toBe(A);
  });
});
