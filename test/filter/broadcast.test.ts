// What workers tell each other as it happens: blocks that endpoints hold, sessions, cold requests; and what
// becomes of it when a worker is lost, comes late, or is told nonsense.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { B_LENGTH, B_VERSION, D_COUNT, MESSAGE_BYTES, MESSAGES_PER_CALLBACK } from "../../src/wire/broadcast.ts";
import { CATCH_UP_MS, HEARTBEAT_MS, WORKER_LOST_MS } from "../../src/wire/limits.ts";
import { KEY_QUEUE } from "../../src/wire/names.ts";
import { COMPILE_MS, ENDPOINTS, Sharing, SharingBuild, type SharingWorker } from "./sharing.ts";

let build: SharingBuild;
beforeAll(async () => {
  build = await SharingBuild.make();
}, COMPILE_MS);
afterAll(() => build.remove());

/** What `worker` believes each endpoint to hold of a prompt. */
function held(worker: SharingWorker, prompt: number, blocks: number): number[] {
  return Array.from({ length: ENDPOINTS }, (_, n) => worker.matched(prompt, blocks, n + 1));
}

const only = (endpoint: number, blocks: number) =>
  Array.from({ length: ENDPOINTS }, (_, n) => (n + 1 === endpoint ? blocks : 0));

describe("blocks", () => {
  test("what one worker learns all know as soon as it is delivered, with no tick in between", () => {
    const sharing = new Sharing(build, 4);
    sharing.workers[0]!.send(7, 8, 3);
    for (const other of sharing.workers.slice(1)) expect(held(other, 7, 8)).toEqual(only(3, 0));
    sharing.deliver();
    for (const worker of sharing.workers) expect(held(worker, 7, 8)).toEqual(only(3, 8));
  });

  test("what is known to all is not told again", () => {
    const sharing = new Sharing(build, 3);
    const [first, second] = sharing.workers;
    expect(first!.send(7, 8, 3)).toBe(8);
    sharing.advance(2);
    expect(second!.send(7, 8, 3)).toBe(0);
    expect(second!.send(7, 10, 3)).toBe(2);
    expect([first!.sent(), second!.sent()]).toEqual([2, 2]);
    sharing.advance(HEARTBEAT_MS);
    expect(first!.column()).toMatchObject({ told: 8, learned: 2, unlearned: 0 });
    expect(second!.column()).toMatchObject({ told: 2, learned: 8, unlearned: 0 });
  });

  test("what comes right after a message goes with the next, one for each other worker, after 10 ms at most", () => {
    const sharing = new Sharing(build, 3);
    const [first, second] = sharing.workers;
    for (let prompt = 1; prompt <= 5; prompt++) first!.send(prompt, 4, 2);
    sharing.deliver();
    expect(first!.sent()).toBe(2);
    expect(second!.matched(1, 4, 2)).toBe(4);
    expect(second!.matched(5, 4, 2)).toBe(0);
    expect(first!.vm.tickPeriodMs(first!.root)).toBe(CATCH_UP_MS);
    sharing.advance(CATCH_UP_MS);
    expect(first!.sent()).toBe(4);
    for (let prompt = 1; prompt <= 5; prompt++) expect(second!.matched(prompt, 4, 2)).toBe(4);
    sharing.advance(CATCH_UP_MS);
    expect(first!.vm.tickPeriodMs(first!.root)).toBe(HEARTBEAT_MS);
  });

  test.each([
    [1, 1],
    [3, 1.5],
    [8, 4],
    [30, 10],
  ])("with %i others messages are at least %d ms apart", (others, apartMs) => {
    const sharing = new Sharing(build, others + 1);
    const [first] = sharing.workers;
    sharing.advance(2);
    const sentAfter = (ns: bigint) => {
      const before = first!.sent();
      first!.send(first!.sent() + 1, 1, 1);
      sharing.process.clock.advanceNs(ns);
      first!.send(first!.sent() + 1_000, 1, 1);
      const sent = first!.sent() - before;
      sharing.advance(2 * CATCH_UP_MS);
      return sent / others;
    };
    expect(sentAfter(BigInt(apartMs * 1e6) - 1n)).toBe(1);
    expect(sentAfter(BigInt(apartMs * 1e6))).toBe(2);
  });

  test("more than fits one message is sent at once", () => {
    const sharing = new Sharing(build, 2);
    const [first, second] = sharing.workers;
    for (let prompt = 1; prompt <= 12; prompt++) first!.send(prompt, 2_000, 1);
    expect(first!.sent()).toBeGreaterThanOrEqual(2);
    sharing.advance(CATCH_UP_MS);
    for (let prompt = 1; prompt <= 12; prompt++) expect(second!.matched(prompt, 2_000, 1)).toBe(2_000);
    sharing.advance(HEARTBEAT_MS);
    expect(second!.column()).toMatchObject({ learned: 24_000, unlearned: 0 });
  });

  test("a worker alone sends nothing", () => {
    const sharing = new Sharing(build, 1);
    sharing.workers[0]!.send(7, 8, 3);
    sharing.advance(HEARTBEAT_MS);
    expect(sharing.workers[0]!.sent()).toBe(0);
  });

  test("of an endpoint that the other worker does not know: counted as lost, the rest is learned", () => {
    const sharing = new Sharing(build, 2);
    const [first, second] = sharing.workers;
    second!.do("topology", 1, 2);
    first!.do("hear");
    first!.do("send", 1, 5, 8, 0);
    first!.do("send", 2, 6, 2, 0);
    first!.do("tell", first!.root.id);
    sharing.deliver();
    expect(second!.matched(2, 6, 2)).toBe(6);
    sharing.advance(HEARTBEAT_MS);
    expect(second!.column()).toMatchObject({ learned: 6, unlearned: 5 });
  });

  test("of an endpoint that has left here and is still in use: nothing is learned", () => {
    const sharing = new Sharing(build, 2);
    const [first, second] = sharing.workers;
    // Its running request keeps its id, though no row names it.
    second!.do("addTokens", 8, 1);
    second!.do("topology", 1, 7);
    first!.send(1, 5, 8);
    sharing.deliver();
    second!.do("topology", 1, 8);
    expect(second!.matched(1, 5, 8)).toBe(0);
    sharing.advance(HEARTBEAT_MS);
    expect(second!.column()).toMatchObject({ learned: 0, unlearned: 5 });
  });

  test("a cold request is known to all", () => {
    const sharing = new Sharing(build, 2);
    const [first, second] = sharing.workers;
    const NEVER = 0xffff;
    first!.send(1, 4, 5, 1_024);
    // Nothing but that it was cold is news here.
    sharing.advance(2);
    first!.send(1, 4, 2, 1_024);
    sharing.advance(CATCH_UP_MS);
    expect([5, 2, 1].map((endpoint) => second!.do("coldPlace", endpoint))).toEqual([0, 1, NEVER]);
  });

  test("the time on the way is counted", () => {
    const sharing = new Sharing(build, 2);
    sharing.workers[0]!.send(1, 4, 5);
    sharing.process.clock.advanceNs(300_000n);
    sharing.deliver();
    sharing.advance(HEARTBEAT_MS);
    const { messages, slowestUs, deliveryNs } = sharing.workers[1]!.column();
    expect({ messages, slowestUs, deliveryNs }).toEqual({ messages: 1, slowestUs: 300, deliveryNs: 300_000 });
  });
});

describe("workers that come and go", () => {
  test("one that comes late learns what is told from then on", () => {
    const sharing = new Sharing(build, 2);
    sharing.workers[0]!.send(1, 8, 3);
    sharing.advance(2);
    const late = sharing.join();
    expect(late.matched(1, 8, 3)).toBe(0);
    sharing.workers[0]!.send(2, 8, 3);
    sharing.deliver();
    expect(late.matched(2, 8, 3)).toBe(8);
  });

  test.each([2, 3])("one that comes late, to %i others, learns what they knew when they use it once more", (count) => {
    const sharing = new Sharing(build, count);
    const others = [...sharing.workers];
    others[0]!.send(1, 8, 3);
    others[1]!.send(2, 5, 3);
    sharing.advance(CATCH_UP_MS);
    const late = sharing.join();
    sharing.advance(HEARTBEAT_MS);
    expect([late.matched(1, 8, 3), late.matched(2, 5, 3)]).toEqual([0, 0]);
    expect(others.at(-1)!.send(1, 8, 3)).toBe(8);
    sharing.deliver();
    expect([late.matched(1, 8, 3), late.matched(2, 5, 3)]).toEqual([8, 0]);
    // Once more and not again, whoever uses it and however much time passes.
    for (const worker of sharing.workers) {
      sharing.advance(2 * HEARTBEAT_MS);
      expect(worker.send(1, 8, 3)).toBe(0);
    }
    expect(others[0]!.send(2, 5, 3)).toBe(5);
    for (const worker of others) expect([worker.matched(1, 8, 3), worker.matched(2, 5, 3)]).toEqual([8, 5]);
  });

  test("one that comes back learns what was told while it was silent, when it is used once more", () => {
    const sharing = new Sharing(build, 2);
    const [first, silent] = sharing.workers;
    silent!.vm.frozen = true;
    sharing.advance(WORKER_LOST_MS + 2 * HEARTBEAT_MS);
    first!.send(1, 8, 3);
    silent!.vm.frozen = false;
    sharing.advance(2 * HEARTBEAT_MS);
    expect(silent!.matched(1, 8, 3)).toBe(0);
    expect(first!.send(1, 8, 3)).toBe(8);
    sharing.deliver();
    expect(silent!.matched(1, 8, 3)).toBe(8);
    expect(first!.send(1, 8, 3)).toBe(0);
  });

  test("what all endpoints hold is news once more for one that comes late, however much it is", () => {
    const sharing = new Sharing(build, 2);
    const [first] = sharing.workers;
    for (let prompt = 1; prompt <= 12; prompt++) {
      for (let endpoint = 1; endpoint <= ENDPOINTS; endpoint++) first!.send(prompt, 200, endpoint);
    }
    sharing.advance(CATCH_UP_MS);
    const late = sharing.join();
    sharing.advance(HEARTBEAT_MS);
    for (let endpoint = 1; endpoint <= ENDPOINTS; endpoint++) expect(first!.send(7, 200, endpoint)).toBe(200);
    sharing.advance(CATCH_UP_MS);
    expect(held(late, 7, 200)).toEqual(Array.from({ length: ENDPOINTS }, () => 200));
  });

  test("a silent one is sent nothing more once it is lost", () => {
    const sharing = new Sharing(build, 2);
    const [first, lost] = sharing.workers;
    lost!.vm.frozen = true;
    for (let n = 1; n <= 30; n++) {
      sharing.advance(100);
      first!.send(n, 2, 1);
    }
    expect(lost!.waiting()).toBeLessThanOrEqual((WORKER_LOST_MS + HEARTBEAT_MS) / 100);
    expect(lost!.waiting()).toBeGreaterThan(0);
  });

  test("who takes over its slot drops what was meant for it, and learns what comes", () => {
    const sharing = new Sharing(build, 2);
    const [first, lost] = sharing.workers;
    lost!.vm.frozen = true;
    first!.send(1, 8, 3);
    sharing.advance(WORKER_LOST_MS + HEARTBEAT_MS);
    expect(lost!.waiting()).toBe(1);
    const heir = sharing.join(sharing.process.newVm(), 1);
    sharing.advance(HEARTBEAT_MS);
    expect(heir.waiting()).toBe(0);
    expect(heir.matched(1, 8, 3)).toBe(0);
    first!.send(2, 8, 3);
    sharing.deliver();
    expect(heir.matched(2, 8, 3)).toBe(8);
    expect(heir.column()).toMatchObject({ unlearned: 0 });
  });

  test("one that was only slow gets a queue of its own again", () => {
    const sharing = new Sharing(build, 2);
    const [first, slow] = sharing.workers;
    slow!.vm.frozen = true;
    first!.send(1, 8, 3);
    sharing.advance(WORKER_LOST_MS + HEARTBEAT_MS);
    const thief = sharing.join(sharing.process.newVm(), 1);
    slow!.vm.frozen = false;
    sharing.advance(2 * HEARTBEAT_MS);
    first!.send(2, 8, 3);
    sharing.deliver();
    for (const worker of [slow!, thief]) expect(worker.matched(2, 8, 3)).toBe(8);
    expect(sharing.process.queues.waiting(`${KEY_QUEUE}2`)).toBe(0);
  });

  test("a VM that was started after a trap drops what comes for the one before it, until its first request", () => {
    const sharing = new Sharing(build, 2);
    const [first, trapped] = sharing.workers;
    trapped!.vm.trap = new WebAssembly.RuntimeError("on purpose");
    const reloaded = sharing.process.reload(trapped!.vm);
    const worker = new (trapped!.constructor as typeof SharingWorker)(sharing.process, reloaded, 2);
    for (let n = 1; n <= 20; n++) {
      first!.send(n, 2, 1);
      sharing.advance(5);
    }
    expect(trapped!.waiting()).toBe(0);
    expect(worker.matched(20, 2, 1)).toBe(0);
    worker.begin();
    sharing.advance(2);
    first!.send(21, 2, 1);
    sharing.deliver();
    expect(worker.matched(21, 2, 1)).toBe(2);
  });

  test("a plugin configuration that goes takes no queue with it: the next tick of another one reads it", () => {
    const sharing = new Sharing(build, 2);
    const [first, worker] = sharing.workers;
    const successor = worker!.vm.root({});
    worker!.vm.setTickPeriod(successor.id, HEARTBEAT_MS);
    worker!.root.close();
    worker!.root = successor;
    first!.send(1, 2, 1);
    sharing.deliver();
    expect(worker!.matched(1, 2, 1)).toBe(0);
    sharing.advance(HEARTBEAT_MS);
    expect(worker!.matched(1, 2, 1)).toBe(2);
    first!.send(2, 2, 1);
    sharing.deliver();
    expect(worker!.matched(2, 2, 1)).toBe(2);
  });

  test.each([
    ["messages", 2, 5 * MESSAGES_PER_CALLBACK, MESSAGES_PER_CALLBACK],
    ["bytes", 2_000, 12, 5],
  ])("a backlog of many %s is worked off in parts, and nothing of it stays", (_, blocks, messages, atOnce) => {
    const sharing = new Sharing(build, 2);
    const [first, worker] = sharing.workers;
    // While it does not hang and yet gets no callbacks: its root context has gone, and no tick has come.
    const successor = worker!.vm.root({});
    worker!.root.close();
    for (let n = 1; n <= messages; n++) {
      first!.send(n, blocks, 1);
      sharing.advance(2);
    }
    expect(worker!.waiting()).toBe(messages);
    worker!.root = successor;
    worker!.vm.setTickPeriod(successor.id, HEARTBEAT_MS);
    successor.tick();
    expect(worker!.waiting()).toBe(messages - atOnce);
    sharing.advance((messages / atOnce + 1) * CATCH_UP_MS);
    expect(worker!.waiting()).toBe(0);
    expect(worker!.matched(messages, blocks, 1)).toBe(blocks);
    expect(worker!.vm.tickPeriodMs(successor)).toBe(HEARTBEAT_MS);
  });
});

describe("messages that are none", () => {
  /** A message with two prompts and a session, as the second worker would get it. */
  function captured(): { sharing: Sharing; worker: SharingWorker; message: Buffer } {
    const sharing = new Sharing(build, 2);
    const [first, worker] = sharing.workers;
    first!.do("hear");
    first!.do("send", 1, 3, 1, 0);
    first!.do("bind", 9, 4);
    first!.do("send", 2, 2, 2, 1_024);
    first!.do("tell", first!.root.id);
    const message = sharing.process.queues.dequeue(sharing.process.queues.resolve(worker!.queue)!);
    return { sharing, worker: worker!, message: Buffer.from(message as Uint8Array) };
  }

  function deliver(sharing: Sharing, worker: SharingWorker, message: Uint8Array): void {
    sharing.process.queues.enqueue(sharing.process.queues.resolve(worker.queue)!, message);
    sharing.deliver();
  }

  function lost(sharing: Sharing, worker: SharingWorker): number {
    sharing.advance(HEARTBEAT_MS);
    return worker.column().unlearned;
  }

  test("the message itself is learned", () => {
    const { sharing, worker, message } = captured();
    deliver(sharing, worker, message);
    expect([worker.matched(1, 3, 1), worker.matched(2, 2, 2), worker.do("bound", 9, 1_000)]).toEqual([3, 2, 4]);
    expect(lost(sharing, worker)).toBe(0);
  });

  test("cut short anywhere it is counted and teaches nothing wrong", () => {
    const { sharing, worker, message } = captured();
    for (let length = 0; length < message.length; ++length) deliver(sharing, worker, message.subarray(0, length));
    expect(worker.matched(1, 3, 1)).toBe(0);
    expect(lost(sharing, worker)).toBe(message.length);
  });

  test("cut short with a length that agrees, its whole records are learned", () => {
    const { sharing, worker, message } = captured();
    for (let length = MESSAGE_BYTES; length < message.length; ++length) {
      const cut = Buffer.from(message.subarray(0, length));
      cut.writeUInt32LE(length, B_LENGTH);
      deliver(sharing, worker, cut);
    }
    expect([worker.matched(1, 3, 1), worker.matched(2, 2, 2)]).toEqual([3, 0]);
  });

  test("of another version, of another generation, with a count out of all bounds", () => {
    const { sharing, worker, message } = captured();
    const version = Buffer.from(message);
    version.writeUInt32LE(99, B_VERSION);
    deliver(sharing, worker, version);
    const generation = Buffer.from(message);
    generation.writeBigUInt64LE(77n, 8);
    deliver(sharing, worker, generation);
    for (const count of [0xffff_ffff, 0x2000_0000, 0x1fff_ffff, 4]) {
      const broken = Buffer.from(message);
      broken.writeUInt32LE(count, MESSAGE_BYTES + D_COUNT);
      deliver(sharing, worker, broken);
    }
    expect(lost(sharing, worker)).toBeGreaterThanOrEqual(5);
    deliver(sharing, worker, message);
    expect([worker.matched(1, 3, 1), worker.matched(2, 2, 2)]).toEqual([3, 2]);
  });

  test("any byte of it changed is no reason to trap", () => {
    const { sharing, worker, message } = captured();
    for (let at = 0; at < message.length; ++at) {
      for (const value of [0, 0x7f, 0xff]) {
        const changed = Buffer.from(message);
        changed[at] = value;
        deliver(sharing, worker, changed);
      }
    }
    expect(worker.vm.trap).toBeUndefined();
    deliver(sharing, worker, message);
    expect(worker.matched(1, 3, 1)).toBe(3);
  });
});

describe("sessions", () => {
  const TTL = 300_000;
  const boundTo = (sharing: Sharing, session: number) =>
    sharing.workers.map((worker) => worker.do("bound", session, TTL));

  test("a binding is known to all, and moves for all", () => {
    const sharing = new Sharing(build, 3);
    const [first, second] = sharing.workers;
    first!.bind(42, 5);
    sharing.deliver();
    expect(boundTo(sharing, 42)).toEqual([5, 5, 5]);
    expect(boundTo(sharing, 43)).toEqual([0, 0, 0]);
    sharing.advance(2);
    second!.bind(42, 6);
    sharing.deliver();
    expect(boundTo(sharing, 42)).toEqual([6, 6, 6]);
  });

  test.each([0n, 1n])("two that bind one session %i ns apart agree on one endpoint", (apart) => {
    const sharing = new Sharing(build, 3);
    sharing.workers[0]!.bind(42, 5);
    sharing.process.clock.advanceNs(apart);
    sharing.workers[1]!.bind(42, 4);
    sharing.deliver();
    const [endpoint] = boundTo(sharing, 42);
    expect(boundTo(sharing, 42)).toEqual([endpoint, endpoint, endpoint]);
    if (apart !== 0n) expect(endpoint).toBe(4);
  });

  test("a binding ends after its time to live, for all; one in use on another worker goes on", () => {
    const sharing = new Sharing(build, 2);
    const [first, second] = sharing.workers;
    first!.bind(1, 5);
    first!.bind(2, 6);
    sharing.advance(2);
    for (let n = 0; n < 30; n++) {
      sharing.advance(TTL / 20);
      first!.do("hear");
      first!.do("refresh", 2, TTL);
      first!.do("tell", first!.root.id);
    }
    sharing.advance(HEARTBEAT_MS);
    expect(boundTo(sharing, 1)).toEqual([0, 0]);
    expect(boundTo(sharing, 2)).toEqual([6, 6]);
    // At most eight times in its time to live.
    expect(first!.sent()).toBeLessThanOrEqual(2 + (30 / 20) * 8 + 1);
    sharing.advance((TTL * 7) / 8 - 2 * HEARTBEAT_MS - (TTL / 8 - TTL / 20));
    expect(second!.do("bound", 2, TTL)).toBe(6);
    sharing.advance(TTL / 2);
    expect(boundTo(sharing, 2)).toEqual([0, 0]);
  });

  test("a session of an endpoint that is gone belongs to none, also when its id has a new owner", () => {
    const sharing = new Sharing(build, 1);
    const [worker] = sharing.workers;
    worker!.bind(1, 5);
    worker!.do("topology", 11, 8);
    expect(worker!.do("bound", 1, TTL)).toBe(0);
    worker!.do("topology", 1, 8);
    expect(worker!.do("bound", 1, TTL)).toBe(5);
  });

  test("of more sessions than there is room for the latest stay", () => {
    const sharing = new Sharing(build, 1);
    const [worker] = sharing.workers;
    const SESSIONS = 200_000;
    const before = worker!.vm.memory.byteLength;
    for (let n = 1; n <= SESSIONS; n++) {
      if (n % 1_000 === 0) sharing.process.clock.advanceMs(1);
      worker!.do("bind", Math.imul(n, 0x9e3779b1) >>> 0, 1 + (n % 8));
    }
    const latest = Array.from({ length: 30_000 }, (_, n) => SESSIONS - n);
    const kept = latest.filter((n) => worker!.do("bound", Math.imul(n, 0x9e3779b1) >>> 0, TTL) === 1 + (n % 8));
    expect(kept.length).toBeGreaterThan(29_000);
    expect(worker!.vm.memory.byteLength).toBe(before);
  });
});
