// A running Envoy: started from a bootstrap object, asked for its real ports.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { WORKERS_MAX } from "../wire/limits.ts";
import { type Address, parseAddress } from "./address.ts";
import { type Child, startChild } from "./child.ts";

export interface EnvoyOptions {
  readonly envoyPath: string;
  /** The bootstrap; a listener named "main" must be in it. */
  readonly config: object;
  /** Folder for bootstrap.yaml and what Envoy says about itself. */
  readonly runDir: string;
  /** Worker threads; when it is not given one per core, as far as workers can share what they know. */
  readonly concurrency?: number;
  /** trace, debug, info, warning, error, critical or off. */
  readonly logLevel: string;
  /** Ends the wait for an Envoy that starts. */
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
}

export interface Envoy {
  readonly child: Child;
  /** Where it really listens, which differs from what was asked for when that was port 0. */
  readonly listen: Address;
  readonly admin: Address;
}

/** Envoy compiles the module and waits for its clusters and routes: seconds on a busy machine. */
const START_TIMEOUT_MS = 30_000;
const POLL_MS = 10;

/** Starts Envoy and resolves when it is LIVE. Rejects, with its last words, when it ends before. */
export async function startEnvoy(options: EnvoyOptions): Promise<Envoy> {
  const configPath = join(options.runDir, "bootstrap.yaml");
  const adminPath = join(options.runDir, "admin-address");
  writeFileSync(configPath, stringify(options.config, { lineWidth: 0 }));
  rmSync(adminPath, { force: true });
  // biome-ignore format: one option and its value per line
  const args = [
    "--config-path", configPath,
    "--admin-address-path", adminPath,
    "--log-level", options.logLevel,
    "--disable-hot-restart",
    "--concurrency", String(options.concurrency ?? Math.min(availableParallelism(), WORKERS_MAX)),
  ];
  const child = startChild({
    command: options.envoyPath,
    args,
    isGuarded: true,
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
  });
  const { signal } = options;
  try {
    const deadline = performance.now() + START_TIMEOUT_MS;
    const admin = await until(child, deadline, signal, () => parseAddress(readIfThere(adminPath)));
    await until(child, deadline, signal, async () =>
      (await adminGet(admin, "/ready")) === "LIVE\n" ? true : undefined,
    );
    const listen = await until(child, deadline, signal, () => mainListenerAddress(admin));
    return { child, listen, admin };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** The body of a GET on Envoy's admin interface; undefined when it does not answer. */
export function adminGet(admin: Address, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const call = request({ host: admin.host, port: admin.port, path, agent: false, timeout: 2_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve(body)).on("error", () => resolve(undefined));
    });
    call.on("timeout", () => call.destroy()).on("error", () => resolve(undefined));
    call.end();
  });
}

async function mainListenerAddress(admin: Address): Promise<Address | undefined> {
  const listeners = await adminGet(admin, "/listeners");
  // one "name::address:port" per line
  const line = listeners?.split("\n").find((text) => text.startsWith("main::"));
  return line === undefined ? undefined : parseAddress(line.slice("main::".length));
}

/** Asks `probe` until it gives something; rejects when Envoy ends first, time is up, or nobody waits any more. */
async function until<T>(
  child: Child,
  deadline: number,
  signal: AbortSignal | undefined,
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (;;) {
    signal?.throwIfAborted();
    const found = await probe();
    if (found !== undefined) return found;
    if (child.hasEnded()) throw new Error(`Envoy did not start (${await child.ended}): ${lastWords(child)}`);
    if (performance.now() > deadline) {
      throw new Error(`Envoy was not ready within ${START_TIMEOUT_MS / 1000} s: ${lastWords(child)}`);
    }
    await sleep(POLL_MS);
  }
}

/** The line that says why: the last critical or error line, else the last one. */
function lastWords(child: Child): string {
  const lines = child.tail();
  return lines.findLast((line) => /\[(critical|error)\]/.test(line)) ?? lines.at(-1) ?? "it said nothing";
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
