// The table of live streams: context ids are told apart whatever their number and order of leaving.

import { expect, test } from "vitest";
import { STREAMS_MAX } from "../../src/wire/limits.ts";
import { headerOf } from "../host/drive.ts";
import type { Stream } from "../host/stream.ts";
import { CHAT, chatHeaders, Gateway } from "./gateway.ts";

const A = "10.0.0.1:8000";

function one(): Gateway {
  const gateway = new Gateway();
  gateway.serve([A]);
  return gateway;
}

test("ids whose places collide, leaving in any order", () => {
  const gateway = one();
  const { worker } = gateway;
  /** As many ids as the table has places, so that new streams meet those that stayed. */
  const skip = STREAMS_MAX * 2;
  const held: Stream[] = [];
  for (let round = 0; round < 4; round++) {
    for (let n = 0; n < 30; n++) {
      const stream = worker.stream();
      stream.requestHeaders(chatHeaders([["x-number", `${round}.${n}`]]), false);
      held.push(stream);
    }
    for (let n = 30; n < skip - 10; n++) worker.stream(); // an id each, and nothing more
  }
  // Every seventh of those left, round and round: holes everywhere.
  for (let at = 0; held.length > 0; ) {
    at = (at + 7) % held.length;
    const [stream] = held.splice(at, 1);
    stream!.requestBody(CHAT, true);
    expect(headerOf(stream!.request.sentHeaders, "x-gateway-destination-endpoint")).toBe(A);
    stream!.end();
  }
  gateway.settle();
  expect(gateway.inFlightTotal()).toBe(0);
});

test("beyond what a worker keeps requests pass unsteered, by their client too, and then are picked again", () => {
  const gateway = one();
  const { worker } = gateway;
  const held = Array.from({ length: STREAMS_MAX }, () => {
    const stream = worker.stream();
    stream.requestHeaders(chatHeaders(), false);
    return stream;
  });
  const headers = [["x-gateway-destination-endpoint", "6.6.6.6:80"]] as const;
  const passed = worker.drive({ body: CHAT, headers, upstream: { address: A } });
  expect(passed.forwardedHeaders).toBeDefined();
  expect(passed.destination).toBeUndefined();
  held[77]!.reset();
  expect(worker.drive({ body: CHAT, headers }).destination).toBe(A);
});
