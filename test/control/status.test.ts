// The agent's pages: who gets which, and on which addresses.

import { networkInterfaces } from "node:os";
import { expect, onTestFinished, test } from "vitest";
import { isLoopback } from "../../src/control/loopback.ts";
import { type StatusSource, startStatus } from "../../src/control/status.ts";

async function serving(host: string, source: Partial<StatusSource> = {}) {
  const server = await startStatus(
    { host, port: 0 },
    {
      notReady: () => undefined,
      snapshot: () => ({ pools: [] }),
      metrics: async () => ({ contentType: "text/plain", text: "m 1\n" }),
      ...source,
    },
  );
  onTestFinished(() => server.stop());
  return async (path: string, from = "127.0.0.1") => {
    const answer = await fetch(`http://${from.includes(":") ? `[${from}]` : from}:${server.address.port}${path}`);
    return `${answer.status} ${await answer.text()}`;
  };
}

test.each([
  ["127.0.0.1", true],
  ["127.8.9.1", true],
  ["::1", true],
  ["::ffff:127.0.0.1", true],
  ["::ffff:7f00:1", true],
  ["10.0.0.1", false],
  ["::ffff:10.0.0.1", false],
  ["fe80::1", false],
  ["::", false],
  ["0.0.0.0", false],
  [undefined, false],
])("%s is on loopback: %s", (address, expected) => expect(isLoopback(address)).toBe(expected));

test("on all addresses everybody gets the pages, but the snapshot only those on loopback", async () => {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outside = addresses.find(({ internal, family }) => !internal && family === "IPv4")?.address;
  const get = await serving("::");
  expect(await get("/snapshot")).toBe('200 {"pools":[]}\n');
  if (addresses.some(({ address }) => address === "::1")) expect(await get("/snapshot", "::1")).toMatch(/^200/);
  // A machine without a network has nobody to keep out.
  if (outside === undefined) return;
  expect(await get("/snapshot", outside)).toMatch(/^403 \/snapshot is answered to clients on loopback only: ask 127/);
  expect(await get("/healthz", outside)).toBe("200 ok\n");
  expect(await get("/readyz", outside)).toBe("200 ready\n");
  expect(await get("/metrics", outside)).toBe("200 m 1\n");
});

test("readiness comes with details, in the lines below", async () => {
  let reason: string | undefined = "nothing was read yet";
  const get = await serving("127.0.0.1", { notReady: () => reason, details: () => ["pods: 3 s old", "pools: never"] });
  expect(await get("/readyz")).toBe("503 nothing was read yet\npods: 3 s old\npools: never\n");
  reason = undefined;
  expect(await get("/readyz")).toBe("200 ready\npods: 3 s old\npools: never\n");
});
