// Model servers that cost almost nothing: one process, one socket on 0.0.0.0 that answers every
// 127.x.y.z as if it were a server of its own. It reads requests by Content-Length only, discards
// bodies, and answers POST with a fixed completion or a stream of events, GET with a metrics page.

import { type AddressInfo, createServer, type Socket } from "node:net";
import { metricsPage } from "./exposition.ts";
import { answerQuestions } from "./worker.ts";

export type BackendQuestion =
  | { readonly kind: "serve"; readonly reply: "json" | "events"; readonly metricsPage: MetricsPage }
  | { readonly kind: "count" };
/** What GET answers: at work the numbers differ from page to page, idle they are all 0. */
export type MetricsPage = { readonly atWork: boolean; readonly bytes: number };
export type BackendAnswer = {
  readonly port: number;
  /** Requests answered, scrapes answered, and sockets dropped for a request this server cannot read. */
  readonly posts: number;
  readonly gets: number;
  readonly unreadable: number;
  /** Addresses that answered a request since the last count. */
  readonly served: number;
};

/** Every stream gets one event in this time; the sockets take turns within it. */
const EVENT_INTERVAL_MS = 500;
const TURNS = 50;

const counts = { port: 0, posts: 0, gets: 0, unreadable: 0 };
const served = new Set<string | undefined>();
const streams: Set<Socket>[] = Array.from({ length: TURNS }, () => new Set());

function message(head: string, body: string): Buffer {
  return Buffer.from(`HTTP/1.1 200 OK\r\n${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

const COMPLETION = message(
  "content-type: application/json\r\n",
  '{"id":"chatcmpl-8f7d","object":"chat.completion","created":1763630000,"model":"meta-llama/Llama-3.3-70B-Instruct",' +
    '"choices":[{"index":0,"message":{"role":"assistant","content":"Because the queue was shorter there."},' +
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":212,"completion_tokens":8,"total_tokens":220}}',
);

const STREAM_HEAD = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
);

const EVENT = chunk(
  'data: {"id":"chatcmpl-8f7d","object":"chat.completion.chunk","created":1763630000,' +
    '"model":"meta-llama/Llama-3.3-70B-Instruct",' +
    '"choices":[{"index":0,"delta":{"content":" queue"},"finish_reason":null}]}\n\n',
);

function chunk(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

/** Reads requests off a socket; `answer` is called at the end of each. */
function readRequests(socket: Socket, answer: (isPost: boolean) => void): void {
  let bodyLeft = 0;
  let isPost = false;
  let partHead: Buffer | undefined;
  socket.on("data", (data: Buffer) => {
    let at = 0;
    while (at < data.length) {
      if (bodyLeft === 0) {
        const bytes = partHead === undefined ? data.subarray(at) : Buffer.concat([partHead, data.subarray(at)]);
        const end = bytes.indexOf("\r\n\r\n");
        if (end < 0) {
          partHead = Buffer.from(bytes);
          return;
        }
        at += end + 4 - (partHead?.length ?? 0);
        partHead = undefined;
        const head = bytes.toString("latin1", 0, end);
        isPost = head.startsWith("POST ");
        const length = /\r\ncontent-length: *(\d+)/i.exec(head);
        if (isPost && length === null) {
          counts.unreadable++;
          socket.destroy();
          return;
        }
        bodyLeft = length === null ? 0 : Number(length[1]);
        if (bodyLeft === 0) answer(isPost);
        continue;
      }
      const taken = Math.min(bodyLeft, data.length - at);
      bodyLeft -= taken;
      at += taken;
      if (bodyLeft === 0) answer(isPost);
    }
  });
}

function startStream(socket: Socket): void {
  const turn = streams[counts.posts % TURNS];
  turn?.add(socket);
  socket.once("close", () => turn?.delete(socket));
  socket.write(STREAM_HEAD);
}

function sendEvents(): void {
  let turn = 0;
  setInterval(() => {
    for (const socket of streams[turn] ?? []) socket.write(EVENT);
    turn = (turn + 1) % TURNS;
  }, EVENT_INTERVAL_MS / TURNS);
}

function pagesOf({ atWork, bytes }: MetricsPage): readonly Buffer[] {
  return Array.from({ length: atWork ? 16 : 1 }, (_, i) => {
    const text = metricsPage({ waiting: 0, running: i % 4, kvUsage: i / 64 }, bytes);
    return message("content-type: text/plain; version=0.0.4\r\n", text);
  });
}

function serve(reply: "json" | "events", metricsPage: MetricsPage): Promise<BackendAnswer> {
  const pages = pagesOf(metricsPage);
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    const address = socket.localAddress;
    readRequests(socket, (isPost) => {
      if (!isPost) {
        socket.write(pages[counts.gets++ % pages.length] ?? COMPLETION);
      } else {
        counts.posts++;
        served.add(address);
        if (reply === "json") socket.write(COMPLETION);
        else startStream(socket);
      }
    });
  });
  if (reply === "events") sendEvents();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "0.0.0.0", port: 0, backlog: 4096 }, () => {
      counts.port = (server.address() as AddressInfo).port;
      resolve(count());
    });
  });
}

function count(): BackendAnswer {
  const answer = { ...counts, served: served.size };
  served.clear();
  return answer;
}

answerQuestions<BackendQuestion, BackendAnswer>(async (question) =>
  question.kind === "serve" ? serve(question.reply, question.metricsPage) : count(),
);
