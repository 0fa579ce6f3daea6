// Questions to a live Envoy over its control socket; see docs/protocol.md.

import { type OutgoingHttpHeaders, type RequestOptions, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Decoded } from "../control/decode.ts";
import { decodeReport, type Report } from "../control/report.ts";
import { PATH_DRAIN, PATH_REPORT } from "../wire/names.ts";

const TIMEOUT_MS = 5_000;

/** What the workers know. Rejects when nothing answers or the answer is no report. */
export async function fetchReport(socketPath: string): Promise<Report> {
  const report = await fetchDecoded(socketPath, PATH_REPORT, decodeReport);
  if (report === undefined) throw new Error(`${socketPath}: GET ${PATH_REPORT} answered 404: no Pointsman behind it`);
  return report;
}

/** A GET and its decoded answer; undefined for a 404. Rejects with a sentence in all other cases. */
export async function fetchDecoded<T>(
  socketPath: string,
  path: string,
  decode: (bytes: Buffer) => Decoded<T>,
): Promise<T | undefined> {
  const { status, body } = await get(socketPath, path);
  if (status === 404) return undefined;
  if (status !== 200) throw new Error(`${socketPath}: GET ${path} answered ${status}: ${body.toString().trim()}`);
  const decoded = decode(body);
  if (!decoded.ok) throw new Error(`${socketPath}: GET ${path}: ${decoded.error.message}`);
  return decoded.value;
}

export type Answer = { readonly status: number; readonly body: Buffer };

/** A POST. Rejects when nothing answers. */
export function post(socketPath: string, path: string, headers: OutgoingHttpHeaders, body: Buffer): Promise<Answer> {
  return call({ socketPath, path, method: "POST", headers: { ...headers, "content-length": body.length } }, body);
}

const DRAIN_TIMEOUT_MS = 2_000;
const DRAIN_POLL_MS = 20;

/**
 * Has every request that waits for a place answered, and none wait any more: the proxy is about to end. Answers how
 * many still wait when DRAIN_TIMEOUT_MS have passed. Rejects when nothing answers.
 */
export async function drain(socketPath: string): Promise<number> {
  const { status, body } = await call({ socketPath, path: PATH_DRAIN, method: "PUT" });
  if (status !== 200) throw new Error(`${socketPath}: PUT ${PATH_DRAIN} answered ${status}: ${body.toString().trim()}`);
  const deadline = performance.now() + DRAIN_TIMEOUT_MS;
  for (;;) {
    const waiting = waitingIn(await fetchReport(socketPath));
    if (waiting === 0 || performance.now() > deadline) return waiting;
    await sleep(DRAIN_POLL_MS);
  }
}

/** Requests that wait for a place. */
export function waitingIn({ workers }: Report): number {
  return workers.flatMap(({ bands }) => bands).reduce((sum, { waiting }) => sum + waiting, 0);
}

function get(socketPath: string, path: string): Promise<Answer> {
  return call({ socketPath, path });
}

function call(options: RequestOptions, body?: Buffer): Promise<Answer> {
  const { socketPath } = options;
  return new Promise((resolve, reject) => {
    const call = request({ ...options, agent: false, timeout: TIMEOUT_MS }, async (response) => {
      try {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(await response.toArray()) });
      } catch (error) {
        reject(error);
      }
    });
    call.on("timeout", () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)));
    call.on("error", (error) => reject(new Error(`${socketPath}: ${error.message}`)));
    call.end(body);
  });
}
