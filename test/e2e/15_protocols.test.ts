// Other ways to speak: WebSocket through the gateway, HTTP/2 to the servers, IPv6 pods.

import { once } from "node:events";
import { request } from "node:http";
import { networkInterfaces } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { formatAddress } from "../../src/envoy/address.ts";
import { type Sim, startSim } from "../../src/sim/server.ts";
import { HEADER_DESTINATION, HEADER_SERVED, STAT_PICKS } from "../../src/wire/names.ts";
import { Backend, type Exchange, echo, type Received } from "./support/backend.ts";
import { chat, chatOfBytes, sha256 } from "./support/bodies.ts";
import { expectOpenAiError } from "./support/errors.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";

const CHAT = "/v1/chat/completions";

let servers: readonly { stop(): Promise<void> }[] = [];
let gateway: Gateway;

afterEach(async () => {
  await gateway?.stop();
  for (const server of servers) await server.stop();
});

async function startBackends(count: number, options: Parameters<typeof Backend.start>[1]): Promise<readonly Backend[]> {
  const backends = await onOnePort(count, (listen) => Backend.start(listen, options));
  servers = backends;
  return backends;
}

describe("WebSocket", () => {
  test("an upgrade passes to a picked server, bytes go both ways, it counts as in flight", async () => {
    // Not the WebSocket framing, which is nothing to the gateway: bytes after the upgrade.
    const names: string[] = [];
    const backends = await startBackends(2, {
      onUpgrade: (upgrade, socket) => {
        names.push(String(upgrade.headers[HEADER_DESTINATION]));
        socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello");
        socket.on("data", (piece) => socket.write(piece.toString().toUpperCase()));
      },
    });
    gateway = await startGateway({ servers: backends });
    await gateway.measured();
    const { host, port } = gateway.up.listen;
    const headers = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
    const outgoing = request({ host, port, path: "/v1/realtime", headers, agent: false }).end();
    const [response, socket, head] = await once(outgoing, "upgrade");
    expect(response.statusCode).toBe(101);
    expect(backends.map(({ name }) => name)).toContain(response.headers[HEADER_SERVED]);
    let text = head.toString();
    socket.on("data", (piece: Buffer) => {
      text += piece.toString();
    });
    socket.write("are you there");
    await eventually(
      () => text,
      (found) => found === "helloARE YOU THERE",
    );
    expect(names).toEqual([expect.stringContaining(response.headers[HEADER_SERVED])]);
    await eventually(
      () => gateway.inFlight(),
      (count) => count === 1,
    );
    socket.destroy();
    await eventually(
      () => gateway.inFlight(),
      (count) => count === 0,
    );
  });
});

describe("HTTP/2 to the servers, by the pool's appProtocol", () => {
  test.each(["h1", "h2"] as const)("bodies arrive whole from a client that speaks %s", async (protocol) => {
    const versions = new Set<string>();
    const handler = (exchange: Exchange) => {
      versions.add(exchange.request.httpVersion);
      return echo(exchange);
    };
    const backends = await startBackends(3, { http2: true, handler });
    gateway = await startGateway({ servers: backends, pool: { appProtocol: "kubernetes.io/h2c" } });
    const client = gateway.client(protocol);
    for (const bytes of [1_024, 65_536, 5_242_880]) {
      for (const framing of ["length", "chunked"] as const) {
        const body = chatOfBytes(bytes);
        const answer = await client.call({ path: CHAT, body, framing });
        const received = answer.json() as Received;
        expect(received).toMatchObject({ bytes, sha256: sha256(body) });
        expect(answer.headers[HEADER_SERVED]).toBe(received.by);
      }
    }
    const { by } = (await client.call({ path: "/v1/models" })).json() as Received;
    expect(backends.map(({ name }) => name)).toContain(by);
    expect([...versions]).toEqual(["2.0"]);
  });

  test("a simulated server streams to the end", async () => {
    const sims = await onOnePort(2, (listen) => startSim({ listen, http2: true, decodeTokensPerS: 1_000 }));
    servers = sims;
    gateway = await startGateway({ servers: sims, pool: { appProtocol: "kubernetes.io/h2c" } });
    const answer = await gateway.client("h2").call({
      path: CHAT,
      body: chat({ model: "sim", stream: true, max_tokens: 20 }),
    });
    expect(answer.status).toBe(200);
    expect(answer.body.toString().endsWith("data: [DONE]\n\n")).toBe(true);
    expect(sims.map((sim: Sim) => formatAddress(sim.address))).toContain(answer.headers[HEADER_SERVED]);
  });
});

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));

describe.skipIf(!hasIpv6)("IPv6", () => {
  test("a pod is picked, steered to and named by its bracketed address", async () => {
    const backend = await Backend.start({ host: "::1", port: 0 });
    servers = [backend];
    gateway = await startGateway({ servers: [backend] });
    const answer = await gateway.client().call({ path: CHAT, body: chat() });
    const { headers } = answer.json() as Received;
    expect(headers[HEADER_DESTINATION]).toEqual([backend.name]);
    expect(answer.headers[HEADER_SERVED]).toBe(backend.name);
    expect(backend.name).toMatch(/^\[::1\]:\d+$/);
  });
});

describe("a pool of one", () => {
  test("its only server fails: one 503, no other try", async () => {
    const [backend] = await startBackends(1, {
      handler: async ({ read, cut }) => {
        await read();
        cut();
      },
    });
    gateway = await startGateway({ servers: [backend!] });
    expectOpenAiError(await gateway.client().call({ path: CHAT, body: chat() }), 503, "upstream_failed");
    expect(backend!.requests).toBe(1);
    await gateway.counted(STAT_PICKS, { outcome: "no_endpoints" }, 0);
  });

  test("the name of the server that served can be kept from clients", async () => {
    const [backend] = await startBackends(1, {});
    gateway = await startGateway({ servers: [backend!], filter: { servedHeader: false } });
    const answer = await gateway.client().call({ path: CHAT, body: chat() });
    expect(answer.status).toBe(200);
    expect(answer.headers).not.toHaveProperty(HEADER_SERVED);
  });
});
