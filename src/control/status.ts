// The agent's HTTP server: health, readiness, metrics, and the snapshot in force. In a pod it listens where kubelet and
// Prometheus reach it, which is where everybody does. The snapshot names pods, models and the whole configuration: it
// is for clients on loopback only, of which `kubectl port-forward` is one.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isLoopback } from "./loopback.ts";

/** The host "::" is all addresses, of IPv4 too. */
export type ListenAddress = { readonly host: string; readonly port: number };

export type StatusSource = {
  /** Why the agent is not ready; undefined when it is. */
  readonly notReady: () => string | undefined;
  /** What else a person who asks whether it is ready wants to know, a line each. */
  readonly details?: () => readonly string[];
  /** A JSON value. */
  readonly snapshot: () => unknown;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
};

export type StatusServer = { readonly address: ListenAddress; stop(): Promise<void> };

/** Why the agent cannot listen; a sentence for the person who started it. */
export class ListenError extends Error {}

type Page = { readonly status: number; readonly type: string; readonly text: string };

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json";

const SNAPSHOT_FORBIDDEN =
  "/snapshot is answered to clients on loopback only: ask 127.0.0.1 in the pod, or by kubectl port-forward\n";

async function page(path: string, client: string | undefined, source: StatusSource): Promise<Page> {
  switch (path) {
    case "/healthz":
      return { status: 200, type: TEXT, text: "ok\n" };
    case "/readyz": {
      const reason = source.notReady();
      const lines = [reason ?? "ready", ...(source.details?.() ?? [])];
      return { status: reason === undefined ? 200 : 503, type: TEXT, text: `${lines.join("\n")}\n` };
    }
    case "/metrics": {
      const { contentType, text } = await source.metrics();
      return { status: 200, type: contentType, text };
    }
    case "/snapshot":
      if (!isLoopback(client)) return { status: 403, type: TEXT, text: SNAPSHOT_FORBIDDEN };
      return { status: 200, type: JSON_TYPE, text: `${JSON.stringify(source.snapshot())}\n` };
    default:
      return { status: 404, type: TEXT, text: "not found: expected /healthz, /readyz, /metrics or /snapshot\n" };
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, source: StatusSource): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0]!;
  const known = request.method === "GET" || request.method === "HEAD";
  const { status, type, text } = known
    ? await page(path, request.socket.remoteAddress, source)
    : { status: 405, type: TEXT, text: `${request.method} is not allowed: expected GET\n` };
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    ...(known ? {} : { allow: "GET, HEAD" }),
  });
  response.end(request.method === "HEAD" ? undefined : text);
}

/** Listens on `listen`; port 0 lets the system choose. Throws a ListenError. */
export async function startStatus(listen: ListenAddress, source: StatusSource): Promise<StatusServer> {
  const server = createServer((request, response) => {
    answer(request, response, source).catch((error: Error) => response.destroy(error));
  });
  await listening(server, listen);
  const { address, port } = server.address() as AddressInfo;
  return {
    address: { host: address, port },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, { host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const where = `${host.includes(":") ? `[${host}]` : host}:${port}`;
      const inUse = error.code === "EADDRINUSE";
      const reason = inUse ? "another process listens there, choose another address" : error.message;
      reject(new ListenError(`the agent cannot listen on ${where}: ${reason}`));
    });
    // Without a host Node listens on "::", and on "0.0.0.0" where there is no IPv6.
    if (host === "::") server.listen(port, resolve);
    else server.listen(port, host, resolve);
  });
}
