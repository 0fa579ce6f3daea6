// The inference engine of the simulated server: continuous batching over running slots, KV blocks and
// adapters. Time is a parameter of every call and there is no timer inside: the same calls at the same
// times give the same result.
//
//   waiting ──admit──▶ prefill (one at a time, in order) ──first token──▶ decode (all at once) ──▶ done
//
// Differences from vLLM: the blocks of the whole answer are taken at admission, so nothing is ever
// preempted; an answer enters the prefix cache when it is finished, not block by block; prefill does not
// slow decode down.

import { Adapters } from "./adapters.ts";
import { type Hold, KvBlocks } from "./kv-blocks.ts";

export interface EngineOptions {
  /** Sequences that compute at once. */
  readonly maxRunning: number;
  /** KV memory, in blocks. */
  readonly blocks: number;
  /** Tokens in one block. */
  readonly blockSize: number;
  /** From admission to prefill, for each sequence by itself: a time to first token that load leaves alone. */
  readonly startMs: number;
  /** Tokens of prompt per second, all sequences together. Infinity: no time at all. */
  readonly prefillTokensPerS: number;
  /** Tokens of answer per second of one sequence that is alone. Infinity: no time at all. */
  readonly decodeTokensPerS: number;
  /** Share of that speed each sequence loses when all slots run, 0…1; linear in between. */
  readonly decodeSlowdown: number;
  /** Adapters in memory at once. */
  readonly maxLoras: number;
  readonly loraLoadMs: number;
}

/** What is asked of the engine. `owner` comes back with every output. */
export interface Job<Owner> {
  readonly owner: Owner;
  readonly promptTokens: number;
  /** Chained hashes of the prompt's full blocks; see prompt.ts. */
  readonly promptBlocks: readonly number[];
  /** Of the blocks that the answer fills, in the same chain. */
  readonly answerBlocks: readonly number[];
  /** Tokens to answer with, at least 1. */
  readonly answerTokens: number;
  readonly adapter: string | undefined;
}

/** Tokens that came since the last output of the same job. */
export interface Output<Owner> {
  readonly owner: Owner;
  readonly tokens: number;
  readonly done: boolean;
  /** Tokens of the prompt that needed no prefill. */
  readonly cachedTokens: number;
}

/** A job inside the engine; callers only hand it back to `cancel`. */
export interface Sequence<Owner> {
  readonly job: Job<Owner>;
  phase: "waiting" | "prefill" | "decode" | "gone";
  /** Passed over because every adapter place was in use. */
  deferred: boolean;
  hold: Hold | undefined;
  /** When it may compute: its adapter is loaded, and startMs are over. */
  readyMs: number;
  cachedTokens: number;
  /** Tokens put out. */
  answered: number;
  /** On the decode clock: when the first token came, and when the last is due. */
  decodeFrom: number;
  decodeEnd: number;
}

export interface EngineState {
  readonly waiting: number;
  /** Of those, held back because every adapter place is in use. */
  readonly deferred: number;
  readonly running: number;
  /** 0…1 */
  readonly kvUsage: number;
  readonly prefixQueryTokens: number;
  readonly prefixHitTokens: number;
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** Adapters with a started request, sorted. */
  readonly activeAdapters: readonly string[];
}

/** Rounding of the decode clock, in ms: two events closer than this are one. */
const SAME_MS = 1e-6;

export class Engine<Owner> {
  readonly options: EngineOptions;
  readonly #kv: KvBlocks;
  readonly #adapters: Adapters;
  readonly #prefillMsPerToken: number;
  readonly #decodeMsPerToken: number;

  /** Submitted since the last `advance`. */
  readonly #arrivals = new Set<Sequence<Owner>>();
  readonly #waiting = new Set<Sequence<Owner>>();
  readonly #prefill = new Set<Sequence<Owner>>();
  readonly #decode = new Set<Sequence<Owner>>();
  /** The one sequence of `#prefill` that computes, and when it is through. */
  #computing: Sequence<Owner> | undefined;
  #computedMs = 0;

  #nowMs = 0;
  /** Runs as fast as a sequence decodes: 1 ms per ms alone, slower in company. */
  #decodeClock = 0;
  /** Something came or was released since the last look at the queue. */
  #mayAdmit = false;

  #prefixQueryTokens = 0;
  #prefixHitTokens = 0;
  #promptTokens = 0;
  #answerTokens = 0;

  constructor(options: EngineOptions) {
    this.options = options;
    this.#kv = new KvBlocks(options.blocks);
    this.#adapters = new Adapters(options.maxLoras, options.loraLoadMs);
    this.#prefillMsPerToken = 1000 / options.prefillTokensPerS;
    this.#decodeMsPerToken = 1000 / options.decodeTokensPerS;
  }

  /** Tokens that a prompt and its answer may have together: more would wait for ever. */
  get maxTokens(): number {
    return this.#kv.capacity * this.options.blockSize;
  }

  get busy(): boolean {
    return this.#arrivals.size + this.#waiting.size + this.#prefill.size + this.#decode.size > 0;
  }

  state(): EngineState {
    let deferred = 0;
    for (const sequence of this.#waiting) if (sequence.deferred) deferred += 1;
    return {
      waiting: this.#arrivals.size + this.#waiting.size,
      deferred,
      running: this.#prefill.size + this.#decode.size,
      kvUsage: this.#kv.used / this.#kv.capacity,
      prefixQueryTokens: this.#prefixQueryTokens,
      prefixHitTokens: this.#prefixHitTokens,
      promptTokens: this.#promptTokens,
      answerTokens: this.#answerTokens,
      activeAdapters: this.#adapters.inUse(),
    };
  }

  /** Puts a job at the end of the queue, as of the next `advance`. */
  submit(job: Job<Owner>): Sequence<Owner> {
    const sequence: Sequence<Owner> = {
      job,
      phase: "waiting",
      deferred: false,
      hold: undefined,
      readyMs: 0,
      cachedTokens: 0,
      answered: 0,
      decodeFrom: 0,
      decodeEnd: 0,
    };
    this.#arrivals.add(sequence);
    return sequence;
  }

  /** Takes a job out, wherever it is; its slot and blocks are free as of the last `advance`. */
  cancel(sequence: Sequence<Owner>): void {
    if (sequence.phase === "gone") return;
    this.#remove(sequence);
  }

  /** Brings the engine to `nowMs` (never earlier than the last call) and returns what came meanwhile. */
  advance(nowMs: number): Output<Owner>[] {
    const outputs: Output<Owner>[] = [];
    this.#runTo(nowMs, outputs);
    if (this.#arrivals.size > 0) {
      for (const sequence of this.#arrivals) this.#waiting.add(sequence);
      this.#arrivals.clear();
      this.#mayAdmit = true;
      this.#runTo(nowMs, outputs);
    }
    for (const sequence of this.#decode) this.#putOut(sequence, outputs);
    return outputs;
  }

  #runTo(nowMs: number, outputs: Output<Owner>[]): void {
    this.#admit();
    // Every turn ends a load, a prefill or an answer, so there are at most three per job.
    for (let due = this.#nextChangeMs(); due <= nowMs; due = this.#nextChangeMs()) {
      this.#moveTo(due);
      this.#settle(outputs);
      this.#admit();
    }
    this.#moveTo(nowMs);
  }

  #admit(): void {
    if (!this.#mayAdmit) return;
    this.#mayAdmit = false;
    for (const sequence of this.#waiting) {
      if (this.#prefill.size + this.#decode.size >= this.options.maxRunning) return;
      const { job } = sequence;
      // As in vLLM, who lacks an adapter place lets others pass; who lacks blocks does not.
      const loadedMs = job.adapter === undefined ? this.#nowMs : this.#adapters.acquire(job.adapter, this.#nowMs);
      sequence.deferred = loadedMs === undefined;
      if (loadedMs === undefined) continue;
      const hold = this.#takeBlocks(job);
      if (hold === undefined) {
        if (job.adapter !== undefined) this.#adapters.release(job.adapter);
        return;
      }
      sequence.hold = hold;
      sequence.readyMs = Math.max(loadedMs, this.#nowMs + this.options.startMs);
      sequence.cachedTokens = hold.hits * this.options.blockSize;
      this.#prefixQueryTokens += job.promptTokens;
      this.#prefixHitTokens += sequence.cachedTokens;
      sequence.phase = "prefill";
      this.#waiting.delete(sequence);
      this.#prefill.add(sequence);
    }
  }

  #takeBlocks(job: Job<Owner>): Hold | undefined {
    const { blockSize } = this.options;
    // The last token is always computed, so a prompt is never a hit as a whole.
    const named = Math.floor((job.promptTokens - 1) / blockSize);
    const count = Math.ceil((job.promptTokens + job.answerTokens) / blockSize);
    return this.#kv.take(job.promptBlocks.slice(0, Math.max(0, named)), count);
  }

  #nextChangeMs(): number {
    if (this.#computing === undefined) this.#startPrefill();
    let due = this.#computing === undefined ? Number.POSITIVE_INFINITY : this.#computedMs;
    if (this.#computing === undefined) for (const { readyMs } of this.#prefill) due = Math.min(due, readyMs);
    let decodeEnd = Number.POSITIVE_INFINITY;
    for (const sequence of this.#decode) decodeEnd = Math.min(decodeEnd, sequence.decodeEnd);
    return Math.min(due, this.#nowMs + Math.max(0, decodeEnd - this.#decodeClock) * this.#stretch());
  }

  #startPrefill(): void {
    for (const sequence of this.#prefill) {
      if (sequence.readyMs > this.#nowMs) continue;
      this.#computing = sequence;
      const tokens = sequence.job.promptTokens - sequence.cachedTokens;
      this.#computedMs = this.#nowMs + tokens * this.#prefillMsPerToken;
      return;
    }
  }

  /** How much longer a token takes with the present company than alone. */
  #stretch(): number {
    const others = Math.max(0, this.#decode.size - 1);
    const full = Math.max(1, this.options.maxRunning - 1);
    return 1 / (1 - this.options.decodeSlowdown * Math.min(1, others / full));
  }

  #moveTo(ms: number): void {
    if (ms <= this.#nowMs) return;
    this.#decodeClock += (ms - this.#nowMs) / this.#stretch();
    this.#nowMs = ms;
  }

  /** Moves on whoever is due at the present time. */
  #settle(outputs: Output<Owner>[]): void {
    const computed = this.#computing;
    if (computed !== undefined && this.#computedMs <= this.#nowMs) {
      this.#computing = undefined;
      this.#prefill.delete(computed);
      this.#promptTokens += computed.job.promptTokens;
      computed.phase = "decode";
      computed.decodeFrom = this.#decodeClock;
      computed.decodeEnd = this.#decodeClock + (computed.job.answerTokens - 1) * this.#decodeMsPerToken;
      this.#decode.add(computed);
    }
    for (const sequence of this.#decode) {
      if (sequence.decodeEnd <= this.#decodeClock + SAME_MS) this.#putOut(sequence, outputs);
    }
  }

  #putOut(sequence: Sequence<Owner>, outputs: Output<Owner>[]): void {
    const { job, cachedTokens } = sequence;
    const done = sequence.decodeEnd <= this.#decodeClock + SAME_MS;
    const sinceFirst = this.#decodeClock + SAME_MS - sequence.decodeFrom;
    const due = done ? job.answerTokens : 1 + Math.floor(sinceFirst / this.#decodeMsPerToken);
    const tokens = due - sequence.answered;
    if (tokens <= 0) return;
    sequence.answered = due;
    this.#answerTokens += tokens;
    outputs.push({ owner: job.owner, tokens, done, cachedTokens });
    if (done) this.#remove(sequence);
  }

  /** Blocks that a finished job leaves findable, beyond those that it holds by name. */
  #continued({ job, hold, phase, answered }: Sequence<Owner>): readonly number[] {
    if (phase !== "decode" || answered < job.answerTokens) return [];
    // What the last token would add to the cache is never computed.
    const full = Math.floor((job.promptTokens + job.answerTokens - 1) / this.options.blockSize);
    return [...job.promptBlocks, ...job.answerBlocks].slice(hold?.hashes.length, full);
  }

  #remove(sequence: Sequence<Owner>): void {
    if (sequence.hold !== undefined) {
      this.#kv.release(sequence.hold, this.#continued(sequence));
      if (sequence.job.adapter !== undefined) this.#adapters.release(sequence.job.adapter);
    }
    if (this.#computing === sequence) this.#computing = undefined;
    this.#arrivals.delete(sequence);
    this.#waiting.delete(sequence);
    this.#prefill.delete(sequence);
    this.#decode.delete(sequence);
    if (this.#decode.size === 0) this.#decodeClock = 0;
    sequence.phase = "gone";
    this.#mayAdmit = true;
  }
}
