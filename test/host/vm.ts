// One loaded module with its memory: what Envoy has once per worker thread.

import { CallLog } from "./call-log.ts";
import type { Context } from "./context.ts";
import { importsFor } from "./host-functions.ts";
import { GuestMemory } from "./memory.ts";
import type { Process } from "./process.ts";
import { Root } from "./root.ts";
import { Stream } from "./stream.ts";

type GuestFunction = (...args: (number | bigint)[]) => number | undefined;

export class Vm {
  readonly process: Process;
  readonly log = new CallLog();
  readonly memory: GuestMemory;
  /** The trap that ended this VM. Like Envoy, no callback of it is called afterwards. */
  trap: Error | undefined;
  /** The thread hangs: its timers do not fire. */
  frozen = false;
  /** The VM that Envoy started on this thread after this one had trapped. */
  successor: Vm | undefined;
  /** By root context: how often it asked to be called, and when that is due next. */
  private readonly timers = new Map<number, { periodMs: number; dueNs: bigint }>();
  private readonly exports: Record<string, unknown>;
  private readonly contexts = new Map<number, Context>();
  private running: Context | undefined;
  private effective: Context | undefined;
  private readonly afterCall: (() => void)[] = [];
  private nextContextId = 1;

  constructor(process: Process, module: WebAssembly.Module) {
    this.process = process;
    const instance = new WebAssembly.Instance(module, importsFor(module, this));
    this.exports = instance.exports;
    const allocate = (this.exports.malloc ?? this.exports.proxy_on_memory_allocate) as (size: number) => number;
    this.memory = new GuestMemory(this.exports.memory as WebAssembly.Memory, allocate);
    (this.exports._initialize as GuestFunction | undefined)?.();
  }

  /** The context whose headers, bodies and properties host functions see. */
  get context(): Context | undefined {
    return this.effective ?? this.running;
  }

  /** Contexts that exist at present: root contexts and live streams. */
  get contextCount(): number {
    return this.contexts.size;
  }

  /** Starts a plugin configuration: context_create, vm_start, configure. */
  root(configuration: object | string, vmConfiguration = ""): Root {
    const text = typeof configuration === "string" ? configuration : JSON.stringify(configuration);
    return new Root(this, this.newId(), text, vmConfiguration);
  }

  /** A new stream under that configuration; nothing is called before its first event. */
  stream(root: Root): Stream {
    return new Stream(this, this.newId(), root.id);
  }

  private newId(): number {
    return this.nextContextId++;
  }

  add(context: Context): void {
    this.contexts.set(context.id, context);
  }

  remove(context: Context): void {
    this.contexts.delete(context.id);
  }

  setEffectiveContext(id: number): boolean {
    const found = this.contexts.get(id);
    if (found !== undefined) this.effective = found;
    return found !== undefined;
  }

  /** As Envoy: the same period again leaves the timer running, another one starts it anew, 0 ends it. */
  setTickPeriod(rootId: number, periodMs: number): void {
    if (this.timers.get(rootId)?.periodMs === periodMs) return;
    if (periodMs === 0) this.timers.delete(rootId);
    else this.timers.set(rootId, { periodMs, dueNs: this.process.clock.monotonicNs + BigInt(periodMs) * 1_000_000n });
  }

  /** Milliseconds between two ticks of a root context, undefined while it has no timer. */
  tickPeriodMs(root: Root): number | undefined {
    return this.timers.get(root.id)?.periodMs;
  }

  /** When the next timer is due, undefined when none is. */
  nextTickNs(): bigint | undefined {
    if (this.frozen || this.trap !== undefined) return undefined;
    let next: bigint | undefined;
    for (const { dueNs } of this.timers.values()) if (next === undefined || dueNs < next) next = dueNs;
    return next;
  }

  /** Fires the timers that are due now, and starts them again. */
  fireTimers(): void {
    for (const [rootId, timer] of [...this.timers]) {
      const root = this.contexts.get(rootId);
      if (timer.dueNs > this.process.clock.monotonicNs || root === undefined) continue;
      this.call("proxy_on_tick", root, rootId);
      if (this.timers.get(rootId) !== timer) continue;
      timer.dueNs = this.process.clock.monotonicNs + BigInt(timer.periodMs) * 1_000_000n;
    }
  }

  /** Runs once the callback under way has returned, as Envoy defers replies and resumes. */
  defer(action: () => void): void {
    this.afterCall.push(action);
  }

  hasExport(name: string): boolean {
    return typeof this.exports[name] === "function";
  }

  /** Calls a callback on behalf of a context. Undefined when it is not exported, or the VM has trapped. */
  call(name: string, context: Context, ...args: number[]): number | undefined {
    const callback = this.exports[name] as GuestFunction | undefined;
    if (callback === undefined || this.trap !== undefined) return undefined;
    const entry = { kind: "callback" as const, name, args, result: undefined as number | undefined };
    if (this.log.recording) this.log.entries.push(entry);
    this.running = context;
    try {
      entry.result = callback(...args);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError) && !(error instanceof RangeError)) throw error;
      this.trap = error;
    } finally {
      this.running = undefined;
      this.effective = undefined;
    }
    // As WasmBase::doAfterVmCallActions: a callback that an action brings about does the rest of them.
    for (let action = this.afterCall.shift(); action !== undefined; action = this.afterCall.shift()) action();
    return entry.result;
  }

  /** After a trap: to the VM that took this one's place, whose root contexts have the same ids again. */
  queueReady(rootId: number, token: number): boolean {
    if (this.successor !== undefined) return this.successor.queueReady(rootId, token);
    if (this.frozen) return false;
    const root = this.contexts.get(rootId);
    if (root !== undefined) this.call("proxy_on_queue_ready", root, rootId, token);
    return true;
  }
}
