// A body of which the filter has read enough to decide, and which waits before all of it has come: the rest comes
// while it waits, when it is its turn, and after it went on, and the server gets every byte once.

import { request } from "node:http";
import { connect } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { formatAddress } from "../../src/envoy/address.ts";
import type { Received } from "./support/backend.ts";
import { chatOfBytes, sha256 } from "./support/bodies.ts";
import { CHAT, Queueing } from "./support/queueing.ts";

/** More than the filter reads of a body. */
const FIRST_BYTES = 600_000;
const BODY = chatOfBytes(1_000_000);
const ENDS = [FIRST_BYTES, 700_000, 800_000, BODY.length] as const;
const PARTS = ENDS.map((end, n) => BODY.subarray(ENDS[n - 1] ?? 0, end));

/** Until a piece has come to the filter. */
const ON_THE_WAY_MS = 100;

let queueing: Queueing;

beforeEach(async () => {
  queueing = await Queueing.start({ settings: { queues: true, maxConcurrency: 1 } });
  await queueing.gateway.measured();
});

afterEach(async () => {
  await queueing?.stop();
});

interface Upload {
  write(bytes: Uint8Array): void;
  end(bytes: Uint8Array): void;
  readonly answer: Promise<string>;
}

async function text(body: AsyncIterable<unknown>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of body) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

function upload(protocol: "h1" | "h2", headers: Readonly<Record<string, string>>): Upload {
  const { host, port } = queueing.gateway.up.listen;
  const all = { "content-type": "application/json", ...headers };
  if (protocol === "h1") {
    const outgoing = request({ host, port, path: CHAT, method: "POST", headers: all });
    const answer = new Promise<string>((resolve, reject) => {
      outgoing.on("response", (response) => text(response).then(resolve, reject));
      outgoing.on("error", reject);
    });
    return { write: (bytes) => outgoing.write(bytes), end: (bytes) => outgoing.end(bytes), answer };
  }
  const session = connect(`http://${formatAddress(queueing.gateway.up.listen)}`);
  const stream = session.request({ ":method": "POST", ":path": CHAT, ...all });
  const answer = text(stream).finally(() => session.close());
  return { write: (bytes) => stream.write(bytes), end: (bytes) => stream.end(bytes), answer };
}

test.each([
  ["h1", { "content-length": String(BODY.length) }],
  ["h1", { "transfer-encoding": "chunked" }],
  ["h2", {}],
] as const)("%s %o", async (protocol, headers) => {
  const running = queueing.ask(queueing.gateway.client("h1"));
  await queueing.expectRunning(1);
  const [first, whileWaiting, withTurn, last] = PARTS as [Buffer, Buffer, Buffer, Buffer];
  const sending = upload(protocol, headers);
  sending.write(first);
  await queueing.expectWaiting(1);
  sending.write(whileWaiting);
  await sleep(ON_THE_WAY_MS);
  await queueing.answerOne();
  await running;
  await queueing.expectWaiting(0);
  sending.write(withTurn);
  await queueing.expectRunning(1);
  await sleep(ON_THE_WAY_MS);
  sending.end(last);
  await queueing.answerOne();
  const received = JSON.parse(await sending.answer) as Received;
  expect([received.bytes, received.sha256]).toEqual([BODY.length, sha256(BODY)]);
  await queueing.expectEmpty();
});
