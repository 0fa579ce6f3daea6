import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { runDemo } from "../../../src/demo/main.ts";
import { until } from "../calls.ts";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "pt-"));
  vi.stubEnv("TMPDIR", dir);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

function output(): { out: NodeJS.WriteStream; text: () => string } {
  let text = "";
  const write = (chunk: string) => {
    text += chunk;
    return true;
  };
  return { out: { isTTY: false, write } as unknown as NodeJS.WriteStream, text: () => text };
}

/** Command lines that name this test's folder: every process of the demo has a file there. */
function processes(): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const line = readFileSync(join("/proc", pid, "cmdline"), "utf8").replaceAll("\0", " ");
      return line.includes(dir) ? [line] : [];
    } catch {
      return [];
    }
  });
}

function nothingIsLeft(): void {
  expect(processes()).toEqual([]);
  expect(readdirSync(dir)).toEqual([]);
}

const listen = { host: "127.0.0.1", port: 0 };

test("the demo serves both sides through real Envoys, then leaves no process and no file", async () => {
  const { out, text } = output();
  expect(await runDemo({ seconds: 3, signal: new AbortController().signal, out, listen })).toBe(0);
  nothingIsLeft();

  const number = (cell: string) => Number(cell.replace(",", ""));
  for (const name of ["server-1", "server-2", "server-3", "server-4"]) {
    const cells = text()
      .split("\n")
      .find((line) => line.startsWith(name))!
      .split(/ +/);
    // name, speed, then wait, run, KV, in flight, picks, p50, p90 of each side
    expect(cells).toHaveLength(16);
    expect(cells).not.toContain("–");
    for (const picks of [cells[6], cells[13]]) expect(number(picks!)).toBeGreaterThan(0);
  }
  for (const name of ["Pointsman", "round robin"]) {
    const totals = text()
      .split("\n")
      .find((line) => line.startsWith(`${name} `))!;
    const [answered, , gaveUp, failed] = totals.split(/ {2,}/).slice(-4).map(number);
    expect(answered).toBeGreaterThan(10);
    expect([gaveUp, failed]).toEqual([0, 0]);
  }
  expect(text()).toMatch(/Mean time to first token over 3 s: Pointsman \d+ ms.*, round robin \d+ ms.*\.\n$/);
});

test("a signal ends it at any moment", async () => {
  for (const moment of ["Starting", "Try it"]) {
    const { out, text } = output();
    const controller = new AbortController();
    const running = runDemo({ signal: controller.signal, out, listen });
    await until(() => text().includes(moment));
    if (moment === "Try it") expect(processes().length).toBeGreaterThanOrEqual(3);
    controller.abort();
    expect(await running).toBe(0);
    nothingIsLeft();
  }
});

test("a port in use is one sentence, and nothing stays behind", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    const options = { signal: new AbortController().signal, out: output().out, listen: { host: "127.0.0.1", port } };
    await expect(runDemo(options)).rejects.toThrow(`127.0.0.1:${port}: the port is in use`);
  } finally {
    server.close();
  }
  nothingIsLeft();
});
