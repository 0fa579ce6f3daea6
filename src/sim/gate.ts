// Where connections come in: listening, closing idle ones as uvicorn does, refusing for a while.

import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Address } from "../envoy/address.ts";

/** Connections the kernel may hold before we take them: bursts of thousands are what this is for. */
const BACKLOG = 4096;

export class Gate {
  readonly #accept: (socket: Socket) => void;
  readonly #idleCloseMs: number;
  /** Every open connection with its requests under way. */
  readonly #sockets = new Map<Socket, number>();
  #server: Server | undefined;
  #opened = 0;

  /** `idleCloseMs`: a connection without a request for so long is closed; 0 means never. */
  constructor(accept: (socket: Socket) => void, idleCloseMs: number) {
    this.#accept = accept;
    this.#idleCloseMs = idleCloseMs;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Connections ever accepted. */
  get opened(): number {
    return this.#opened;
  }

  /** Listens; port 0 lets the system choose. Rejects with the system's error when it can't. */
  async open(address: Address): Promise<Address> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#take(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: address.host, port: address.port, backlog: BACKLOG }, resolve);
    });
    this.#server = server;
    return { host: address.host, port: (server.address() as AddressInfo).port };
  }

  /** Stops listening. Idle connections end now, busy ones with their request. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const [socket, busy] of this.#sockets) if (busy === 0) socket.destroy();
  }

  /** Stops listening and cuts every connection. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server && new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets.keys()) socket.destroy();
    await closed;
  }

  /** A request began on this connection. Sockets that are not the gate's own (HTTP/2) are ignored. */
  begin(socket: Socket): void {
    const busy = this.#sockets.get(socket);
    if (busy === undefined) return;
    this.#sockets.set(socket, busy + 1);
    socket.setTimeout(0);
  }

  /** A request ended on this connection. */
  end(socket: Socket): void {
    const busy = this.#sockets.get(socket);
    if (busy === undefined) return;
    this.#sockets.set(socket, busy - 1);
    if (busy > 1) return;
    if (this.#server === undefined) socket.destroySoon();
    else socket.setTimeout(this.#idleCloseMs);
  }

  #take(socket: Socket): void {
    this.#opened += 1;
    this.#sockets.set(socket, 0);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("timeout", () => socket.destroy());
    socket.setTimeout(this.#idleCloseMs);
    this.#accept(socket);
  }
}
