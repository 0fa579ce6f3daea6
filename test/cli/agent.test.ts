// `pointsman agent` as a process.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ENTRY_PATH } from "../../src/cli/paths.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "agent-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

test("goes on when nobody reads its log any more", async () => {
  const objects = mkdtempSync(join(dir, "objects-"));
  const socket = join(dir, "nobody.sock");
  const args = [ENTRY_PATH, "agent", "--objects", objects, "--socket", socket, "--agent", "127.0.0.1:0"];
  // The channel is how it tells its address, as `up` hears it.
  const agent = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
  const ended = new Promise((resolve) => agent.once("exit", (code, signal) => resolve(signal ?? code)));
  const { port } = await new Promise<{ port: number }>((resolve) =>
    agent.once("message", (message) => resolve((message as { agent: { port: number } }).agent)),
  );
  agent.stderr?.destroy();
  // Each broken document is a line in the log.
  for (const wrong of [1, 2, 3]) {
    writeFileSync(join(objects, `${wrong}.yaml`), "kind: [");
    await vi.waitFor(async () => expect(await wrongDocuments(port)).toBe(wrong), { timeout: 5_000 });
  }
  agent.kill("SIGTERM");
  expect(await ended).toBe(0);
});

async function wrongDocuments(port: number): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^pointsman_agent_documents_wrong (\d+)$/m.exec(page)?.[1]);
}
