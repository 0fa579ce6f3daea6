// One filter and the oracle side by side: both live through the same case, and every pick is compared.

import { OtherWorker, type Told } from "../host/column.ts";
import { Control } from "../host/control.ts";
import { DESTINATION, drive, headerOf, type Request, sendRequest } from "../host/drive.ts";
import { Process } from "../host/process.ts";
import type { Root } from "../host/root.ts";
import { type EndpointSpec, endpointIdOf, type RowSpec } from "../host/snapshot.ts";
import type { Stream } from "../host/stream.ts";
import type { Request as Asked } from "../oracle/candidates.ts";
import type { Scored } from "../oracle/pickers.ts";
import { Draws } from "../oracle/random.ts";
import { type Answer, type Flight, Scheduler } from "../oracle/schedule.ts";
import { encodeId } from "../oracle/sessions.ts";
import type { EventCase, PickCase, PromptCase, RequestCase, ToldCase } from "./pick-cases.ts";

/** Never a whole number of milliseconds, however often: no age is exactly at its limit. */
const TICK_MS = 1.300_137;
const UNKNOWN_LEVEL = 5;
const POOL = "ns/b";

/** What both sides are asked for. */
interface Outcome {
  readonly destination?: string | undefined;
  readonly dataParallel?: string | undefined;
  readonly status?: number | undefined;
  readonly reason?: string | undefined;
  readonly sessionToken?: string | undefined;
  /** Endpoints with their totals, of a request that asks how it would be picked for. */
  readonly explained?: string | undefined;
}

export interface Difference {
  readonly event: EventCase;
  readonly filter: Outcome;
  readonly oracle: Outcome;
}

/** What an explanation is read for. */
interface Explanation {
  readonly picked?: readonly { readonly endpoint: string; readonly total: number }[];
}

/** Explanations have six places. */
const EXPLAINED_TO = 1.1e-6;

interface Live {
  readonly stream: Stream;
  readonly flight: Flight;
}

/** Each case is a new topology with addresses of its own, under a new configuration with the same seed. */
export class Bench {
  /** How often each outcome was agreed on. */
  readonly outcomes = new Map<string, number>();
  picks = 0;
  private readonly process = new Process();
  private readonly control = new Control(this.process);
  private readonly vm = this.process.newVm();
  private readonly seed: number;
  private root: Root;
  private draws: Draws;
  private readonly other: OtherWorker;
  private cases = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.draws = new Draws(seed);
    this.root = this.configure();
    drive(this.vm, this.root, { body: '{"model":"m"}' }); // no snapshot yet: nothing is drawn
    this.other = new OtherWorker(this.process);
  }

  private configure(): Root {
    return this.vm.root({
      role: "filter",
      failureMode: "FailClose",
      defaultPool: POOL,
      seed: this.seed,
      explain: true,
    });
  }

  /** The first pick on which filter and oracle differ, undefined when there is none. */
  run(life: PickCase): Difference | undefined {
    const old = this.root;
    this.root = this.configure();
    this.draws = new Draws(this.seed);
    old.close();
    const game = new Life(this, life, `10.${(++this.cases >> 8) & 255}.${this.cases & 255}`);
    const difference = game.play();
    game.close();
    if (this.vm.trap !== undefined) throw new Error("the filter trapped", { cause: this.vm.trap });
    return difference;
  }

  get nowNs(): bigint {
    return this.process.clock.monotonicNs;
  }

  topology(life: PickCase, others: readonly EndpointSpec[], endpoints: readonly EndpointSpec[]): void {
    const program = life.program === undefined ? {} : { program: life.program };
    this.control.topology([
      { name: "ns/a", endpoints: others },
      { name: POOL, failOpen: life.failOpen, endpoints, ...program },
    ]);
  }

  metrics(rows: readonly RowSpec[]): void {
    this.control.metrics(rows);
  }

  wait(ms: number): void {
    this.process.clock.advanceMs(ms + TICK_MS);
  }

  /** The worker hears what there is. The other one has just said what it says. */
  tick(told: readonly Told[]): void {
    this.wait(0);
    this.other.tell(told);
    this.root.tick();
  }

  ask(request: Request, told: readonly Told[]): Stream {
    this.wait(0);
    this.other.tell(told);
    const stream = this.vm.stream(this.root);
    sendRequest(stream, request);
    return stream;
  }

  oraclesAnswer(scheduler: Scheduler, asked: Asked): Answer {
    return scheduler.pick(asked, this.draws, this.nowNs);
  }

  /** What is only explained draws nothing: the pick that follows is the one explained. */
  oraclesExplanation(scheduler: Scheduler, asked: Asked): readonly Scored[] | undefined {
    return scheduler.explain(asked, this.draws.copy(), this.nowNs);
  }

  count(outcome: string): void {
    this.picks++;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }
}

/** One case being lived through. */
class Life {
  private readonly bench: Bench;
  private readonly life: PickCase;
  private readonly endpoints: readonly EndpointSpec[];
  private readonly scheduler: Scheduler;
  private readonly live: Live[] = [];
  private told: readonly Told[] = [];
  private scrapes = 0;

  constructor(bench: Bench, life: PickCase, prefix: string) {
    this.bench = bench;
    this.life = life;
    const others = Array.from({ length: life.before }, (_, index) => ({ address: `${prefix}.${200 + index}:8000` }));
    this.endpoints = life.endpoints.map((endpoint, index) => ({
      address: `${prefix}.${index}:${endpoint.port}`,
      passes: endpoint.passes,
      columns: endpoint.columns.with(5, life.isPlaceUnknown ? { level: UNKNOWN_LEVEL } : endpoint.columns[5]!),
    }));
    const { program, failOpen } = life;
    this.scheduler = new Scheduler({ program, failOpen, endpoints: this.endpoints, firstRow: life.before });
    bench.topology(life, others, this.endpoints);
    bench.tick([]);
    this.tell((endpoint) => endpoint.toldBefore, 0);
    this.scrape(0);
    this.tell((endpoint) => endpoint.toldAfter, 0);
  }

  play(): Difference | undefined {
    for (const event of this.life.events) {
      const difference = this.step(event);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }

  close(): void {
    for (const { stream } of this.live.splice(0)) stream.end();
  }

  private step(event: EventCase): Difference | undefined {
    if (event.do === "pick") return this.pick(event);
    if (event.do === "wait") this.bench.wait(event.ms);
    if (event.do === "tell") this.tell((endpoint) => endpoint.toldAfter, event.shift);
    if (event.do === "scrape") this.scrape(event.shift);
    const live = "flight" in event ? this.live[event.flight % this.live.length] : undefined;
    if (live === undefined) return undefined;
    if (event.do === "end") this.end(live);
    return event.do === "answer" ? this.answer(live, event) : undefined;
  }

  private tell(read: (endpoint: PickCase["endpoints"][number]) => ToldCase, shift: number): void {
    const { nowNs } = this.bench;
    this.told = this.endpoints.map(({ address }, index) => {
      const { failedAgoMs, ...told } = read(this.shifted(index, shift));
      return { address, ...told, failedNs: nowNs - BigInt(failedAgoMs) * 1_000_000n };
    });
    this.bench.tick(this.told);
    this.scheduler.hear(this.told);
  }

  private scrape(shift: number): void {
    const named = this.life.hasBaseModel ? { baseModel: "base" } : {};
    const rows = this.endpoints.map((_, index) => ({ ...this.shifted(index, shift).row, ...named }));
    this.bench.metrics([...Array.from({ length: this.life.before }, () => ({})), ...rows]);
    this.scheduler.measure(rows, ++this.scrapes, this.bench.nowNs);
    this.bench.tick(this.told);
  }

  private shifted(index: number, shift: number): PickCase["endpoints"][number] {
    return this.life.endpoints[(index + shift) % this.life.endpoints.length]!;
  }

  private pick(event: EventCase & { readonly do: "pick" }): Difference | undefined {
    const { request } = event;
    const headers = { ...request.headers, ...this.tokenHeader(request.token) };
    const unlike = request.kind === "broken" ? undefined : this.explain(event, headers);
    if (unlike !== undefined) return unlike;
    const stream = this.bench.ask({ ...sent(request), headers: Object.entries(headers) }, this.told);
    const filter: Outcome = {
      destination: headerOf(stream.request.sentHeaders, DESTINATION),
      dataParallel: headerOf(stream.request.sentHeaders, "x-data-parallel-host-port"),
      status: stream.localResponse?.status,
      reason: headerOf(stream.localResponse?.headers, "x-llm-d-request-dropped-reason"),
    };
    if (request.kind === "broken") {
      stream.end();
      return differ(event, filter, { status: 400 });
    }
    const answer = this.bench.oraclesAnswer(this.scheduler, asked(request, headers));
    const difference = differ(event, filter, outcomeOf(answer));
    if (difference === undefined) this.bench.count(kindOf(answer));
    if (difference !== undefined || answer === "unsteered" || "status" in answer) {
      stream.end();
      return difference;
    }
    const live = { stream, flight: answer };
    this.live.push(live);
    return this.goOn(live, event);
  }

  /** Asks how the request would be picked for: where the order is the same, scores may differ still. */
  private explain(event: EventCase & { readonly do: "pick" }, headers: Record<string, string>): Difference | undefined {
    const { request } = event;
    const named: [string, string][] = [...Object.entries(headers), ["x-pointsman-explain", "1"]];
    const stream = this.bench.ask({ ...sent(request), headers: named }, this.told);
    stream.end();
    const expected = this.bench.oraclesExplanation(this.scheduler, asked(request, headers));
    if (expected === undefined) return undefined;
    const reply = stream.localResponse;
    const told = JSON.parse(Buffer.from(reply?.body ?? "{}").toString()) as Explanation;
    const oracle = expected.map(({ candidate, total }) => ({ endpoint: candidate.address, total }));
    const picked = told.picked ?? [];
    const isSame =
      picked.length === oracle.length &&
      picked.every(({ endpoint, total }, index) => {
        const one = oracle[index]!;
        return endpoint === one.endpoint && Math.abs(total - one.total) < EXPLAINED_TO;
      });
    if (isSame) return undefined;
    return { event, filter: { explained: JSON.stringify(told) }, oracle: { explained: JSON.stringify(oracle) } };
  }

  private goOn(live: Live, event: EventCase & { readonly do: "pick" }): Difference | undefined {
    if (event.outcome === "hold") return undefined;
    const difference =
      event.outcome === "reset" ? undefined : this.answer(live, { do: "answer", flight: 0, by: 0, status: 200 });
    if (event.outcome !== "answer") this.end(live);
    return difference;
  }

  private answer(live: Live, event: EventCase & { readonly do: "answer" }): Difference | undefined {
    const { stream, flight } = live;
    if (stream.response.sentHeaders !== undefined) return undefined;
    // On a port that several endpoints share, who answered cannot be told: it is taken for the first.
    const by = flight.dataParallel === undefined ? Math.min(event.by, flight.list.length - 1) : 0;
    stream.setProperty("upstream.address", flight.list[by]!);
    stream.responseHeaders([[":status", String(event.status)]], false);
    const sessionToken = this.scheduler.answered(flight, by, event.status, this.bench.nowNs);
    return differ(event, { sessionToken: headerOf(stream.response.sentHeaders, "x-session-token") }, { sessionToken });
  }

  private end(live: Live): void {
    live.stream.end();
    this.scheduler.ended(live.flight);
    this.live.splice(this.live.indexOf(live), 1);
  }

  private tokenHeader(token: RequestCase["token"]): Record<string, string> {
    if (token === undefined) return {};
    if (token === "nonsense" || this.endpoints.length === 0) return { "x-session-token": "n0nsense" };
    const index = token % this.endpoints.length;
    return { "x-session-token": encodeId(endpointIdOf(this.endpoints[index]!, this.life.before + index)) };
  }
}

function differ(event: EventCase, filter: Outcome, oracle: Outcome): Difference | undefined {
  const names = ["destination", "dataParallel", "status", "reason", "sessionToken"] as const;
  return names.every((name) => filter[name] === oracle[name]) ? undefined : { event, filter, oracle };
}

function outcomeOf(answer: Answer): Outcome {
  if (answer === "unsteered") return {};
  if ("status" in answer) return answer;
  return { destination: answer.list.join(","), dataParallel: answer.dataParallel };
}

function kindOf(answer: Answer): string {
  if (answer === "unsteered") return answer;
  return "status" in answer ? String(answer.status) : "picked";
}

// ── The same request, as a client sends it and as the oracle is told of it ──

function textOf(prompt: PromptCase): string {
  return typeof prompt === "string" ? prompt : prompt.join(" ");
}

function sent(request: RequestCase): Request {
  const { kind, model, prompts, salt, tokenLimit } = request;
  if (kind === "bodyless") return { method: "GET", path: "/v1/models" };
  if (kind === "broken") return { body: '{"model":' };
  const limits = { max_tokens: tokenLimit, cache_salt: salt };
  if (kind === "chat") {
    const messages = prompts.map((prompt) => ({ role: "user", content: textOf(prompt) }));
    return { path: "/v1/chat/completions", body: JSON.stringify({ messages, model, ...limits }) };
  }
  const prompt = prompts.length === 1 ? prompts[0] : prompts;
  return { path: "/v1/completions", body: JSON.stringify({ model, prompt, ...limits }) };
}

function asked(request: RequestCase, headers: Readonly<Record<string, string>>): Asked {
  const { kind, model, prompts, salt, tokenLimit } = request;
  if (kind === "bodyless") return { model: undefined, headers, prompts: [], salt: "", tokenLimit: undefined };
  const flat = kind === "chat" ? [prompts.map((prompt) => `user${textOf(prompt)}`).join("")] : prompts;
  return { model, headers, prompts: flat.map(tokens), salt: salt ?? "", tokenLimit };
}

/** Pseudo-tokens: 4 bytes each, the last one filled up with zeros. */
function tokens(prompt: PromptCase): Buffer {
  if (typeof prompt !== "string") return Buffer.from(Uint32Array.from(prompt).buffer);
  const bytes = Buffer.from(prompt);
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
