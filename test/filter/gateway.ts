// A proxy process as the filter tests want it: the control listener, one worker, and shorthands.

import { columnsOf, decodeReport, inFlightOn, type Report } from "../host/column.ts";
import { Control } from "../host/control.ts";
import { drive, headerOf, type Outcome, type Request } from "../host/drive.ts";
import { filterPath, Process } from "../host/process.ts";
import type { Root } from "../host/root.ts";
import type { RowSpec } from "../host/snapshot.ts";
import type { Stream } from "../host/stream.ts";
import type { Vm } from "../host/vm.ts";

export const CHAT = '{"model":"llama","messages":[{"role":"user","content":"hello"}]}';
export const POOL = "default/llama";

/** A worker thread: its VM and the filter's configuration in it. */
export class Worker {
  readonly vm: Vm;
  readonly root: Root;

  constructor(process: Process, configuration: object) {
    this.vm = process.newVm();
    this.root = this.vm.root({ role: "filter", failureMode: "FailClose", ...configuration });
  }

  drive(request: Request): Outcome {
    return drive(this.vm, this.root, request);
  }

  stream(): Stream {
    return this.vm.stream(this.root);
  }

  /** A chat request with its whole body, whose answer has not come yet. */
  open(body = CHAT): Stream {
    const stream = this.stream();
    stream.requestHeaders(chatHeaders(), false);
    stream.requestBody(body, true);
    return stream;
  }
}

export class Gateway {
  readonly process: Process;
  readonly control: Control;
  readonly worker: Worker;
  private readonly configuration: object;

  /** `filter`: path of the module. */
  constructor(configuration: object = {}, filter = filterPath()) {
    this.process = new Process(filter);
    this.control = new Control(this.process);
    this.configuration = { seed: 7, ...configuration };
    this.worker = this.newWorker();
  }

  newWorker(): Worker {
    return new Worker(this.process, this.configuration);
  }

  /** One pool of those addresses, and metrics for them: idle, unless rows are given. */
  serve(addresses: readonly string[], rows: readonly RowSpec[] = addresses.map(() => IDLE)): void {
    this.control.topology([{ name: POOL, endpoints: addresses.map((address) => ({ address })) }]);
    this.control.metrics(rows);
  }

  /** Time passes, timers included. */
  advance(ms: number): void {
    this.process.advanceMs(ms);
  }

  /** Long enough that every worker has told what it knows and heard what the others do. */
  settle(): void {
    this.advance(600);
  }

  /** Requests in flight on an endpoint, as the workers have told each other. */
  inFlight(address: string): number {
    return inFlightOn(this.process, address);
  }

  /** What the agent would read of the workers. */
  report(): Report {
    return decodeReport(this.control.exchange("GET", "/v1/report").body);
  }

  /** Every entry with a request in flight, over all columns. */
  inFlightTotal(): number {
    return columnsOf(this.process)
      .flatMap((column) => column.entries)
      .reduce((sum, entry) => sum + entry.inFlight, 0);
  }
}

export const IDLE: RowSpec = { waiting: 0, running: 0, kvUsage: 0 };

export function chatHeaders(more: readonly (readonly [string, string])[] = []): (readonly [string, string])[] {
  return [
    [":authority", "models.test"],
    [":path", "/v1/chat/completions"],
    [":method", "POST"],
    [":scheme", "http"],
    ["content-type", "application/json"],
    ...more,
  ];
}

export function destinationOf(stream: Stream): string | undefined {
  return headerOf(stream.request.sentHeaders, "x-gateway-destination-endpoint");
}

/** The error object of a local response in OpenAI's shape; throws when it has another. */
export function errorOf(outcome: { readonly localResponse: Outcome["localResponse"] }): {
  status: number;
  type: string;
  code: string;
  message: string;
  reason: string | undefined;
} {
  const reply = outcome.localResponse;
  if (reply === undefined) throw new Error("the filter did not answer");
  if (headerOf(reply.headers, "content-type") !== "application/json") throw new Error("not JSON");
  const { error } = JSON.parse(Buffer.from(reply.body).toString());
  if (Object.keys(error).toSorted().join() !== "code,message,param,type") throw new Error("not OpenAI's shape");
  const reason = headerOf(reply.headers, "x-llm-d-request-dropped-reason");
  return { status: reply.status, type: error.type, code: error.code, message: error.message, reason };
}
