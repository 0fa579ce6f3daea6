// What all VMs of one process share: data with compare-and-swap, queues, statistics.

import {
  METRIC_COUNTER,
  METRIC_GAUGE,
  METRIC_HISTOGRAM,
  STATUS_BAD_ARGUMENT,
  STATUS_CAS_MISMATCH,
  STATUS_NOT_FOUND,
  STATUS_OK,
} from "./abi.ts";

export interface SharedValue {
  readonly bytes: Uint8Array;
  readonly cas: number;
}

export class SharedData {
  private readonly values = new Map<string, SharedValue>();
  private nextCas = 1;

  get(key: string): SharedValue | undefined {
    return this.values.get(key);
  }

  keys(): string[] {
    return [...this.values.keys()];
  }

  /** As Envoy does: a cas of 0 always wins, and the cas of a key that does not exist is not looked at. */
  set(key: string, bytes: Uint8Array, cas: number): number {
    const present = this.values.get(key);
    if (present !== undefined && cas !== 0 && cas !== present.cas) return STATUS_CAS_MISMATCH;
    this.values.set(key, { bytes, cas: this.nextCas });
    this.nextCas = this.nextCas === 0xffffffff ? 1 : this.nextCas + 1;
    return STATUS_OK;
  }
}

/** Who is called when a message waits in a queue. */
export interface QueueReader {
  /** False: its thread hangs, and it is to be called later. */
  queueReady(rootId: number, token: number): boolean;
}

interface Queue {
  readonly token: number;
  reader: QueueReader;
  rootId: number;
  readonly messages: Uint8Array[];
}

/** A call that waits for its reader's thread. As in Envoy, the sender has settled whom it goes to. */
type Call = Pick<Queue, "token" | "reader" | "rootId">;

export class SharedQueues {
  private readonly byName = new Map<string, Queue>();
  private readonly byToken = new Map<number, Queue>();
  private due: Call[] = [];

  /** The same name again takes the queue over, messages included. Calls under way go to the former reader. */
  register(name: string, reader: QueueReader, rootId: number): number {
    const present = this.byName.get(name);
    if (present !== undefined) {
      present.reader = reader;
      present.rootId = rootId;
      return present.token;
    }
    const queue: Queue = { token: this.byName.size + 1, reader, rootId, messages: [] };
    this.byName.set(name, queue);
    this.byToken.set(queue.token, queue);
    return queue.token;
  }

  resolve(name: string): number | undefined {
    return this.byName.get(name)?.token;
  }

  /** Messages that lie in a queue; undefined when there is none of that name. */
  waiting(name: string): number | undefined {
    return this.byName.get(name)?.messages.length;
  }

  enqueue(token: number, bytes: Uint8Array): boolean {
    const queue = this.byToken.get(token);
    if (queue === undefined) return false;
    queue.messages.push(bytes);
    this.due.push({ token, reader: queue.reader, rootId: queue.rootId });
    return true;
  }

  /** The next message, "none" when the queue is empty, undefined when there is no such queue. */
  dequeue(token: number): Uint8Array | "none" | undefined {
    const queue = this.byToken.get(token);
    return queue === undefined ? undefined : (queue.messages.shift() ?? "none");
  }

  /** Calls the readers of what was enqueued, one call for each message: Envoy does it from each reader's own thread. */
  deliver(): void {
    const waiting: Call[] = [];
    for (let call = this.due.shift(); call !== undefined; call = this.due.shift()) {
      if (!call.reader.queueReady(call.rootId, call.token)) waiting.push(call);
    }
    this.due = waiting;
  }
}

export interface Metric {
  readonly type: number;
  readonly name: string;
  value: bigint;
  /** Recorded values of a histogram, the latest HISTOGRAM_KEPT of them. */
  readonly recorded: bigint[];
}

const HISTOGRAM_KEPT = 1_000;

export class Metrics {
  private readonly byName = new Map<string, Metric>();
  private readonly all: Metric[] = [];

  /** The same name and type again is the same metric, in any VM. Returns its id. */
  define(type: number, name: string): number | undefined {
    if (type < METRIC_COUNTER || type > METRIC_HISTOGRAM) return undefined;
    const key = `${type} ${name}`;
    let metric = this.byName.get(key);
    if (metric === undefined) {
      metric = { type, name, value: 0n, recorded: [] };
      this.byName.set(key, metric);
      this.all.push(metric);
    }
    return this.all.indexOf(metric) + 1;
  }

  byId(id: number): Metric | undefined {
    return this.all[id - 1];
  }

  list(): readonly Metric[] {
    return this.all;
  }

  /** Value by name, labels included as the module wrote them; undefined when it was never defined. */
  value(name: string): number | undefined {
    const metric = this.all.find((candidate) => candidate.name === name);
    return metric === undefined ? undefined : Number(metric.value);
  }

  /** Sum of the values of all metrics whose name starts so. */
  sum(prefix: string): number {
    let total = 0n;
    for (const metric of this.all) if (metric.name.startsWith(prefix)) total += metric.value;
    return Number(total);
  }

  increment(id: number, offset: bigint): number {
    const metric = this.byId(id);
    if (metric === undefined) return STATUS_NOT_FOUND;
    if (metric.type === METRIC_HISTOGRAM) return STATUS_BAD_ARGUMENT;
    if (metric.type === METRIC_COUNTER && offset < 0n) return STATUS_BAD_ARGUMENT;
    metric.value += offset;
    return STATUS_OK;
  }

  record(id: number, value: bigint): number {
    const metric = this.byId(id);
    if (metric === undefined) return STATUS_NOT_FOUND;
    if (metric.type === METRIC_GAUGE) metric.value = value;
    if (metric.type === METRIC_COUNTER) metric.value += value;
    if (metric.type === METRIC_HISTOGRAM) {
      metric.value += 1n;
      metric.recorded.push(value);
      if (metric.recorded.length > HISTOGRAM_KEPT) metric.recorded.shift();
    }
    return STATUS_OK;
  }
}
