// What the agent costs: the real one, as `pointsman up` starts it, with its endpoints idle or busy.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startUp } from "../src/cli/up.ts";
import type { BackendAnswer, BackendQuestion } from "./backend.ts";
import { type Bench, withFolder } from "./bench.ts";
import type { AgentCell } from "./cells.ts";
import { unpin } from "./pin.ts";
import { cpuNs, residentBytes } from "./process.ts";
import { type Endpoint, endpointsAt } from "./sides.ts";
import { type Spread, spread } from "./statistics.ts";
import { startWorker, type Worker } from "./worker.ts";

export type AgentResult = {
  readonly kind: "agent";
  readonly cell: AgentCell;
  /** CPU of the agent's process, in cores, over windows of WATCH_SECONDS. */
  readonly cores: Spread;
  /** Scrapes per second and endpoint: 20 is the shortest interval, 1 the idle one. */
  readonly scrapesPerS: Spread;
  readonly residentBytes: number;
  /** CPU of the Envoy beside it, in cores: what an idle filter and the pushes cost the proxy. */
  readonly envoyCores: Spread;
};

const OPEN_LIMIT_MS = 30_000;
/** Longer than the agent takes to back off to its slowest, or to notice that endpoints are busy. */
const SETTLE_MS = 8_000;
const WATCH_SECONDS = 3;
const WINDOWS = 5;

export async function measureAgent(bench: Bench, cell: AgentCell): Promise<AgentResult> {
  unpin([process.pid, bench.load.pid]);
  const backend = startWorker<BackendQuestion, BackendAnswer>("backend.ts");
  try {
    const serve = {
      kind: "serve",
      reply: "events",
      metricsPage: { atWork: cell.streams > 0, bytes: cell.metricsBytes },
    } as const;
    const { port } = await backend.ask(serve, 5_000);
    return await withFolder(async (objectsDir) => {
      writeObjects(objectsDir, endpointsAt(port, cell.endpoints));
      const up = await startUp({
        objectsDir,
        envoyPath: bench.envoyPath,
        filterPath: bench.filterPath,
        concurrency: 1,
        logLevel: "warning",
      });
      try {
        if (cell.streams > 0) {
          const question = { kind: "openStreams", port: up.listen.port, count: cell.streams } as const;
          await bench.load.ask(question, OPEN_LIMIT_MS);
        }
        await sleep(SETTLE_MS);
        const result = await watchAgent(cell, backend, { agent: up.agentPid(), envoy: up.envoyPid() });
        bench.say(`${cell.name.padEnd(16)} ${result.cores.median.toFixed(3)} of a core`);
        return result;
      } finally {
        await bench.load.ask({ kind: "closeStreams" }, OPEN_LIMIT_MS);
        await up.stop();
      }
    });
  } finally {
    await backend.stop();
  }
}

/** One pool and a ready pod for each endpoint. */
function writeObjects(dir: string, endpoints: readonly Endpoint[]): void {
  const labels = { app: "bench" };
  const objects: object[] = [
    {
      apiVersion: "inference.networking.k8s.io/v1",
      kind: "InferencePool",
      metadata: { name: "pool", namespace: "bench" },
      spec: {
        selector: { matchLabels: labels },
        targetPorts: [{ number: endpoints[0]?.port }],
        endpointPickerRef: { name: "pointsman", port: { number: 9002 }, failureMode: "FailClose" },
      },
    },
    ...endpoints.map(({ host }, i) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: `server-${i}`, namespace: "bench", labels },
      status: { podIP: host, conditions: [{ type: "Ready", status: "True" }] },
    })),
  ];
  writeFileSync(join(dir, "objects.yaml"), objects.map((object) => `---\n${JSON.stringify(object)}\n`).join(""));
}

async function watchAgent(
  cell: AgentCell,
  backend: Worker<BackendQuestion, BackendAnswer>,
  pids: { readonly agent: number; readonly envoy: number },
): Promise<AgentResult> {
  const [cores, envoyCores, scrapes]: [number[], number[], number[]] = [[], [], []];
  const read = async () => ({
    scrapes: (await backend.ask({ kind: "count" }, 5_000)).gets,
    agentNs: cpuNs(pids.agent),
    envoyNs: cpuNs(pids.envoy),
    ms: performance.now(),
  });
  let last = await read();
  for (let i = 0; i < WINDOWS; i++) {
    await sleep(WATCH_SECONDS * 1000);
    const now = await read();
    const seconds = (now.ms - last.ms) / 1000;
    cores.push((now.agentNs - last.agentNs) / 1e9 / seconds);
    envoyCores.push((now.envoyNs - last.envoyNs) / 1e9 / seconds);
    scrapes.push((now.scrapes - last.scrapes) / seconds / cell.endpoints);
    last = now;
  }
  return {
    kind: "agent",
    cell,
    cores: spread(cores),
    envoyCores: spread(envoyCores),
    scrapesPerS: spread(scrapes),
    residentBytes: residentBytes(pids.agent),
  };
}
