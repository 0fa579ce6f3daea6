// The pusher against a server that speaks docs/protocol.md.

import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { decodeSnapshot } from "../../src/control/decode.ts";
import { encodeMetrics, encodeTopology } from "../../src/control/encode.ts";
import { type Pushed, Pusher } from "../../src/control/push.ts";
import type { Report } from "../../src/control/report.ts";
import { encodeReport, FakeIngest } from "./fake-ingest.ts";
import { logLines } from "./log-lines.ts";
import { temporaryDir, until } from "./until.ts";

const INTERVAL_MS = 50;

function pushed(name: string): Pushed {
  const row = {
    waiting: 1,
    running: 1,
    kvUsage: 0,
    blockSize: 16,
    blocks: 1,
    maxAdapters: 0,
    ageMs: 0,
    intervalMs: 50,
    scrape: 1,
  };
  return {
    topology: (epoch) =>
      encodeTopology({
        epoch,
        pools: [{ name, failureMode: "FailClose", endpoints: [{ address: "10.0.0.1:8000", pod: "a" }] }],
      }),
    metrics: (epoch, sequence) => encodeMetrics({ epoch, sequence, rows: [row] }),
  };
}

async function pushing(options: { readonly started?: boolean; readonly found?: number } = {}) {
  const socketPath = join(temporaryDir(), "s");
  const ingest = new FakeIngest(socketPath);
  ingest.topologyEpoch = options.found ?? 0;
  if (options.started ?? true) await ingest.start();
  const { log, lines } = logLines();
  const reports: (Report | undefined)[] = [];
  const refused: string[] = [];
  const pusher = new Pusher({
    socketPath,
    intervalMs: INTERVAL_MS,
    log,
    busy: () => false,
    onReport: (report) => reports.push(report),
    onPush: (blob, code) => code === undefined || refused.push(`${blob} ${code}`),
  });
  onTestFinished(async () => {
    await pusher.stop();
    await ingest.stop();
  });
  return { ingest, pusher, lines, reports, refused };
}

const puts = (ingest: FakeIngest) =>
  ingest.calls.filter((call) => call.method === "PUT").map((call) => `${call.path} ${call.status}`);

describe("pusher", () => {
  test("topology first, then metrics of its epoch; the epoch is the time, and above what was found", async () => {
    const startMs = Date.now();
    const { ingest, pusher } = await pushing();
    expect(pusher.state()).toMatchObject({ sentEpoch: 0, notReady: "the proxy has not answered yet" });
    await pusher.setTopology(pushed("p"));
    expect(pusher.state().notReady).toBeUndefined();
    await until("metrics", () => ingest.taken("metrics").length > 0);
    expect(puts(ingest)).toEqual(["/v1/topology 200", "/v1/metrics 200"]);
    expect(ingest.topologyEpoch).toBeGreaterThanOrEqual(startMs);
    expect(ingest.taken("metrics")[0]?.blob).toMatchObject({ metrics: { epoch: ingest.topologyEpoch, sequence: 1 } });

    const future = Date.now() + 1_000_000;
    const later = await pushing({ found: future });
    await later.pusher.setTopology(pushed("p"));
    expect(later.ingest.topologyEpoch).toBe(future + 1);
    await later.pusher.setTopology(pushed("q"));
    expect(later.ingest.topologyEpoch).toBe(future + 2);
  });

  test("metrics only when rows changed, at most once an interval", async () => {
    const { ingest, pusher } = await pushing();
    await pusher.setTopology(pushed("p"));
    await until("the first metrics", () => ingest.taken("metrics").length === 1);
    await sleep(3 * INTERVAL_MS);
    expect(ingest.taken("metrics")).toHaveLength(1);
    const ticker = setInterval(() => pusher.metricsChanged(), 2);
    onTestFinished(() => clearInterval(ticker));
    await until("six more", () => ingest.taken("metrics").length >= 7);
    const times = ingest.taken("metrics").map((call) => call.atMs);
    expect((times.at(-1)! - times[1]!) / (times.length - 2)).toBeGreaterThan(INTERVAL_MS * 0.85);
    const sequences = ingest
      .taken("metrics")
      .map((call) => call.blob?.kind === "metrics" && call.blob.metrics.sequence);
    expect(sequences.slice(0, 4)).toEqual([1, 2, 3, 4]);
  });

  test("topologies that come fast are spaced, the first at once, and the newest counts", async () => {
    const { ingest, pusher } = await pushing();
    await pusher.setTopology(pushed("0"));
    const results: Promise<boolean>[] = [];
    await sleep(2 * INTERVAL_MS);
    const fromMs = performance.now();
    for (let i = 1; i <= 100; i++) {
      results.push(pusher.setTopology(pushed(`${i}`)));
      await sleep(3);
    }
    const taken = await Promise.all(results);
    const tookMs = performance.now() - fromMs;
    const calls = ingest.taken("topology").slice(1);
    expect(calls[0]!.atMs - fromMs).toBeLessThan(INTERVAL_MS);
    expect(calls.at(-1)?.blob).toMatchObject({ topology: { pools: [{ name: "100" }] } });
    // As many as there is time for, no more.
    expect(calls.length).toBeLessThanOrEqual(Math.ceil(tookMs / INTERVAL_MS));
    expect(calls.length).toBeGreaterThan(tookMs / INTERVAL_MS / 3);
    expect([taken.filter(Boolean).length, taken.at(-1)]).toEqual([calls.length, true]);
  });

  test("applied is what the slowest worker picks by", async () => {
    const { ingest, pusher, reports } = await pushing();
    await pusher.setTopology(pushed("p"));
    const { sentEpoch } = pusher.state();
    await until("a report", () => pusher.state().appliedEpoch === sentEpoch);
    ingest.workers = [{ topologyEpoch: sentEpoch, inFlight: [{ hash: 5n, count: 2 }] }, { topologyEpoch: 4 }];
    await until("the slow worker", () => pusher.state().appliedEpoch === 4);
    expect(reports.at(-1)?.workers[0]?.entries).toMatchObject([{ hash: 5n, inFlight: 2 }]);
  });

  test("waits for a proxy that is away, says so once, and fills it when it comes", async () => {
    const { ingest, pusher, lines, reports } = await pushing({ started: false });
    const taken = pusher.setTopology(pushed("p"));
    await until("three tries", () => reports.length >= 3);
    expect(pusher.state().notReady).toMatch(/^the proxy does not answer on .*: .*ENOENT/);
    await ingest.start();
    await taken;
    expect(lines.map((line) => line.message)).toEqual(["the proxy does not answer", "the proxy answers"]);
  });

  test("a proxy that has started again gets everything again", async () => {
    const { ingest, pusher, reports } = await pushing();
    await pusher.setTopology(pushed("p"));
    await until("metrics", () => ingest.taken("metrics").length === 1);
    await ingest.stop();
    await until("the loss", () => pusher.state().notReady !== undefined);
    expect(reports.at(-1)).toBeUndefined();
    await ingest.start();
    await until("both again", () => ingest.taken("topology").length === 2 && ingest.taken("metrics").length === 2);
    expect(pusher.state().notReady).toBeUndefined();
  });

  test("a proxy that has lost its snapshot without the connection ending gets it again", async () => {
    const { ingest, pusher, lines } = await pushing();
    await pusher.setTopology(pushed("p"));
    ingest.topologyEpoch = 0;
    await until("again", () => ingest.taken("topology").length === 2);
    await until("metrics", () => ingest.metricsSequence === 1);
    expect(pusher.state().notReady).toBeUndefined();
    expect(lines.at(-1)?.message).toBe("the proxy has started again, everything is sent again");
  });

  test("a snapshot of somebody else is replaced by a newer one", async () => {
    const { ingest, pusher } = await pushing();
    await pusher.setTopology(pushed("p"));
    const foreign = ingest.topologyEpoch + 5_000_000;
    ingest.topologyEpoch = foreign;
    await until("ours", () => ingest.topologyEpoch === foreign + 1);
  });

  test("metrics refused for their epoch are followed by a new push of everything", async () => {
    const { ingest, pusher, refused } = await pushing();
    await pusher.setTopology(pushed("p"));
    await until("metrics", () => ingest.taken("metrics").length === 1);
    ingest.topologyEpoch += 7;
    pusher.metricsChanged();
    await until("ours", () => ingest.taken("topology").length === 2 && ingest.metricsSequence > 0);
    expect(refused.length <= 1 && refused.every((entry) => entry === "metrics wrong_epoch")).toBe(true);
  });

  test("a refused topology leaves the old one in force, and is told once with its reason", async () => {
    const { ingest, pusher, lines, refused } = await pushing();
    await pusher.setTopology(pushed("p"));
    await until("metrics", () => ingest.taken("metrics").length === 1);
    ingest.refuse = { status: 400, code: "bad_table", message: "rows lie outside" };
    void pusher.setTopology(pushed("q"));
    await until("the refusal", () => refused.length > 0);
    expect(refused[0]).toBe("topology bad_table");
    expect(pusher.state().notReady).toBeUndefined();
    expect(lines.at(-1)).toEqual({
      level: "error",
      message: "the proxy refused a topology blob",
      fields: { reason: "bad_table: rows lie outside" },
    });
    ingest.refuse = undefined;
    pusher.metricsChanged();
    await until("metrics of the old one", () => ingest.taken("metrics").length === 2);
    await until("the new one", () => ingest.taken("topology").length === 2);
  });

  test("a topology that a newer one replaces is told so at once, and the last one at stop", async () => {
    const { pusher } = await pushing({ started: false });
    const first = pusher.setTopology(pushed("p"));
    const second = pusher.setTopology(pushed("q"));
    expect(await first).toBe(false);
    await pusher.stop();
    expect(await second).toBe(false);
  });

  test("one that is on its way when a newer one comes counts as taken when it is", async () => {
    const { ingest, pusher } = await pushing();
    let second: Promise<boolean> | undefined;
    const { topology, metrics } = pushed("p");
    const first = pusher.setTopology({
      topology: (epoch) => {
        second = pusher.setTopology(pushed("q"));
        return topology(epoch);
      },
      metrics,
    });
    expect(await first).toBe(true);
    expect(await second).toBe(true);
    expect(ingest.taken("topology")).toHaveLength(2);
  });

  test.for([true, false])("one whose answer is lost counts as the next report tells: %s", async (kept) => {
    const socketPath = join(temporaryDir(), "s");
    let epoch = 0;
    let puts = 0;
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      if (request.method === "GET") return response.end(encodeReport(epoch, 0, []));
      const decoded = decodeSnapshot(Buffer.concat(chunks));
      const isLost = ++puts === 1;
      if (decoded.ok && decoded.value.kind === "topology" && (kept || !isLost)) epoch = decoded.value.topology.epoch;
      return isLost ? request.socket.destroy() : response.end("{}");
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    const pusher = new Pusher({
      socketPath,
      intervalMs: INTERVAL_MS,
      log: () => {},
      busy: () => false,
      onReport: () => {},
      onPush: () => {},
    });
    onTestFinished(async () => {
      await pusher.stop();
      server.close();
    });
    let second: Promise<boolean> | undefined;
    const { topology, metrics } = pushed("p");
    const first = pusher.setTopology({
      topology: (number) => {
        second = pusher.setTopology(pushed("q"));
        return topology(number);
      },
      metrics,
    });
    expect(await first).toBe(kept);
    expect(await second).toBe(true);
  });
});
