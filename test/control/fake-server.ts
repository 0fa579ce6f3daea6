// A model server's /metrics and nothing else.

import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export type FakeServer = {
  /** ip:port */
  readonly address: string;
  readonly port: number;
  waiting: number;
  running: number;
  /** In place of the usual page. */
  answer: RequestListener | undefined;
  /** When each scrape came, by performance.now(). */
  readonly scrapesMs: number[];
  /** Connections accepted. */
  connections: number;
};

/** In PEM. */
export type Certificate = { readonly cert: string; readonly key: string };

/** Listens on a port of 127.0.0.1 that the system chooses, until the running test ends; with a certificate by TLS. */
export async function fakeServer(certificate?: Certificate): Promise<FakeServer> {
  const listener: RequestListener = (request, response) => {
    state.scrapesMs.push(performance.now());
    if (state.answer) state.answer(request, response);
    else response.end(page(state.waiting, state.running));
  };
  const server = certificate === undefined ? createServer(listener) : createTlsServer(certificate, listener);
  server.on("connection", () => {
    state.connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const state: FakeServer = {
    address: `127.0.0.1:${port}`,
    port,
    waiting: 0,
    running: 0,
    answer: undefined,
    scrapesMs: [],
    connections: 0,
  };
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return state;
}

export function page(waiting: number, running: number): string {
  return [
    "# TYPE vllm:num_requests_waiting gauge",
    `vllm:num_requests_waiting{engine="0",model_name="m"} ${waiting}.0`,
    `vllm:num_requests_running{engine="0",model_name="m"} ${running}.0`,
    'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25',
    'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="1000"} 1.0',
    "",
  ].join("\n");
}
