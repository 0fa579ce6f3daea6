// Any events in any order, any bytes, from clients, servers and agents: the filter never traps, its memory
// never grows, and when the last stream is gone nothing is in flight. FUZZ_SEED=<number> plays another game.

import fc from "fast-check";
import { expect, test } from "vitest";
import { WORKERS_MAX } from "../../src/wire/limits.ts";
import { KEY_COLUMN } from "../../src/wire/names.ts";
import * as report from "../../src/wire/report.ts";
import * as wire from "../../src/wire/snapshot.ts";
import { OTHER_WORKER_GENERATION, OtherWorker } from "../host/column.ts";
import type { HeaderList } from "../host/header-map.ts";
import type { ModelsSpec } from "../host/models.ts";
import {
  type EndpointSpec,
  encodeMetrics,
  encodeTopology,
  type PoolSpec,
  type RowSpec,
  resum,
} from "../host/snapshot.ts";
import type { Stream } from "../host/stream.ts";
import { program } from "../property/pick-cases.ts";
import { CHAT, Gateway, POOL, type Worker } from "./gateway.ts";

const REQUESTS = 100_000;
const LIVE_MAX = 300;
const SEED = Number(process.env.FUZZ_SEED ?? 1);

/** mulberry32: the same game for the same seed. */
class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  unit(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  chance(share: number): boolean {
    return this.unit() < share;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count);
    for (let at = 0; at < count; at++) bytes[at] = this.below(256);
    return bytes;
  }
}

const ADDRESSES = Array.from({ length: 40 }, (_, index) => `10.0.0.${index}:8000`);
const PATHS = ["/v1/chat/completions", "/v1/completions?x=1", "/v1/models", "/", "", "/completions", "*"];
const METHODS = ["POST", "POST", "POST", "GET", "CONNECT", "", "PUT"];
const NAMES = [
  "x-gateway-destination-endpoint",
  "x-envoy-max-retries",
  "content-type",
  "content-encoding",
  "upgrade",
  "x-session-id",
  "x-session-token",
  "epp-profile",
  "x-color",
  "x-llm-d-inference-objective",
  "x-gateway-inference-fairness-id",
  "x-llm-d-model-name-rewrite",
  "x-gateway-model-name-rewrite",
  "x-llm-d-inference-ttl",
  "x-slo-ttft-ms",
  "x-gateway-destination-endpoint-subset",
  "x-pointsman-pool",
  "x-pool",
  "x",
  "",
  "x-a-name-of-just-about-the-sixty-four-bytes-that-a-bit-set-can-hold",
];
const BODIES = [
  CHAT,
  '{"model":"m","max_tokens":12,"stream":true}',
  `{"model":"${"n".repeat(300)}"}`,
  `{"messages":${"[".repeat(600)}`,
  '{"model":7}',
  "[1,2]",
  "",
  `{"prompt":"${"p".repeat(20_000)}","model":"m"}`,
  `{"prompt":[${Array.from({ length: 400 }, (_, n) => n * 977)}],"model":"lora","cache_salt":"salt"}`,
].map((text) => Buffer.from(text));

const PROGRAMS = fc.sample(program, { numRuns: 60, seed: SEED });
const MODELS: readonly ModelsSpec[] = [
  { generic: { targets: [{ name: "llama" }, { name: 'q"\u0001', weight: 7 }] } },
  {
    objectives: { high: 1, low: -1 },
    models: [{ name: "m", targets: [{ name: "x".repeat(256) }], priority: -2 }, { name: "llama" }],
  },
];
const ROUTE = "xds\0route_metadata\0filter_metadata\0pointsman\0pool";
const HINT = "metadata\0filter_metadata\0envoy.lb.subset_hint\0x-gateway-destination-endpoint-subset";
const ADAPTERS = ["m", "lora", "llama", "x".repeat(300)];

class Game {
  private readonly dice = new Dice(SEED);
  private readonly gateway = new Gateway({
    trustSubsetHeader: true,
    subsetHint: "metadata",
    poolHeader: "x-pool",
    defaultPool: POOL,
  });
  private readonly workers: Worker[] = [this.gateway.worker, this.gateway.newWorker()];
  private readonly live: Stream[] = [];
  private readonly large = Buffer.alloc(600_000, '{"model":"m","x":"y"}, ');
  private epoch = 1;
  private sequence = 0;
  private rows = 0;
  requests = 0;

  play(): void {
    // The prefix index takes its memory at a worker's first pick.
    this.gateway.serve(ADDRESSES);
    for (const worker of this.workers) worker.drive({ body: CHAT });
    const start = this.memories();
    new OtherWorker(this.gateway.process);
    while (this.requests < REQUESTS) this.step();
    for (const stream of this.live.splice(0)) stream.end();
    this.gateway.advance(1_000);
    expect(this.memories()).toEqual(start);
    for (const { vm } of this.workers) expect(vm.contextCount).toBe(1);
    // The worker that exists only as bytes may claim to be heard of in a thousand years.
    const columns = this.gateway.report().columns.filter((column) => column.generation !== OTHER_WORKER_GENERATION);
    expect(columns).toHaveLength(this.workers.length);
    const counted = columns.flatMap((column) => [...column.entries, ...column.adapters]);
    for (const entry of counted) expect(entry.inFlight).toBe(0);
    for (const entry of columns.flatMap((column) => column.entries)) expect(entry.tokens).toBe(0);
    // The game reached every outcome, and blobs that nobody could read.
    for (const outcome of ["scored", "degraded", "unsteered", "no_endpoints", "bad_request", "saturated"]) {
      expect(this.gateway.process.metrics.sum(`pointsman_picks_total.outcome.${outcome}.`), outcome).toBeGreaterThan(
        200,
      );
    }
    for (const column of columns) expect(column.unread).toBeGreaterThan(5);
    expect(this.gateway.worker.drive({ body: "x" }).localResponse?.status).toBe(400);
  }

  private memories(): number[] {
    return [...this.workers.map((worker) => worker.vm), this.gateway.control.vm].map((vm) => vm.memory.byteLength);
  }

  private step(): void {
    const { dice } = this;
    if (this.live.length < LIVE_MAX && dice.chance(0.3)) this.open();
    else if (this.live.length > 0) this.event(dice.below(this.live.length));
    if (dice.chance(0.2)) this.gateway.advance(dice.unit() * 3);
    if (dice.chance(0.002)) this.gateway.advance(dice.below(2_000));
    if (dice.chance(0.01)) dice.of(this.workers).root.tick();
    if (dice.chance(0.003)) this.push();
    if (dice.chance(0.002)) this.corrupt();
    for (const { vm } of [...this.workers, this.gateway.control]) {
      if (vm.trap !== undefined) throw new Error(`trapped at request ${this.requests}`, { cause: vm.trap });
    }
  }

  private headers(): HeaderList {
    const { dice } = this;
    const list: [string, string][] = [];
    if (dice.chance(0.98)) list.push([":path", dice.of(PATHS)]);
    if (dice.chance(0.98)) list.push([":method", dice.of(METHODS)]);
    if (dice.chance(0.6)) list.push(["content-type", "application/json"]);
    for (let n = dice.below(4); n > 0; n--) {
      list.push([dice.of(NAMES), dice.bytes(dice.below(dice.chance(0.01) ? 20_000 : 30)).toString("latin1")]);
    }
    return list;
  }

  private open(): void {
    const stream = this.dice.of(this.workers).stream();
    this.requests++;
    if (this.dice.chance(0.05)) stream.setProperty(ROUTE, this.dice.of([POOL, "default/other", "default/none", ""]));
    if (this.dice.chance(0.05)) stream.setProperty(HINT, this.hint());
    if (this.dice.chance(0.98)) stream.requestHeaders(this.headers(), this.dice.chance(0.1));
    this.live.push(stream);
  }

  /** A text, a list, or bytes that look like one. */
  private hint(): Buffer {
    const { dice } = this;
    if (dice.chance(0.3)) return Buffer.from(`${dice.of(ADDRESSES)}, ${dice.of(ADDRESSES)},[`);
    const bytes = dice.bytes(dice.below(60));
    if (bytes.length >= 4) bytes.writeUInt32LE(dice.of([0, 1, 3, 0xffffff]), 0);
    for (let at = 4; at + 4 <= bytes.length && at < 28; at += 4) bytes.writeUInt32LE(dice.below(20), at);
    return bytes;
  }

  private event(index: number): void {
    const { dice } = this;
    const stream = this.live[index]!;
    const kind = dice.unit();
    if (kind < 0.35) stream.requestBody(this.piece(), dice.chance(0.6));
    else if (kind < 0.37) stream.requestTrailers([["x-trailer", "1"]]);
    else if (kind < 0.55) this.answer(stream);
    else if (kind < 0.65) stream.responseBody(dice.bytes(dice.below(100)), dice.chance(0.3));
    else {
      stream.end();
      this.live[index] = this.live.at(-1)!;
      this.live.pop();
    }
  }

  private piece(): Buffer {
    const { dice } = this;
    if (dice.chance(0.001)) return this.large.subarray(0, dice.below(this.large.length));
    if (dice.chance(0.1)) return dice.bytes(dice.below(64));
    const body = dice.of(BODIES);
    if (dice.chance(0.5)) return body;
    if (dice.chance(0.5)) return body.subarray(0, dice.below(body.length + 1));
    const damaged = Buffer.from(body);
    if (damaged.length > 0) damaged[dice.below(damaged.length)] = dice.below(256);
    return damaged;
  }

  private answer(stream: Stream): void {
    const { dice } = this;
    if (dice.chance(0.9)) stream.setProperty("upstream.address", dice.chance(0.9) ? dice.of(ADDRESSES) : dice.bytes(9));
    if (dice.chance(0.2)) stream.setProperty("response.flags", dice.bytes(dice.chance(0.9) ? 8 : 3));
    const status = dice.of(["200", "200", "404", "500", "503", "", "5", "999999999"]);
    stream.responseHeaders(dice.chance(0.95) ? [[":status", status]] : [], dice.chance(0.3));
  }

  /** What an agent may send, sound or not; a changed blob gets its checksum, to come further in. */
  private push(): void {
    const { dice } = this;
    const isTopology = dice.chance(0.4);
    let blob = isTopology ? this.topology() : this.metrics();
    if (dice.chance(0.3)) {
      for (let n = dice.below(4); n >= 0; n--) {
        const at = wire.CRC_FROM + dice.below(blob.length - wire.CRC_FROM);
        // Not the epoch's upper bytes: nothing could follow the last epoch there is.
        if (at <= wire.H_EPOCH || at >= wire.H_EPOCH + 8) blob[at] = dice.of([0, 1, 255, dice.below(256)]);
      }
      if (dice.chance(0.2)) blob.writeUInt16LE(dice.below(6), wire.H_FORMAT);
      resum(blob);
    } else if (dice.chance(0.1)) {
      blob = dice.bytes(dice.below(300));
    }
    const answer = this.gateway.control.exchange("PUT", `/v1/${isTopology ? "topology" : "metrics"}`, blob);
    if (answer.status === 200) this.epoch = (answer.json as { epoch: number }).epoch;
  }

  private topology(): Buffer {
    const { dice } = this;
    const share = dice.chance(0.15) ? 0 : 0.3;
    const endpoints = ADDRESSES.filter(() => dice.chance(share)).map(
      (address): EndpointSpec => ({
        address,
        passes: dice.chance(0.7) ? [0, 1, 63] : [],
        columns: [
          { label: "red" },
          { label: undefined },
          { range: "broken" },
          { range: [0, 9] },
          { level: dice.below(7) },
          { level: 9 },
        ],
      }),
    );
    const pools: PoolSpec[] = [this.pool(POOL, endpoints)];
    if (dice.chance(0.2)) pools.push(this.pool("default/other", endpoints.slice(1)));
    this.rows = pools.reduce((sum, pool) => sum + pool.endpoints.length, 0);
    this.sequence = 0;
    return encodeTopology(this.epoch + 1, pools, dice.of([2, 3, 3, 3]));
  }

  private pool(name: string, endpoints: readonly EndpointSpec[]): PoolSpec {
    const { dice } = this;
    const program = dice.chance(0.7) ? { program: dice.of(PROGRAMS) } : {};
    const models = dice.chance(0.5) ? { models: dice.of(MODELS) } : {};
    return { name, failOpen: dice.chance(0.5), endpoints, ...program, ...models };
  }

  private metrics(): Buffer {
    const { dice } = this;
    const odd = [0, 1, -1, 1e30, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5];
    const row = (): RowSpec => ({
      waiting: dice.of(odd),
      kvUsage: dice.of(odd),
      running: dice.of(odd),
      ageMs: dice.of([0, 100, 5_000, 0xffffffff]),
      intervalMs: dice.of([50, 1_000, 0xffffffff]),
      blockSize: dice.of([0, 16, 96, 128, 256, 512, 0xffffffff]),
      blocks: dice.of([0, 1, 7, 50_000, 0xffffffff]),
      maxAdapters: dice.of([0, 2, 0xffffffff]),
      runningAdapters: ADAPTERS.filter(() => dice.chance(0.3)),
      waitingAdapters: ADAPTERS.filter(() => dice.chance(0.2)),
      attributes: [dice.of(odd), dice.of(odd), dice.of(odd)],
    });
    const rows = Array.from({ length: this.rows + (dice.chance(0.05) ? 1 : 0) }, row);
    return encodeMetrics(this.epoch, ++this.sequence, rows, dice.of([2, 3, 3]));
  }

  /** Another worker's column is bytes in shared memory: any bytes. */
  private corrupt(): void {
    const { dice } = this;
    const shared = this.gateway.process.sharedData;
    const key = `${KEY_COLUMN}${WORKERS_MAX - 1}`;
    const counts = [dice.below(5), dice.below(5)] as const;
    const rows = counts[0] * report.ENTRY_BYTES + counts[1] * report.ADAPTER_ENTRY_BYTES;
    const column = dice.bytes(report.COLUMN_BYTES + rows);
    column.writeBigUInt64LE(OTHER_WORKER_GENERATION, report.C_GENERATION);
    if (dice.chance(0.8)) column.writeBigUInt64LE(this.gateway.process.clock.monotonicNs, report.C_HEARTBEAT_NS);
    if (dice.chance(0.8)) column.writeUInt32LE(counts[0], report.C_ENTRY_COUNT);
    if (dice.chance(0.8)) column.writeUInt32LE(counts[1], report.C_ADAPTER_COUNT);
    shared.set(key, column, 0);
  }
}

test(`${REQUESTS} requests of any kind`, () => {
  const game = new Game();
  game.play();
});
