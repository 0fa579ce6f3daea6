// A server under the test's control, where exactness matters more than being like a model server: it
// answers with what it received, and can refuse, hang, cut connections and fail on purpose.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import { type Address, formatAddress } from "../../../src/envoy/address.ts";

/** A request as the backend received it, headers as they came over the wire. */
export interface Received {
  readonly by: string;
  readonly method: string;
  readonly url: string;
  /** Names in lower case; the values of a repeated header in order. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly bytes: number;
  readonly sha256: string;
}

/** One request being served. */
export interface Exchange {
  readonly backend: Backend;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** 1 for the first request on its connection. */
  readonly use: number;
  /** Reads the body to its end. Rejects when the client leaves before. */
  readonly read: () => Promise<Received>;
  /** Cuts the connection. */
  readonly cut: () => void;
}

export type Handler = (exchange: Exchange) => void | Promise<void>;

/** What GET /metrics says, in vLLM's names. */
export interface Load {
  readonly waiting: number;
  readonly running: number;
  readonly kvUsage: number;
  /** Further lines of the page, each with its end. */
  readonly more?: string;
}

export interface BackendOptions {
  readonly handler?: Handler;
  readonly load?: Load;
  readonly http2?: boolean;
  /** What an upgraded connection does; refused without it. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Socket) => void;
}

export const IDLE: Load = { waiting: 0, running: 0, kvUsage: 0 };

/** Answers with what was received, as JSON. */
export const echo: Handler = async ({ read, response }) => {
  const received = await read();
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(received));
};

export class Backend {
  readonly #options: BackendOptions;
  readonly #http: { emit(event: "connection", socket: Socket): boolean };
  readonly #sockets = new Set<Socket>();
  readonly #uses = new WeakMap<object, number>();
  #listener: TcpServer | undefined;
  #address: Address = { host: "", port: 0 };
  handler: Handler;
  load: Load;
  /** GET /metrics is not answered. */
  isSilent = false;
  /** Requests that came, other than for /metrics. */
  requests = 0;

  private constructor(options: BackendOptions) {
    this.#options = options;
    this.handler = options.handler ?? echo;
    this.load = options.load ?? IDLE;
    this.#http = this.#httpServer();
  }

  /** Rejects when the address can't be listened on. */
  static async start(listen: Address, options: BackendOptions = {}): Promise<Backend> {
    const backend = new Backend(options);
    backend.#address = listen;
    await backend.accept();
    return backend;
  }

  get address(): Address {
    return this.#address;
  }

  /** "ip:port" */
  get name(): string {
    return formatAddress(this.#address);
  }

  /** Ends a refusal. */
  async accept(): Promise<void> {
    const listener = createTcpServer((socket) => this.#take(socket));
    listener.listen({ ...this.#address, backlog: 4096 });
    await once(listener, "listening");
    const bound = listener.address();
    if (bound !== null && typeof bound === "object") this.#address = { host: this.#address.host, port: bound.port };
    this.#listener = listener;
  }

  /** From now on connections are refused; those that are open are cut. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = undefined;
    this.cutAll();
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.refuse();
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
    this.#http.emit("connection", socket);
  }

  #httpServer(): { emit(event: "connection", socket: Socket): boolean } {
    const { http2, onUpgrade } = this.#options;
    if (http2) {
      // The compatibility API of node:http2 has the shape of node:http's.
      const server = createHttp2Server((request, response) =>
        this.#serve(request as unknown as IncomingMessage, response as unknown as ServerResponse),
      );
      return server.on("sessionError", () => {});
    }
    const limits = { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 };
    const server = createServer(limits, (request, response) => this.#serve(request, response));
    server.on("clientError", (_error, socket) => socket.destroy());
    if (onUpgrade) server.on("upgrade", (request, socket) => onUpgrade(request, socket as Socket));
    return server;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => {});
    request.on("error", () => {});
    if (request.url === "/metrics") {
      if (this.isSilent) return;
      response.setHeader("content-type", "text/plain; version=0.0.4");
      response.end(exposition(this.load));
      return;
    }
    this.requests += 1;
    const connection = request.socket;
    const use = (this.#uses.get(connection) ?? 0) + 1;
    this.#uses.set(connection, use);
    const exchange: Exchange = {
      backend: this,
      request,
      response,
      use,
      read: () => read(request, this.name),
      cut: () => request.socket.destroy(),
    };
    // A client that leaves makes read() reject: there is nobody to answer.
    Promise.resolve(this.handler(exchange)).catch(() => response.destroy());
  }
}

function read(request: IncomingMessage, by: string): Promise<Received> {
  const digest = createHash("sha256");
  let bytes = 0;
  return new Promise((resolve, reject) => {
    request.on("data", (piece: Buffer) => {
      digest.update(piece);
      bytes += piece.length;
    });
    request.on("end", () => {
      const { method = "", url = "" } = request;
      resolve({ by, method, url, headers: headersOf(request.rawHeaders), bytes, sha256: digest.digest("hex") });
    });
    request.on("close", () => reject(new Error("the client left")));
  });
}

function headersOf(raw: readonly string[]): Record<string, readonly string[]> {
  const headers: Record<string, string[]> = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    headers[name] ??= [];
    headers[name].push(raw[i + 1]!);
  }
  return headers;
}

function exposition({ waiting, running, kvUsage, more = "" }: Load): string {
  const gauge = (name: string, value: number) =>
    `# TYPE vllm:${name} gauge\nvllm:${name}{engine="0",model_name="m"} ${value}\n`;
  return (
    gauge("num_requests_running", running) +
    gauge("num_requests_waiting", waiting) +
    gauge("kv_cache_usage_perc", kvUsage) +
    more
  );
}
