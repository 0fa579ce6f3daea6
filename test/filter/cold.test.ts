// Places of cold requests, as no-hit-lru-scorer gives them: among the endpoints of the request's own pool.

import { expect, test } from "vitest";
import { drive } from "../host/drive.ts";
import { chat, explained } from "./explained.ts";
import { Gateway, IDLE, POOL } from "./gateway.ts";

const OTHER = "default/other";
const addresses = (net: number, count: number) =>
  Array.from({ length: count }, (_, n) => ({ address: `10.0.${net}.${n}:8000` }));

class Cold {
  readonly gateway = new Gateway({ explain: true, defaultPool: POOL });
  private readonly other = this.gateway.worker.vm.root({ role: "filter", defaultPool: OTHER, seed: 3 });
  private prompts = 0;

  constructor(coldSize: number) {
    const program = { coldSize, profiles: [{ scorers: [{ type: "no-hit-lru-scorer" as const }] }] };
    this.gateway.control.topology([
      { name: OTHER, program, endpoints: addresses(1, 5) },
      { name: POOL, program, endpoints: addresses(2, 3) },
    ]);
    this.gateway.control.metrics(Array.from({ length: 8 }, () => IDLE));
    this.gateway.advance(2);
  }

  private next(): string {
    return chat(`${++this.prompts} `.repeat(300));
  }

  /** Cold requests for the pool; which endpoints they were sent to. */
  ask(count: number): string[] {
    return Array.from({ length: count }, () => this.gateway.worker.drive({ body: this.next() }).destination!);
  }

  askOther(count: number): void {
    for (let n = 0; n < count; n++) drive(this.gateway.worker.vm, this.other, { body: this.next() });
  }

  /** The raw scores of the pool's endpoints for one more. */
  scores(): number[] {
    return explained(this.gateway.worker, this.next()).steps[0]!.scores.map(({ raw }) => raw);
  }
}

test("cold requests of another pool move no place", () => {
  const cold = new Cold(1_024);
  const sent = cold.ask(3);
  expect(new Set(sent).size).toBe(3);
  cold.askOther(7);
  const order = addresses(2, 3).map(({ address }) => 1 - sent.indexOf(address) / 2);
  expect(cold.scores()).toEqual(order);
  expect(cold.ask(6)).toEqual([...sent, ...sent]);
});

test("each pool has as many endpoints remembered as its program says", () => {
  const cold = new Cold(2);
  // Two are remembered, so after three requests the first endpoint is as one that was never given any.
  const [first, second, third, again] = cold.ask(4);
  expect(again).toBe(first);
  cold.askOther(7);
  const places = [second, third, first];
  expect(cold.scores()).toEqual(addresses(2, 3).map(({ address }) => 1 - places.indexOf(address) / 2));
});

test("an endpoint that left the topology is forgotten, whoever gets its id; the others keep their order", () => {
  const cold = new Cold(1_024);
  const [first, second] = cold.ask(3);
  const program = { profiles: [{ scorers: [{ type: "no-hit-lru-scorer" as const }] }] };
  const serve = (...all: string[]) => {
    cold.gateway.control.topology([{ name: POOL, program, endpoints: all.map((address) => ({ address })) }]);
    cold.gateway.settle();
  };
  serve(second!, first!);
  expect(cold.scores()).toEqual([0, 1]);
  serve(second!, first!, ...Array.from({ length: 6 }, (_, n) => `10.0.3.${n}:8000`));
  expect(cold.scores().map((score) => Math.round(score * 7))).toEqual([0, 1, 7, 6, 5, 4, 3, 2]);
});
