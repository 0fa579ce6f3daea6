// One of the two ways to the servers: sends streaming requests through one Envoy and keeps count.

import { Agent, request } from "node:http";
import type { Address } from "../envoy/address.ts";
import { Latencies } from "./latencies.ts";
import type { Planned } from "./workload.ts";

/** A client that has no first token by then gives up; its wait counts as this long. */
export const PATIENCE_MS = 30_000;

export interface EndpointCount {
  picks: number;
  /** Of those, not over yet. */
  inFlight: number;
  readonly firstToken: Latencies;
}

export class Side {
  readonly #address: Address;
  readonly #endpointHeader: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #underWay = new Set<() => void>();
  /** By "ip:port", as the response header names them. */
  readonly endpoints = new Map<string, EndpointCount>();
  readonly firstToken = new Latencies();
  sent = 0;
  /** Answered to the end. */
  finished = 0;
  failed = 0;
  gaveUp = 0;
  /** Sent and still without a first token. */
  waiting = 0;

  /** `endpointHeader`: the response header that names who served. */
  constructor(address: Address, endpointHeader: string) {
    this.#address = address;
    this.#endpointHeader = endpointHeader;
  }

  send(planned: Planned): void {
    const sentMs = performance.now();
    let endpoint: EndpointCount | undefined;
    let answering = false;
    const call = request({
      ...this.#address,
      agent: this.#agent,
      method: "POST",
      path: planned.path,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(planned.body) },
    });
    const firstToken = (ms: number) => {
      if (answering) return;
      answering = true;
      this.waiting -= 1;
      this.firstToken.add(ms);
      endpoint?.firstToken.add(ms);
    };
    const end = (outcome: "finished" | "failed" | "gaveUp" | "stopped") => {
      if (!this.#underWay.delete(stop)) return;
      clearTimeout(patience);
      if (endpoint !== undefined) endpoint.inFlight -= 1;
      if (outcome !== "stopped") this[outcome] += 1;
      if (outcome === "gaveUp") firstToken(PATIENCE_MS);
      else if (!answering && outcome !== "stopped") this.waiting -= 1;
      if (outcome !== "finished") call.destroy();
    };
    const stop = () => end("stopped");
    const patience = setTimeout(() => end("gaveUp"), PATIENCE_MS);

    this.sent += 1;
    this.waiting += 1;
    this.#underWay.add(stop);
    call.on("error", () => end("failed"));
    call.on("response", (response) => {
      response.on("error", () => end("failed"));
      if (response.statusCode !== 200) return end("failed");
      endpoint = this.#count(String(response.headers[this.#endpointHeader]));
      endpoint.picks += 1;
      endpoint.inFlight += 1;
      response.once("data", () => {
        clearTimeout(patience);
        firstToken(performance.now() - sentMs);
      });
      response.on("end", () => end("finished"));
    });
    call.end(planned.body);
  }

  /** Leaves every request under way; they are counted neither as finished nor as failed. */
  stop(): void {
    for (const stop of this.#underWay) stop();
    this.#agent.destroy();
  }

  #count(endpoint: string): EndpointCount {
    let count = this.endpoints.get(endpoint);
    if (count === undefined) {
      count = { picks: 0, inFlight: 0, firstToken: new Latencies() };
      this.endpoints.set(endpoint, count);
    }
    return count;
  }
}
