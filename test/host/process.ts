// One proxy process: VMs that share data, queues, statistics and a clock.

import { readFileSync } from "node:fs";
import { Clock } from "./clock.ts";
import { Metrics, SharedData, SharedQueues } from "./shared.ts";
import { Vm } from "./vm.ts";

const compiled = new Map<string, WebAssembly.Module>();

/** Where the built filter is; FILTER_WASM names another build of it. */
export function filterPath(): string {
  return process.env.FILTER_WASM ?? new URL("../../build/filter.wasm", import.meta.url).pathname;
}

/** Where the build is that reads response bodies. */
export function usageFilterPath(): string {
  return new URL("../../build/filter-usage.wasm", import.meta.url).pathname;
}

export interface LogLine {
  readonly level: string;
  readonly text: string;
}

export class Process {
  readonly clock = new Clock();
  readonly sharedData = new SharedData();
  readonly queues = new SharedQueues();
  readonly metrics = new Metrics();
  /** Every line that any VM logged. */
  readonly logLines: LogLine[] = [];
  /** What proxy_get_log_level answers: 2 is info. */
  logLevel = 2;
  private randomState = 0x2545f491;
  private readonly path: string;
  private readonly vms: Vm[] = [];

  constructor(path = filterPath()) {
    this.path = path;
  }

  /** Loads the module once more: what each worker thread has. */
  newVm(): Vm {
    let module = compiled.get(this.path);
    if (module === undefined) {
      module = new WebAssembly.Module(readFileSync(this.path));
      compiled.set(this.path, module);
    }
    const vm = new Vm(this, module);
    this.vms.push(vm);
    return vm;
  }

  /** What follows a trap, on the same thread: callbacks that Envoy owes the old VM come to the new one. */
  reload(vm: Vm): Vm {
    const successor = this.newVm();
    vm.successor = successor;
    return successor;
  }

  /** Lets time pass: messages are delivered, the timers of all VMs fire when they are due, the earliest first. */
  advanceMs(ms: number): void {
    this.queues.deliver();
    const end = this.clock.monotonicNs + BigInt(Math.round(ms * 1e6));
    for (;;) {
      let next: Vm | undefined;
      let dueNs = end;
      for (const vm of this.vms) {
        const due = vm.nextTickNs();
        if (due === undefined || due > dueNs || (due === dueNs && next !== undefined)) continue;
        next = vm;
        dueNs = due;
      }
      if (next === undefined) break;
      if (dueNs > this.clock.monotonicNs) this.clock.advanceNs(dueNs - this.clock.monotonicNs);
      next.fireTimers();
      this.queues.deliver();
    }
    this.clock.advanceNs(end - this.clock.monotonicNs);
  }

  /** What WASI random_get gives: the same bytes in every run (xorshift32). */
  randomBytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let index = 0; index < count; index++) {
      this.randomState ^= this.randomState << 13;
      this.randomState ^= this.randomState >>> 17;
      this.randomState ^= this.randomState << 5;
      bytes[index] = this.randomState >>> 24;
    }
    return bytes;
  }
}
