// A simulated vLLM server: a test instrument and the demo's stand-in, not a model server.
//
// What it answers is made up; when it answers, and what its /metrics say meanwhile, follows from the
// engine (engine.ts). Every answer names the server and says what was received:
//
//   x-sim-name  x-sim-body-bytes  x-sim-body-sha256
//
// Any method on /sim/echo answers the request line, headers and body digest as JSON.

import { hash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { Socket } from "node:net";
import { type Address, formatAddress } from "../envoy/address.ts";
import { answerJson, EventStream, errorJson, modelsJson } from "./answer.ts";
import { Engine, type EngineOptions, type EngineState, type Output, type Sequence } from "./engine.ts";
import { exposition } from "./exposition.ts";
import { Gate } from "./gate.ts";
import { json, pathOf, type Reply, readBody, send } from "./http.ts";
import { engineOptionsOf } from "./options.ts";
import { acceptRealtime } from "./realtime.ts";
import { type ApiError, type InferenceRequest, type Kind, parseInference, type Served } from "./request.ts";
import { startTicking, stopTicking } from "./ticker.ts";

export interface SimOptions extends Partial<EngineOptions> {
  /** Default 127.0.0.1:0; port 0 lets the system choose. */
  readonly listen?: Address;
  /** What x-sim-name says; default "ip:port". */
  readonly name?: string;
  /** Default "sim". */
  readonly model?: string;
  /** Adapters that requests may name as model. */
  readonly loras?: readonly string[];
  /** Prompt and answer together; default and at most what the KV blocks hold. */
  readonly maxModelTokens?: number;
  /** Length of an answer whose request does not bound it; default 64. */
  readonly answerTokens?: number;
  /** An HTTP/1 connection idle for so long is closed; default 5000 as vLLM, 0 never. */
  readonly idleCloseMs?: number;
  /** HTTP/2 without TLS, prior knowledge, in place of HTTP/1. */
  readonly http2?: boolean;
}

/** Ways to misbehave; each is off unless named. */
export interface Failure {
  /** Connections are refused; idle ones (and all HTTP/2 ones) are closed, live requests go on. */
  readonly refuse?: boolean;
  /** Inference requests get this status. */
  readonly status?: number;
  /** Inference requests are read, then their connection is cut without an answer. */
  readonly reset?: boolean;
  /** GET /metrics is never answered. */
  readonly hangMetrics?: boolean;
}

export interface SimStats extends EngineState {
  /** Inference requests read as a whole. */
  readonly received: number;
  /** … answered to the end. */
  readonly finished: number;
  /** … left by their client before that. */
  readonly cancelled: number;
  /** … answered with an error. */
  readonly failed: number;
  readonly scrapes: number;
  readonly connections: number;
  /** Connections ever accepted. */
  readonly connectionsOpened: number;
}

export interface Sim {
  readonly name: string;
  readonly address: Address;
  /** "http://ip:port" */
  readonly url: string;
  stats(): SimStats;
  /** What was named before and is not now ends. Rejects when the port can't be taken again. */
  setFailure(failure: Failure): Promise<void>;
  stop(): Promise<void>;
}

/** Starts one server. Rejects when the address can't be listened on. */
export async function startSim(options: SimOptions = {}): Promise<Sim> {
  const server = new SimServer(options);
  await server.start(options.listen ?? { host: "127.0.0.1", port: 0 });
  return server;
}

/** One inference request under way. */
interface Exchange {
  readonly request: InferenceRequest;
  readonly res: ServerResponse;
  readonly id: string;
  readonly createdS: number;
  /** Undefined when the answer comes in one piece. */
  readonly events: EventStream | undefined;
}

class SimServer implements Sim {
  readonly #options: SimOptions;
  readonly #engine: Engine<Exchange>;
  readonly #served: Served;
  readonly #gate: Gate;
  readonly #startedS = nowS();
  readonly #loraHistory = new Map<string, number>();
  readonly #tick = (nowMs: number) => this.#advance(nowMs);
  #address: Address = { host: "", port: 0 };
  #failure: Failure = {};
  #received = 0;
  #finished = 0;
  #cancelled = 0;
  #failed = 0;
  #scrapes = 0;

  constructor(options: SimOptions) {
    this.#options = options;
    const engineOptions = engineOptionsOf(options);
    this.#engine = new Engine(engineOptions);
    this.#served = {
      model: options.model ?? "sim",
      loras: options.loras ?? [],
      blockSize: engineOptions.blockSize,
      maxModelTokens: Math.min(options.maxModelTokens ?? Number.POSITIVE_INFINITY, this.#engine.maxTokens),
      answerTokens: options.answerTokens ?? 64,
    };
    const http = this.#httpServer();
    this.#gate = new Gate(
      (socket) => http.emit("connection", socket),
      options.http2 ? 0 : (options.idleCloseMs ?? 5000),
    );
  }

  async start(listen: Address): Promise<void> {
    this.#address = await this.#gate.open(listen);
  }

  get address(): Address {
    return this.#address;
  }

  get url(): string {
    return `http://${formatAddress(this.#address)}`;
  }

  get name(): string {
    return this.#options.name ?? formatAddress(this.#address);
  }

  stats(): SimStats {
    return {
      ...this.#engine.state(),
      received: this.#received,
      finished: this.#finished,
      cancelled: this.#cancelled,
      failed: this.#failed,
      scrapes: this.#scrapes,
      connections: this.#gate.connections,
      connectionsOpened: this.#gate.opened,
    };
  }

  async setFailure(failure: Failure): Promise<void> {
    const refused = this.#failure.refuse === true;
    this.#failure = failure;
    if (failure.refuse === true && !refused) this.#gate.close();
    if (failure.refuse !== true && refused) await this.#gate.open(this.#address);
  }

  async stop(): Promise<void> {
    await this.#gate.cut();
    stopTicking(this.#tick);
  }

  /** Speaks HTTP on the sockets that the gate hands it; it does not listen itself. */
  #httpServer(): { emit(event: "connection", socket: Socket): boolean } {
    const handle = (req: IncomingMessage, res: ServerResponse) => void this.#handle(req, res);
    if (this.#options.http2) {
      // The compatibility API of node:http2 has the shape of node:http's.
      const server = createHttp2Server((req, res) =>
        handle(req as unknown as IncomingMessage, res as unknown as ServerResponse),
      );
      return server.on("sessionError", () => {});
    }
    const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, handle);
    server.on("clientError", (_error, socket) => socket.destroy());
    server.on("upgrade", (req, socket) => {
      if (pathOf(req) === "/v1/realtime") acceptRealtime(req, socket, this.name);
      else socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    });
    return server;
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { socket } = req;
    this.#gate.begin(socket);
    res.once("close", () => this.#gate.end(socket));
    res.on("error", () => res.destroy());
    res.setHeader("x-sim-name", this.name);
    const body = await readBody(req);
    if (body === "gone") return;
    if (body !== "too large" && body.length > 0) {
      res.setHeader("x-sim-body-bytes", String(body.length));
      res.setHeader("x-sim-body-sha256", hash("sha256", body));
    }
    const reply =
      body === "too large" ? json(413, '{"detail":"Request Entity Too Large"}') : this.#route(req, res, body);
    if (reply !== undefined) send(res, reply);
  }

  /** Undefined when the answer comes later, or never. */
  #route(req: IncomingMessage, res: ServerResponse, body: Buffer): Reply | undefined {
    const path = pathOf(req);
    if (path === "/sim/echo") return echo(req, body);
    const route = ROUTES[path];
    if (route === undefined) return json(404, '{"detail":"Not Found"}');
    if (req.method !== route.method) return { ...json(405, '{"detail":"Method Not Allowed"}'), allow: route.method };
    switch (route.answer) {
      case "health":
        return json(200, "");
      case "metrics":
        return this.#metrics();
      case "models": {
        const { model, loras, maxModelTokens } = this.#served;
        return json(200, modelsJson(model, loras, maxModelTokens, this.#startedS));
      }
      default:
        return this.#infer(route.answer, req, res, body);
    }
  }

  #metrics(): Reply | undefined {
    this.#scrapes += 1;
    if (this.#failure.hangMetrics) return undefined;
    // What changed since the last tick belongs into the numbers.
    this.#advance(performance.now());
    const page = exposition(this.#served.model, this.#engine.options, this.#engine.state(), this.#loraHistory);
    return { status: 200, type: "text/plain; version=1.0.0; charset=utf-8", body: page };
  }

  #infer(kind: Kind, req: IncomingMessage, res: ServerResponse, body: Buffer): Reply | undefined {
    this.#received += 1;
    if (this.#failure.reset) {
      this.#failed += 1;
      res.destroy();
      return undefined;
    }
    const parsed = this.#failureError() ?? parseInference(kind, req.headers["content-type"], body, this.#served);
    if ("error" in parsed) {
      this.#failed += 1;
      return json(parsed.error.status, errorJson(parsed.error));
    }
    this.#begin(parsed.request, req, res);
    return undefined;
  }

  #failureError(): { readonly error: ApiError } | undefined {
    const { status } = this.#failure;
    if (status === undefined) return undefined;
    return { error: { status, message: "failing on purpose", type: "SimFailure", param: null } };
  }

  #begin(request: InferenceRequest, req: IncomingMessage, res: ServerResponse): void {
    const given = req.headers["x-request-id"] ?? randomBytes(8).toString("hex");
    const id = `${request.kind === "chat" ? "chatcmpl" : "cmpl"}-${given}`;
    const createdS = nowS();
    const events = request.stream ? new EventStream(request, id, createdS) : undefined;
    const sequence = this.#engine.submit({
      owner: { request, res, id, createdS, events },
      promptTokens: request.prompt.tokens,
      promptBlocks: request.prompt.blocks,
      answerBlocks: request.answerBlocks,
      answerTokens: request.answerTokens,
      adapter: request.adapter,
    });
    res.once("close", () => this.#leave(sequence));
    if (events !== undefined) {
      // The headers of a stream go out before anything is computed, as vLLM's do.
      res.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
      res.flushHeaders();
    }
    this.#advance(performance.now());
    if (this.#engine.busy) startTicking(this.#tick);
  }

  #leave(sequence: Sequence<Exchange>): void {
    if (sequence.phase === "gone") return;
    this.#cancelled += 1;
    this.#engine.cancel(sequence);
  }

  #advance(nowMs: number): void {
    const outputs = this.#engine.advance(nowMs);
    for (const output of outputs) this.#send(output);
    if (this.#served.loras.length > 0 && this.#received > 0) {
      this.#loraHistory.set(this.#engine.state().activeAdapters.join(","), Date.now() / 1000);
    }
    if (!this.#engine.busy) stopTicking(this.#tick);
  }

  /** A client slower than its tokens has them buffered here: an answer is bounded by its token limit. */
  #send({ owner, tokens, done, cachedTokens }: Output<Exchange>): void {
    const { request, res, id, createdS, events } = owner;
    if (done) this.#finished += 1;
    if (events === undefined) {
      if (done) send(res, json(200, answerJson(request, id, createdS, cachedTokens)));
      return;
    }
    const text = events.next(tokens, done, cachedTokens);
    if (done) res.end(text);
    else res.write(text);
  }
}

interface Route {
  readonly method: "GET" | "POST";
  readonly answer: "health" | "metrics" | "models" | Kind;
}

const ROUTES: Readonly<Record<string, Route>> = {
  "/health": { method: "GET", answer: "health" },
  "/metrics": { method: "GET", answer: "metrics" },
  "/v1/models": { method: "GET", answer: "models" },
  "/v1/chat/completions": { method: "POST", answer: "chat" },
  "/v1/completions": { method: "POST", answer: "completion" },
};

function echo(req: IncomingMessage, body: Buffer): Reply {
  const { method, url, headers } = req;
  return json(200, JSON.stringify({ method, url, headers, bytes: body.length, sha256: hash("sha256", body) }));
}

function nowS(): number {
  return Math.floor(Date.now() / 1000);
}
