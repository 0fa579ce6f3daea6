// What docs/flow-control.md says becomes of requests, for one pool and one worker, written from that document:
// lists that are searched from end to end.

import * as wire from "../../src/wire/flow.ts";
import { STALE_INTERVALS } from "../../src/wire/policy.ts";
import type { FlowSpec } from "../host/flow.ts";
import type { RowSpec } from "../host/snapshot.ts";

type BandSpec = NonNullable<FlowSpec["defaultBand"]>;

export interface FlowRequest {
  readonly id: number;
  /** Value of the objective header. */
  readonly objective: string | undefined;
  /** Fairness id. */
  readonly flow: string | undefined;
  /** Of its own header. */
  readonly ttlMs: number | undefined;
  readonly sloMs: number | undefined;
  readonly bytes: number;
}

export interface Refusal {
  readonly status: 429 | 503;
  readonly reason: "rejected-saturated" | "rejected-ttl-expired" | "rejected-no-endpoints";
}

/** "sent" to an endpoint, "waits", or refused. */
export type Fate = "sent" | "waits" | Refusal;

export interface Happening {
  readonly id: number;
  readonly fate: Fate;
}

export interface Rules {
  readonly flow: FlowSpec;
  /** Priorities by objective. */
  readonly objectives: Readonly<Record<string, number>>;
  readonly addresses: readonly string[];
}

/** To which endpoint the filter sent a request; undefined when it did not. Which one it is does not matter here. */
export type WhereSent = (id: number) => string | undefined;

interface Waiting {
  readonly request: FlowRequest;
  readonly arrivedNs: bigint;
  /** Counts arrivals. */
  readonly number: number;
  /** It waited while the pool had no endpoint. */
  sawEmpty: boolean;
}

interface Measured {
  readonly row: RowSpec;
  readonly receivedNs: bigint;
  readonly inFlight: number;
}

const SATURATED: Refusal = { status: 429, reason: "rejected-saturated" };
const NO_ENDPOINTS: Refusal = { status: 503, reason: "rejected-no-endpoints" };
const DISPATCHES_AT_ONCE = 64;
const REMEMBERED_NS = 10_000_000_000n;
/** Scraped more seldom than this, an endpoint is corrected only when something waited there. */
const OFTEN_MS = 200;

export class FlowModel {
  nowNs = 0n;
  private rules: Rules;
  private waiting: Waiting[] = [];
  private arrivals = 0;
  private lastServedNs = 0n;
  /** When a flow was last served, by priority and fairness id. */
  private readonly served = new Map<string, bigint>();
  /** The endpoints of what runs, by the request's id. */
  private readonly running = new Map<number, string>();
  private readonly measured = new Map<string, Measured>();

  constructor(rules: Rules) {
    this.rules = rules;
  }

  get waitingIds(): number[] {
    return this.waiting.map(({ request }) => request.id);
  }

  get runningIds(): number[] {
    return [...this.running.keys()];
  }

  get endpointCount(): number {
    return this.rules.addresses.length;
  }

  // ── What happens ──

  arrive(request: FlowRequest, where: WhereSent): Fate {
    const priority = this.priorityOf(request);
    const mine = { request, arrivedNs: this.nowNs, number: ++this.arrivals, sawEmpty: this.isEmpty };
    if (!this.queues) {
      if (this.isEmpty) return NO_ENDPOINTS;
      if (priority < 0 && this.saturation() >= 1) return SATURATED;
      return this.send(request, where);
    }
    const isBehind = this.waiting.some((other) => this.priorityOf(other.request) >= priority);
    if (!this.isEmpty && !isBehind && this.hasPlace(priority)) return this.send(request, where);
    if (!this.hasRoom(mine)) return SATURATED;
    this.forgetIfEmpty(this.flowOf(request));
    this.waiting.push(mine);
    return "waits";
  }

  /** The rules that come into force with the next tick's news. */
  change(rules: Rules): void {
    this.rules = rules;
    for (const one of this.waiting) if (this.isEmpty && this.queues) one.sawEmpty = true;
  }

  measure(rows: readonly RowSpec[]): void {
    this.rules.addresses.forEach((address, index) => {
      const row = rows[index] ?? {};
      this.measured.set(address, { row, receivedNs: this.nowNs, inFlight: this.inFlightOn(address) });
    });
  }

  /** Every 20 ms: who has waited too long goes before anybody is dispatched. */
  tick(where: WhereSent): Happening[] {
    return [...this.expire(), ...this.dispatch(where)];
  }

  /** A request that runs begins to answer. */
  answer(where: WhereSent): Happening[] {
    return this.dispatch(where);
  }

  /** A request that runs or waits is over. */
  end(id: number, where: WhereSent): Happening[] {
    this.waiting = this.waiting.filter(({ request }) => request.id !== id);
    this.running.delete(id);
    return this.dispatch(where);
  }

  // ── Dispatch ──

  private dispatch(where: WhereSent): Happening[] {
    const happened: Happening[] = [];
    while (happened.length < DISPATCHES_AT_ONCE && this.waiting.length > 0) {
      const priority = Math.max(...this.waiting.map(({ request }) => this.priorityOf(request)));
      if (this.queues && (this.isEmpty || !this.hasPlace(priority))) break;
      const next = this.first(priority);
      this.waiting = this.waiting.filter((other) => other !== next);
      // Of several served at one time each was served after the one before.
      this.lastServedNs = this.nowNs > this.lastServedNs ? this.nowNs : this.lastServedNs + 1n;
      this.served.set(this.flowOf(next.request), this.lastServedNs);
      const fate = this.isEmpty ? NO_ENDPOINTS : this.send(next.request, where);
      happened.push({ id: next.request.id, fate });
    }
    return happened;
  }

  private first(priority: number): Waiting {
    const band = this.waiting.filter(({ request }) => this.priorityOf(request) === priority);
    const settings = this.bandOf(priority);
    const inOrder = (some: readonly Waiting[]) => some.toSorted((a, b) => this.compare(settings, a, b));
    if (settings.fairness === "global-strict") return inOrder(band)[0]!;
    const flows = Map.groupBy(band, ({ request }) => this.flowOf(request));
    const turns = [...flows].map(([flow, requests]) => {
      const [next] = inOrder(requests);
      return { next: next!, sinceNs: this.served.get(flow) ?? next!.arrivedNs };
    });
    turns.sort((a, b) => Number(a.sinceNs - b.sinceNs) || a.next.number - b.next.number);
    return turns[0]!.next;
  }

  private compare(settings: BandSpec, a: Waiting, b: Waiting): number {
    const [first, second] = [a, b].map((one) => {
      if (settings.ordering === "edf") return this.deadlineMs(one);
      if (settings.ordering === "slo-deadline") return arrivedMs(one) + (one.request.sloMs ?? Number.POSITIVE_INFINITY);
      return 0;
    });
    return first === second ? a.number - b.number : first! < second! ? -1 : 1;
  }

  private send(request: FlowRequest, where: WhereSent): Fate {
    this.running.set(request.id, where(request.id) ?? "nowhere");
    return "sent";
  }

  /** Before a request comes to a flow: an empty one that was served long ago is as one that never was. */
  private forgetIfEmpty(flow: string): void {
    const served = this.served.get(flow);
    const isEmpty = !this.waiting.some(({ request }) => this.flowOf(request) === flow);
    if (isEmpty && served !== undefined && this.nowNs - served > REMEMBERED_NS) this.served.delete(flow);
  }

  // ── Time ──

  private expire(): Happening[] {
    const late = this.waiting.filter((one) => this.deadlineMs(one) <= Number(this.nowNs) / 1e6);
    this.waiting = this.waiting.filter((one) => !late.includes(one));
    const status = this.isEmpty ? 503 : 429;
    return late
      .toSorted((a, b) => this.deadlineMs(a) - this.deadlineMs(b))
      .map(({ request }) => ({ id: request.id, fate: { status, reason: "rejected-ttl-expired" } }));
  }

  /** When it will have waited too long; Infinity = never. */
  private deadlineMs(one: Waiting): number {
    if (!this.queues) return Number.POSITIVE_INFINITY;
    const { ttlMs = wire.REQUEST_TTL_MS, emptyTtlMs = ttlMs } = this.rules.flow;
    const bandMs = endless(this.bandOf(this.priorityOf(one.request)).ttlMs ?? ttlMs);
    const emptyMs = endless(emptyTtlMs);
    const shared = this.isEmpty ? emptyMs : one.sawEmpty ? Math.max(bandMs, emptyMs) : bandMs;
    return arrivedMs(one) + Math.min(shared, endless(one.request.ttlMs ?? 0));
  }

  // ── Room ──

  private hasRoom(mine: Waiting): boolean {
    const priority = this.priorityOf(mine.request);
    const { maxRequests = wire.BAND_REQUESTS_MAX, maxBytes = wire.BAND_BYTES_MAX } = this.bandOf(priority);
    const band = [...this.waiting.filter(({ request }) => this.priorityOf(request) === priority), mine];
    const all = [...this.waiting, mine];
    const { flow } = this.rules;
    return (
      band.length <= maxRequests &&
      bytesOf(band) <= maxBytes &&
      all.length <= (flow.maxRequests ?? Number.POSITIVE_INFINITY) &&
      bytesOf(all) <= (flow.maxBytes ?? Number.POSITIVE_INFINITY)
    );
  }

  // ── Priorities ──

  priorityOf(request: FlowRequest): number {
    return request.objective === undefined ? 0 : (this.rules.objectives[request.objective] ?? 0);
  }

  private bandOf(priority: number): BandSpec {
    const { bands = [], defaultBand = {}, defaultNegativeBand = defaultBand } = this.rules.flow;
    const own = bands.find((band) => band.priority === priority);
    return own ?? (priority < 0 ? defaultNegativeBand : defaultBand);
  }

  private flowOf(request: FlowRequest): string {
    return `${this.priorityOf(request)} ${request.flow ?? "default-flow"}`;
  }

  // ── Saturation ──

  private get queues(): boolean {
    return this.rules.flow.queues === true;
  }

  private get isEmpty(): boolean {
    return this.rules.addresses.length === 0;
  }

  private hasPlace(priority: number): boolean {
    return this.saturation() < this.ceiling(priority);
  }

  private ceiling(priority: number): number {
    const usage = this.rules.flow.usage ?? { type: "static-usage-limit-policy" };
    if (usage.type === "static-usage-limit-policy") return usage.ceiling ?? 1;
    const { minCeiling, maxCeiling = 1, domain = "rank" } = usage;
    // The ceilings are spread over the bands; each priority there is has one.
    const priorities = (this.rules.flow.bands ?? []).map((band) => band.priority).toSorted((a, b) => a - b);
    const scale = domain === "rank" ? priorities.map((_, index) => index) : priorities;
    const [lowest, highest] = [scale[0]!, scale.at(-1)!];
    if (lowest === highest) return maxCeiling;
    const at = scale[priorities.indexOf(priority)]!;
    return minCeiling + ((maxCeiling - minCeiling) * (at - lowest)) / (highest - lowest);
  }

  saturation(): number {
    if (this.isEmpty) return 1;
    const detector = this.rules.flow.detector ?? { type: "utilization-detector" };
    if (detector.type === "concurrency-detector") {
      const all = this.rules.addresses.map((address) => this.inFlightOn(address)).reduce((a, b) => a + b, 0);
      return all / ((detector.maxConcurrency ?? Number.POSITIVE_INFINITY) * this.rules.addresses.length);
    }
    const { queueThreshold = wire.QUEUE_THRESHOLD, kvThreshold = wire.KV_THRESHOLD, staleMs = 200 } = detector;
    const shares = this.rules.addresses.flatMap((address) => {
      const measured = this.measured.get(address);
      const { waiting, kvUsage, ageMs = 0, intervalMs = 50 } = measured?.row ?? {};
      if (measured === undefined || waiting === undefined || kvUsage === undefined) return [];
      const age = ageMs + Number(this.nowNs - measured.receivedNs) / 1e6;
      if (age > Math.max(staleMs, STALE_INTERVALS * intervalMs)) return [];
      const isCorrected = intervalMs <= OFTEN_MS || waiting > 0;
      const sentSince = isCorrected ? this.inFlightOn(address) - measured.inFlight : 0;
      const queue = Math.max(0, waiting + sentSince);
      return [Math.max(queue / queueThreshold, Math.fround(kvUsage) / Math.fround(kvThreshold))];
    });
    return shares.length === 0 ? 0 : shares.reduce((a, b) => a + b, 0) / shares.length;
  }

  private inFlightOn(address: string): number {
    return [...this.running.values()].filter((one) => one === address).length;
  }
}

function arrivedMs(one: Waiting): number {
  return Number(one.arrivedNs) / 1e6;
}

function endless(ttlMs: number): number {
  return ttlMs === 0 ? Number.POSITIVE_INFINITY : ttlMs;
}

function bytesOf(some: readonly Waiting[]): number {
  return some.reduce((sum, { request }) => sum + request.bytes, 0);
}
