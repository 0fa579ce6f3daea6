// One filter and the model of flow control side by side: both live through the same case, event by event.

import { HEADER_FAIRNESS, HEADER_OBJECTIVE, HEADER_SLO_TTFT, HEADER_TTL } from "../../src/wire/names.ts";
import { Gateway, POOL } from "../filter/gateway.ts";
import { DESTINATION, headerOf, isHeld, requestHeaders } from "../host/drive.ts";
import type { FlowSpec } from "../host/flow.ts";
import type { RowSpec } from "../host/snapshot.ts";
import type { Stream } from "../host/stream.ts";
import { type Fate, FlowModel, type FlowRequest, type Happening, type Rules } from "../oracle/flow.ts";
import type { ArrivalCase, FlowCase, FlowEventCase, RulesCase } from "./flow-cases.ts";

/** Keeps sums of times off whole milliseconds: nothing happens exactly at a limit. */
const ODD_MS = 0.300_137;
/** Until a worker has heard what was pushed. */
const NEWS_MS = 25;
const WAITING_TICK_MS = 20;
const IDLE_TICK_MS = 250;
const TTL_TEXTS: Readonly<Record<number, string>> = { 100: "0.1", 1500: "1500ms", 9000: "9" };

export interface Difference {
  readonly event: FlowEventCase | "end";
  readonly at: number;
  readonly filter: unknown;
  readonly model: unknown;
}

/** The life of one case, in a process of its own. */
export class FlowLife {
  private readonly life: FlowCase;
  private readonly outcomes: Map<string, number>;
  private readonly gateway = new Gateway({ prefixIndexMiB: 1 });
  private readonly model: FlowModel;
  private readonly streams = new Map<number, Stream>();
  private readonly answered = new Set<number>();
  /** Went away or came to their end. */
  private readonly gone = new Set<number>();
  private requests = 0;
  private scrapes = 0;

  /** `outcomes` counts what was agreed on. */
  constructor(life: FlowCase, outcomes: Map<string, number>) {
    this.life = life;
    this.outcomes = outcomes;
    this.model = new FlowModel(rulesOf(life.rules));
    this.model.nowNs = this.gateway.process.clock.monotonicNs;
    this.push(life.rules, life.rows);
    this.gateway.worker.vm.log.recording = true;
    this.tick(NEWS_MS);
  }

  /** The first event after which filter and model differ, undefined when there is none. */
  play(): Difference | undefined {
    for (const [at, event] of this.life.events.entries()) {
      const before = new Set(this.model.waitingIds);
      const expected = this.happen(event);
      const model = expected.map(({ id, fate }) => told(id, fate));
      const filter = this.changed(before, event);
      for (const { fate } of expected) this.count(fate, event);
      const still = this.model.waitingIds.filter((id) => !isHeld(this.streams.get(id)!));
      if (model.join() !== filter.join() || still.length > 0)
        return { event, at, filter: [...filter, ...still], model };
      if (this.gateway.worker.vm.trap !== undefined) throw new Error("the filter trapped");
      const periodMs = this.gateway.worker.vm.tickPeriodMs(this.gateway.worker.root) ?? IDLE_TICK_MS;
      if (this.model.waitingIds.length > 0 && periodMs > WAITING_TICK_MS)
        return { event, at, filter: `ticks every ${periodMs} ms while something waits`, model: WAITING_TICK_MS };
    }
    return this.close();
  }

  /** All clients go away: nothing may be left. */
  private close(): Difference | undefined {
    for (const stream of this.streams.values()) stream.reset();
    this.tick(NEWS_MS);
    this.tick(NEWS_MS);
    const inFlight = this.gateway.inFlightTotal();
    const periodMs = this.gateway.worker.vm.tickPeriodMs(this.gateway.worker.root) ?? IDLE_TICK_MS;
    if (inFlight === 0 && periodMs >= IDLE_TICK_MS) return undefined;
    const at = this.life.events.length;
    return { event: "end", at, filter: { inFlight, periodMs }, model: { inFlight: 0, periodMs: IDLE_TICK_MS } };
  }

  /** Makes it happen to both. Answers what the model says came of it, in order. */
  private happen(event: FlowEventCase): readonly Happening[] {
    switch (event.do) {
      case "arrive":
        return this.arrive(event);
      case "clock":
        return this.tick(event.ms);
      case "measure":
      case "change":
        if (event.do === "change") this.model.change(rulesOf(event.rules));
        this.push(event.do === "change" ? event.rules : undefined, event.rows);
        return this.tick(NEWS_MS);
      case "answer":
        return this.answer(this.nth(this.model.runningIds, event.n));
      case "finish":
        return this.finish(this.nth(this.model.runningIds, event.n));
      case "cancel":
        return this.end(this.nth([...this.model.waitingIds, ...this.model.runningIds], event.n));
    }
  }

  private readonly where = (id: number): string | undefined =>
    headerOf(this.streams.get(id)?.request.sentHeaders, DESTINATION)?.split(",")[0];

  private arrive(event: ArrivalCase): readonly Happening[] {
    const id = ++this.requests;
    const stream = this.gateway.worker.stream();
    this.streams.set(id, stream);
    const body = JSON.stringify({ model: "m", prompt: `${id} ${"x".repeat(event.padding)}` });
    stream.requestHeaders(requestHeaders({ body, headers: headersOf(event, body) }), false);
    stream.requestBody(body, true);
    const { objective, flow, ttlMs, sloMs } = event;
    const request: FlowRequest = { id, objective, flow, ttlMs, sloMs, bytes: body.length };
    return [{ id, fate: this.model.arrive(request, this.where) }];
  }

  private answer(id: number | undefined): readonly Happening[] {
    if (id === undefined || this.answered.has(id)) return [];
    this.answered.add(id);
    const stream = this.streams.get(id)!;
    stream.setProperty("upstream.address", this.where(id) ?? "");
    stream.responseHeaders([[":status", "200"]], false);
    return this.model.answer(this.where);
  }

  private finish(id: number | undefined): readonly Happening[] {
    if (id === undefined) return [];
    const atAnswer = this.answer(id);
    this.streams.get(id)!.responseBody("{}", true);
    return [...atAnswer, ...this.end(id)];
  }

  private end(id: number | undefined): readonly Happening[] {
    if (id === undefined) return [];
    this.gone.add(id);
    this.streams.get(id)!.end();
    return this.model.end(id, this.where);
  }

  private tick(ms: number): readonly Happening[] {
    this.gateway.process.clock.advanceMs(ms + ODD_MS);
    this.model.nowNs = this.gateway.process.clock.monotonicNs;
    this.gateway.worker.root.tick();
    return this.model.tick(this.where);
  }

  private push(rules: RulesCase | undefined, rows: readonly RowSpec[]): void {
    if (rules !== undefined) {
      const program = { profiles: [{ scorers: [{ type: "in-flight-scorer" as const }] }], flow: withBands(rules) };
      const endpoints = addressesOf(rules).map((address) => ({ address }));
      this.gateway.control.topology([{ name: POOL, program, models: { objectives: rules.objectives }, endpoints }]);
    }
    const scraped = rows.map((row) => ({ ...row, scrape: ++this.scrapes }));
    this.gateway.control.metrics(scraped.slice(0, this.model.endpointCount));
    this.model.measure(rows);
  }

  private nth(ids: readonly number[], n: number): number | undefined {
    return ids[n % Math.max(1, ids.length)];
  }

  /** What became of the request that arrived, or of those that waited before: in the order it was done. */
  private changed(before: ReadonlySet<number>, event: FlowEventCase): string[] {
    const inOrder = this.doneTo();
    if (event.do === "arrive") return [told(this.requests, this.fateOf(this.requests))];
    const changed = [...before].filter((id) => !this.gone.has(id) && this.fateOf(id) !== "waits");
    changed.sort((a, b) => inOrder.indexOf(a) - inOrder.indexOf(b));
    return changed.map((id) => told(id, this.fateOf(id)));
  }

  /** The requests that the filter resumed or answered since it was last asked. */
  private doneTo(): number[] {
    const ids = new Map([...this.streams].map(([id, stream]) => [stream.id, id]));
    let context = 0;
    return this.gateway.worker.vm.log.take().flatMap((entry) => {
      if (entry.kind === "callback" || entry.name === "proxy_set_effective_context") context = Number(entry.args[0]);
      const isDone = entry.name === "proxy_continue_stream" || entry.name === "proxy_send_local_response";
      return isDone ? [ids.get(context) ?? 0] : [];
    });
  }

  private fateOf(id: number): Fate | "lost" {
    const stream = this.streams.get(id)!;
    const reply = stream.localResponse;
    if (reply !== undefined) {
      const reason = headerOf(reply.headers, "x-llm-d-request-dropped-reason");
      return { status: reply.status, reason } as Fate;
    }
    if (isHeld(stream)) return "waits";
    return this.where(id) === undefined ? "lost" : "sent";
  }

  private count(fate: Fate, event: FlowEventCase): void {
    const name = typeof fate === "string" ? fate : `${fate.status} ${fate.reason}`;
    const key = `${event.do}: ${name}`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
  }
}

function told(id: number, fate: Fate | "lost"): string {
  return `${id} ${typeof fate === "string" ? fate : `${fate.status} ${fate.reason}`}`;
}

function addressesOf(rules: RulesCase): string[] {
  return Array.from({ length: rules.endpoints }, (_, index) => `10.0.0.${index + 1}:8000`);
}

function rulesOf(rules: RulesCase): Rules {
  return { flow: withBands(rules), objectives: rules.objectives, addresses: addressesOf(rules) };
}

/** As the agent: ceilings are spread over bands, so each priority that is known has one of its own. */
function withBands({ flow, objectives }: RulesCase): FlowSpec {
  if (flow.usage?.type !== "priority-holdback-policy") return flow;
  const { bands = [], defaultBand = {}, defaultNegativeBand = defaultBand } = flow;
  const own = new Map(bands.map((band) => [band.priority, band]));
  for (const priority of [0, ...Object.values(objectives)]) {
    if (own.has(priority)) continue;
    own.set(priority, { ...(priority < 0 ? defaultNegativeBand : defaultBand), priority });
  }
  return { ...flow, bands: [...own.values()] };
}

function headersOf(event: ArrivalCase, body: string): (readonly [string, string])[] {
  const { objective, flow, ttlMs, sloMs } = event;
  const named = [
    [HEADER_OBJECTIVE, objective],
    [HEADER_FAIRNESS, flow],
    [HEADER_TTL, ttlMs === undefined ? undefined : TTL_TEXTS[ttlMs]],
    [HEADER_SLO_TTFT, sloMs === undefined ? undefined : String(sloMs)],
    ["content-length", event.declares ? String(body.length) : undefined],
  ] as const;
  return named.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}
