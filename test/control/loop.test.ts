// One endpoint's scrape loop against a real server.

import { describe, expect, onTestFinished, test } from "vitest";
import { ACCESS_DEFAULT, Access } from "../../src/control/scrape/access.ts";
import { ENGINES_DEFAULT, type EngineName } from "../../src/control/scrape/engines.ts";
import type { Reading } from "../../src/control/scrape/exposition.ts";
import { PageReaders, ScrapeLoop } from "../../src/control/scrape/loop.ts";
import { Pace } from "../../src/control/scrape/pace.ts";
import { fakeServer, page } from "./fake-server.ts";
import { until } from "./until.ts";

const BUSY_MS = 40;

function scraping(address: string, { engine = "vllm" as EngineName, options = ACCESS_DEFAULT } = {}) {
  const readings: { readonly reading: Reading; readonly intervalMs: number }[] = [];
  const failures: string[] = [];
  const access = new Access(options, () => {});
  const readers = new PageReaders(ENGINES_DEFAULT);
  const loop = new ScrapeLoop({ address, engine }, { access, readers }, new Pace(BUSY_MS), {
    onReading: (reading, intervalMs) => readings.push({ reading, intervalMs }),
    onFailure: (reason) => failures.push(reason),
  });
  onTestFinished(() => loop.stop());
  return { loop, readings, failures };
}

/** Mean time between the scrapes from number `from` on. */
function spacing(scrapesMs: readonly number[], from: number): number {
  const taken = scrapesMs.slice(from);
  return (taken.at(-1)! - taken[0]!) / (taken.length - 1);
}

describe("scrape loop", () => {
  test("stays at its interval while there is work, over one connection", async () => {
    const server = await fakeServer();
    server.waiting = 3;
    const { readings } = scraping(server.address);
    await until("twelve scrapes", () => readings.length >= 12);
    expect(readings.at(-1)).toMatchObject({
      reading: { waiting: 3, kvUsage: 0.25, blocks: 1000 },
      intervalMs: BUSY_MS,
    });
    expect(spacing(server.scrapesMs, 2)).toBeGreaterThan(BUSY_MS * 0.85);
    expect(spacing(server.scrapesMs, 2)).toBeLessThan(BUSY_MS * 2);
    expect(server.connections).toBe(1);
  });

  test("doubles its interval up to a second when idle, and a request of ours ends the pause", async () => {
    const server = await fakeServer();
    const { loop, readings } = scraping(server.address);
    await until("four scrapes", () => readings.length >= 4);
    expect(readings.map((entry) => entry.intervalMs)).toEqual([80, 160, 320, 640]);
    const beforeMs = performance.now();
    loop.setInFlight(1);
    await until("the next scrape", () => readings.length >= 5);
    expect(performance.now() - beforeMs).toBeLessThan(250);
    expect(loop.busy).toBe(true);
    expect(readings[4]?.intervalMs).toBe(BUSY_MS);
    loop.setInFlight(0);
    await until("idle again", () => readings.at(-1)?.intervalMs === 2 * BUSY_MS);
  });

  test("gives up on a page after a second and takes a new connection", async () => {
    const server = await fakeServer();
    let pages = 0;
    server.answer = (_, response) => {
      pages += 1;
      if (pages === 1) response.write(page(1, 1));
      else response.end(page(2, 2));
    };
    const { readings, failures } = scraping(server.address);
    await until("a reading", () => readings.length > 0);
    expect(failures).toEqual(["no answer within 1000 ms"]);
    expect(readings[0]?.reading.waiting).toBe(2);
    expect(server.connections).toBe(2);
  });

  test.each([
    ["status", 503, "", "answered 503, expected 200"],
    ["content", 200, "<html></html>", "the page has none of the metrics of vllm"],
    [
      "engine",
      200,
      "sglang:num_queue_reqs 1\n",
      "the page has none of the metrics of vllm, but those of sglang: see the pod's label llm-d.ai/engine-type",
    ],
    ["end", 200, "vllm:num_requests_waiting 16", "the page breaks off in the middle of a line"],
    [
      "values",
      200,
      "vllm:num_requests_waiting NaN\n",
      "vllm:num_requests_waiting: expected a number of requests, found NaN",
    ],
    ["size", 200, "#".repeat(5_000_000), "page is larger than 4194304 bytes"],
  ])("a page of the wrong %s is a failure, with less and less haste", async (_, status, text, reason) => {
    const server = await fakeServer();
    server.answer = (_request, response) => void response.writeHead(status).end(text);
    const { readings, failures } = scraping(server.address);
    await until("four failures", () => failures.length >= 4);
    expect(failures[0]).toBe(reason);
    const [first, second, third, fourth] = server.scrapesMs as [number, number, number, number];
    expect(fourth - third).toBeGreaterThan(1.5 * (second - first));
    expect(readings).toEqual([]);
  });

  test("a connection that breaks in the middle of a page costs that scrape alone", async () => {
    const server = await fakeServer();
    server.answer = (_, response) => {
      server.answer = undefined;
      response
        .writeHead(200, { "content-length": 1_000 })
        .write("vllm:num_requests_waiting 9\n", () => response.destroy());
    };
    const { readings, failures } = scraping(server.address);
    await until("a reading", () => readings.length > 0);
    expect(failures).toHaveLength(1);
    expect(readings[0]?.reading.waiting).toBe(0);
  });

  test("reads the metrics of the engine that it is told, from the path that it is told", async () => {
    const server = await fakeServer();
    const urls: (string | undefined)[] = [];
    server.answer = (request, response) => {
      urls.push(request.url);
      response.end("nv_inference_pending_request_count 3\nvllm:num_requests_waiting 9\n");
    };
    const options = { scheme: "http", path: "/stats/metrics?v=1" } as const;
    const { readings } = scraping(server.address, { engine: "triton", options });
    await until("a reading", () => readings.length > 0);
    expect(readings[0]?.reading).toMatchObject({ waiting: 3, running: undefined });
    expect(urls[0]).toBe("/stats/metrics?v=1");
  });

  test("an endpoint that is not there", async () => {
    const { failures } = scraping("127.0.0.1:1");
    await until("a failure", () => failures.length > 0);
    expect(failures[0]).toContain("ECONNREFUSED");
  });
});
