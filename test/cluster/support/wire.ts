// The network between an agent and its API server: a port that leads to the server's, which a test cuts or makes
// silent.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class Wire {
  readonly #target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #state: "open" | "refusing" | "silent" = "open";

  private constructor(targetPort: number) {
    this.#target = targetPort;
    this.#server = createServer((socket) => this.#take(socket));
  }

  /** Leads to the port of `url` on 127.0.0.1. */
  static async start(url: string): Promise<Wire> {
    const wire = new Wire(Number(new URL(url).port));
    wire.#server.listen(0, "127.0.0.1");
    await once(wire.#server, "listening");
    return wire;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as { readonly port: number }).port}`;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size / 2;
  }

  /** Ends what is open; what comes then is let through. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Ends what is open, and at once whatever comes. */
  refuse(): void {
    this.#state = "refusing";
    this.cut();
  }

  /** Nothing arrives any more on any connection, and none is ended: as when packets are lost. */
  silence(): void {
    this.#state = "silent";
    for (const socket of this.#sockets) socket.pause();
  }

  /** Ends what was refused or silent. */
  heal(): void {
    if (this.#state === "silent") for (const socket of this.#sockets) socket.resume();
    this.#state = "open";
  }

  stop(): void {
    this.cut();
    this.#server.close();
  }

  #take(near: Socket): void {
    if (this.#state === "refusing") {
      near.destroy();
      return;
    }
    const far = connect(this.#target, "127.0.0.1");
    this.#join(near, far);
    this.#join(far, near);
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on("data", (data) => to.write(data));
    from.on("error", () => {});
    from.once("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    if (this.#state === "silent") from.pause();
  }
}
