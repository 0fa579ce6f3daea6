// The load generator: raw sockets, requests encoded beforehand, answers read by Content-Length.
// It reads the CPU clock of the process under test itself, at the edges of its window, so that
// requests and CPU time belong to the same moments.

import { connect, type Socket } from "node:net";
import { chatBody, chatRequest } from "./bodies.ts";
import { busyNs, cpuNs } from "./process.ts";
import { type Mix, type NextRequest, requestsOf } from "./requests.ts";
import { quantile } from "./statistics.ts";
import { answerQuestions } from "./worker.ts";

export type LoadQuestion =
  | ({ readonly kind: "closed" } & Slice)
  | ({ readonly kind: "paced"; readonly ratePerS: number } & Slice)
  | { readonly kind: "openStreams"; readonly port: number; readonly count: number }
  | ({ readonly kind: "watchStreams" } & Window)
  | { readonly kind: "closeStreams" }
  | { readonly kind: "sendHeld"; readonly port: number; readonly count: number; readonly bodyBytes: number }
  | { readonly kind: "abandonHeld" };

export type Window = {
  /** The process whose CPU time is read. */
  readonly pid: number;
  /** Other processes of the benchmark that work meanwhile. */
  readonly friends: readonly number[];
  readonly seconds: number;
};

export type Slice = Window & {
  readonly port: number;
  readonly mix: Mix;
  readonly connections: number;
  readonly warmSeconds: number;
};

export type LoadAnswer = {
  /** Answers (events, for streams) within the window. */
  readonly count: number;
  readonly seconds: number;
  readonly cpuNs: number;
  /** Share of a core that this process used: near 1 the generator is what limits throughput. */
  readonly ownCpu: number;
  /** CPU that processes outside the benchmark used, in cores: above 0.1 the figures are in doubt. */
  readonly company: number;
  /** Of paced requests, from the moment they were due to the last byte of the answer. */
  readonly latencyUs: { readonly p50: number; readonly p99: number } | undefined;
  /** Paced requests that found no free connection and waited for one. */
  readonly waited: number;
};

const NOTHING = { count: 0, seconds: 0, cpuNs: 0, ownCpu: 0, company: 0, latencyUs: undefined, waited: 0 };
const READ_BYTES = 65_536;

/** One keep-alive connection with at most one request under way. */
type Connection = { readonly socket: Socket; readonly next: NextRequest; sentAtUs: number };

/** Opens the connections of a slice; `onAnswer` runs at the end of every answer, which must be a 200. */
function openAll(
  { port, mix, connections }: Slice,
  onAnswer: (connection: Connection) => void,
  onError: (error: Error) => void,
): Promise<readonly Connection[]> {
  return Promise.all(requestsOf(mix, connections).map((next) => open(port, next, onAnswer, onError)));
}

function open(
  port: number,
  next: NextRequest,
  onAnswer: (connection: Connection) => void,
  onError: (error: Error) => void,
): Promise<Connection> {
  let kept = "";
  let bodyLeft = -1;
  const read = (length: number, buffer: Buffer) => {
    let at = 0;
    if (bodyLeft < 0) {
      const head = kept + buffer.toString("latin1", 0, length);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) {
        kept = head;
        return true;
      }
      const size = /\r\ncontent-length: *(\d+)/i.exec(head);
      if (!head.startsWith("HTTP/1.1 200 ") || size === null) {
        onError(new Error(`answer is not a 200 with a length: ${head.slice(0, 400)}`));
        return false;
      }
      at = end + 4 - kept.length;
      kept = "";
      bodyLeft = Number(size[1]);
    }
    bodyLeft -= length - at;
    if (bodyLeft <= 0) {
      bodyLeft = -1;
      onAnswer(connection);
    }
    return true;
  };
  const socket = connect({
    host: "127.0.0.1",
    port,
    noDelay: true,
    onread: { buffer: Buffer.alloc(READ_BYTES), callback: (length, buffer) => read(length, buffer as Buffer) },
  });
  const connection: Connection = { socket, next, sentAtUs: 0 };
  return new Promise((resolve, reject) => {
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", onError);
      socket.on("end", () => onError(new Error("the proxy closed a connection")));
      resolve(connection);
    });
    socket.once("error", reject);
  });
}

function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

function nowUs(): number {
  return performance.now() * 1000;
}

type Watched = Omit<LoadAnswer, "latencyUs" | "waited">;

/** What happens in the next `seconds`: the CPU clocks of all processes, and how far `count` gets. */
async function watch(window: Window, count: () => number): Promise<Watched> {
  const read = () => ({
    count: count(),
    cpuNs: cpuNs(window.pid),
    ownNs: cpuNs(process.pid),
    friendsNs: window.friends.reduce((sum, pid) => sum + cpuNs(pid), 0),
    busyNs: busyNs(),
    us: nowUs(),
  });
  const before = read();
  await sleep(window.seconds);
  const after = read();
  const elapsedNs = (after.us - before.us) * 1000;
  const [usedNs, ownNs] = [after.cpuNs - before.cpuNs, after.ownNs - before.ownNs];
  const ours = usedNs + ownNs + after.friendsNs - before.friendsNs;
  return {
    count: after.count - before.count,
    seconds: elapsedNs / 1e9,
    cpuNs: usedNs,
    ownCpu: ownNs / elapsedNs,
    company: Math.max(0, (after.busyNs - before.busyNs - ours) / elapsedNs),
  };
}

/** Every connection sends the next request as soon as its answer is complete. */
async function closed(slice: Slice): Promise<LoadAnswer> {
  const errors: Error[] = [];
  let count = 0;
  let ending = false;
  const onAnswer = (connection: Connection) => {
    count++;
    if (ending) connection.socket.destroy();
    else connection.socket.write(connection.next());
  };
  const onError = (error: Error) => errors.push(error);
  const connections = await openAll(slice, onAnswer, onError);
  for (const connection of connections) onAnswer(connection);
  await sleep(slice.warmSeconds);
  const watched = await watch(slice, () => count);
  ending = true;
  await drained(connections);
  if (errors.length > 0) throw errors[0];
  return { ...watched, latencyUs: undefined, waited: 0 };
}

/** Waits until every connection is closed, for 2 s at most; then closes the rest. */
async function drained(connections: readonly Connection[]): Promise<void> {
  for (let i = 0; i < 200 && connections.some(({ socket }) => !socket.destroyed); i++) await sleep(0.01);
  for (const { socket } of connections) socket.destroy();
}

/** Requests are due at a fixed rate, whatever the answers do. */
async function paced(slice: Slice & { readonly ratePerS: number }): Promise<LoadAnswer> {
  const latenciesUs: number[] = [];
  const errors: Error[] = [];
  const due: number[] = [];
  const free: Connection[] = [];
  let [count, waited, recording] = [0, 0, false];
  const send = (connection: Connection, dueUs: number) => {
    connection.sentAtUs = dueUs;
    connection.socket.write(connection.next());
  };
  const onAnswer = (connection: Connection) => {
    count++;
    if (recording) latenciesUs.push(nowUs() - connection.sentAtUs);
    const next = due.shift();
    if (next === undefined) free.push(connection);
    else send(connection, next);
  };
  const onError = (error: Error) => errors.push(error);
  const connections = await openAll(slice, onAnswer, onError);
  free.push(...connections);
  const startUs = nowUs();
  let sent = 0;
  // A request is due when its timer fires: what the timer is late by is this process's own delay.
  const timer = setInterval(() => {
    const firedUs = nowUs();
    for (; sent < ((firedUs - startUs) * slice.ratePerS) / 1e6; sent++) {
      const connection = free.shift();
      if (connection !== undefined) send(connection, firedUs);
      else if (due.push(firedUs) > 0 && recording) waited++;
    }
  }, 1);
  await sleep(slice.warmSeconds);
  recording = true;
  const watched = await watch(slice, () => count);
  recording = false;
  clearInterval(timer);
  for (const { socket } of connections) socket.destroy();
  if (errors.length > 0) throw errors[0];
  const latencyUs = { p50: quantile(latenciesUs, 0.5), p99: quantile(latenciesUs, 0.99) };
  return { ...watched, latencyUs, waited };
}

/** Streams that openStreams has left open, and what came over them. */
const streams: Socket[] = [];
const streamed = { events: 0, heads: 0, broken: 0 };
const EVENT_MARK = Buffer.from("data: ");
const CONNECTING_MAX = 100;

function openStream(port: number): Promise<void> {
  const body = Buffer.from(chatBody(1024, 0).toString().replace('"stream":false', '"stream":true '));
  return new Promise((resolve, reject) => {
    const read = (length: number, buffer: Uint8Array) => {
      const bytes = (buffer as Buffer).subarray(0, length);
      if (!opened) {
        opened = true;
        if (bytes.indexOf("HTTP/1.1 200 ") !== 0) reject(new Error(`no stream: ${bytes.toString("latin1", 0, 200)}`));
        else resolve();
      }
      for (let at = bytes.indexOf(EVENT_MARK); at >= 0; at = bytes.indexOf(EVENT_MARK, at + 1)) streamed.events++;
      return true;
    };
    let opened = false;
    const socket = connect({ host: "127.0.0.1", port, onread: { buffer: Buffer.alloc(4096), callback: read } });
    socket.once("connect", () => socket.write(chatRequest(body)));
    socket.on("error", reject);
    socket.on("end", () => streamed.broken++);
    streams.push(socket);
  });
}

async function openStreams(port: number, count: number): Promise<LoadAnswer> {
  let left = count;
  const openSome = async () => {
    while (left-- > 0) await openStream(port);
  };
  await Promise.all(Array.from({ length: CONNECTING_MAX }, openSome));
  return { ...NOTHING, count };
}

async function watchStreams(window: Window): Promise<LoadAnswer> {
  const watched = await watch(window, () => streamed.events);
  if (streamed.broken > 0) throw new Error(`${streamed.broken} of ${streams.length} streams ended early`);
  return { ...watched, latencyUs: undefined, waited: 0 };
}

async function closeStreams(): Promise<LoadAnswer> {
  const count = streams.length;
  for (const socket of streams.splice(0)) socket.destroy();
  streamed.events = 0;
  return { ...NOTHING, count };
}

/** Clients whose requests the proxy holds. */
const held: Socket[] = [];
let isEarly = false;

/** A client on a connection of its own that sends a request; resolves when it is sent. */
function sendHeldOne(port: number, request: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => socket.write(request, () => resolve()));
    socket.on("error", reject);
    socket.on("data", () => {
      isEarly = true;
    });
    held.push(socket);
  });
}

/** More requests of which none is answered. */
async function sendHeld(port: number, count: number, bodyBytes: number): Promise<LoadAnswer> {
  const request = chatRequest(chatBody(bodyBytes, 0));
  let left = count;
  const sendSome = async () => {
    while (left-- > 0) await sendHeldOne(port, request);
  };
  await Promise.all(Array.from({ length: CONNECTING_MAX }, sendSome));
  return { ...NOTHING, count };
}

/** All go away, without a word: no connection lingers that the next ones would need. */
async function abandonHeld(): Promise<LoadAnswer> {
  if (isEarly) throw new Error("a request that was to be held was answered");
  const count = held.length;
  for (const socket of held.splice(0)) socket.resetAndDestroy();
  return { ...NOTHING, count };
}

answerQuestions<LoadQuestion, LoadAnswer>((question) => {
  switch (question.kind) {
    case "closed":
      return closed(question);
    case "paced":
      return paced(question);
    case "openStreams":
      return openStreams(question.port, question.count);
    case "watchStreams":
      return watchStreams(question);
    case "closeStreams":
      return closeStreams();
    case "sendHeld":
      return sendHeld(question.port, question.count, question.bodyBytes);
    case "abandonHeld":
      return abandonHeld();
  }
});
