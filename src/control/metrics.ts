// The agent's own Prometheus metrics, and the page that they are on with those of others.

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { endpointPage } from "./endpoint-page.ts";
import { type FlowSource, registerFlow, waitedPage } from "./flow-metrics.ts";
import { FlowTotals } from "./flow-totals.ts";
import { registerPools } from "./pool-metrics.ts";
import type { PushState } from "./push.ts";
import type { Report } from "./report.ts";
import { registerScheduler } from "./scheduler-metrics.ts";
import type { Flow } from "./scheduling/flow.ts";
import type { SeriesBlock } from "./series.ts";
import { seriesPage } from "./series-page.ts";
import { SeriesTotals } from "./series-totals.ts";
import type { PoolView } from "./snapshot.ts";
import { type Counted, WorkerTotals } from "./worker-totals.ts";

/** What is looked up only when somebody reads the metrics. */
export type MetricsSource = {
  readonly view: () => readonly PoolView[];
  readonly push: () => PushState;
  readonly documents: () => { readonly wrong: number; readonly total: number };
  /** How requests are admitted at present. */
  readonly flow: () => Flow;
};

/** What the workers counted. The names are the reference's where it has them. */
const WORKER_COUNTERS: readonly (readonly [name: string, help: string, counted: Counted, scale: number])[] = [
  ["prefix_indexer_blocks", "Blocks of the prompts that were picked for", "blocks", 1],
  ["prefix_indexer_hit_blocks", "… of which the endpoint picked was believed to hold so many", "cachedBlocks", 1],
  ["prompts_truncated", "Prompts of which only a part was read", "truncated", 1],
  ["worker_hashes_told", "Hashes of blocks that workers told each other", "told", 1],
  ["worker_hashes_learned", "Hashes of blocks that workers learned from each other", "learned", 1],
  ["worker_hashes_lost", "Hashes of blocks that were lost on the way", "unlearned", 1],
  ["worker_messages", "Messages that workers took from each other", "messages", 1],
  ["worker_message_seconds", "Their time on the way, added up", "deliveryMs", 1e-3],
];

/** What one worker knows at present: each has an index of its own, of the same things. */
const WORKER_GAUGES: readonly (readonly [name: string, help: string, value: (report: Report) => number])[] = [
  [
    "prefix_indexer_size",
    "Pairs of a block and an endpoint that hold it, in the largest index of a worker",
    (report) => Math.max(0, ...report.workers.map((worker) => worker.indexPairs)),
  ],
  [
    "prefix_indexer_bytes",
    "Memory of the largest index of a worker",
    (report) => Math.max(0, ...report.workers.map((worker) => worker.indexBytes)),
  ],
  [
    "worker_message_slowest_seconds",
    "The longest time that a message between two workers was on its way",
    (report) => Math.max(0, ...report.workers.map((worker) => worker.slowestMs)) / 1000,
  ],
];

export class AgentMetrics {
  readonly registry = new Registry();
  readonly #scrapeSeconds: Histogram;
  readonly #scraped: { inc(): void };
  readonly #scrapeFailed: { inc(): void };
  readonly #valueErrors: Counter;
  readonly #pushes: Counter;
  readonly #refused: Counter;
  readonly #totals = new WorkerTotals();
  readonly #series = new SeriesTotals();
  readonly #flow = new FlowTotals();
  readonly #source: MetricsSource;
  readonly #flowSource: FlowSource;
  /** The last report; undefined while the proxy does not answer. */
  #report: Report | undefined;

  /** Made once for a page: many of its lines are of the same thousands of endpoints. */
  #view: readonly PoolView[] | undefined;
  readonly #pools = (): readonly PoolView[] => {
    this.#view ??= this.#source.view();
    return this.#view;
  };

  constructor(source: MetricsSource) {
    this.#source = source;
    const registers = [this.registry];
    const scrapes = new Counter({
      name: "pointsman_agent_scrapes_total",
      help: "Scrapes of model servers",
      labelNames: ["result"],
      registers,
    });
    this.#scraped = scrapes.labels("ok");
    this.#scrapeFailed = scrapes.labels("error");
    this.#scrapeSeconds = new Histogram({
      name: "pointsman_agent_scrape_seconds",
      help: "Time from request to page read",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
      registers,
    });
    this.#valueErrors = new Counter({
      name: "pointsman_agent_metric_errors_total",
      help: "Values on scraped pages that could not be used",
      registers,
    });
    this.#pushes = new Counter({
      name: "pointsman_agent_pushes_total",
      help: "Blobs that the proxy took",
      labelNames: ["blob"],
      registers,
    });
    this.#refused = new Counter({
      name: "pointsman_agent_pushes_refused_total",
      help: "Blobs that the proxy refused, by its reason",
      labelNames: ["blob", "code"],
      registers,
    });
    registerState(this.registry, source);
    registerPools(this.registry, this.#pools);
    const report = (): Report | undefined => this.#report;
    registerWorkers(this.registry, report, this.#totals);
    this.#flowSource = {
      totals: this.#flow,
      pools: this.#pools,
      flow: source.flow,
      fairnessIds: () => this.#series.rows().map(({ labels }) => labels.fairnessId),
    };
    registerFlow(this.registry, this.#flowSource);
    registerScheduler(this.registry, this.#series);
  }

  /** What the workers know; undefined when the proxy is lost. */
  reported(report: Report | undefined): void {
    this.#report = report;
    if (report === undefined) return;
    this.#totals.add(report);
    this.#flow.add(report);
  }

  /** Slots of the workers that are alive. */
  readonly slots = (): readonly number[] => this.#report?.workers.map((worker) => worker.slot) ?? [];

  /** What the workers that are alive counted by labels. */
  counted(blocks: readonly SeriesBlock[]): void {
    this.#series.add(blocks);
  }

  /** All of it, as Prometheus text. */
  async page(): Promise<string> {
    this.#view = undefined;
    const endpoints = endpointPage(this.#pools(), this.#report);
    const counted = `${endpoints}${waitedPage(this.#flowSource)}${seriesPage(this.#series.rows())}`;
    const text = `${await this.registry.metrics()}\n${counted}`;
    this.#view = undefined;
    return text;
  }

  scraped(ok: boolean, durationMs: number, valueErrors: number): void {
    (ok ? this.#scraped : this.#scrapeFailed).inc();
    this.#scrapeSeconds.observe(durationMs / 1000);
    if (valueErrors > 0) this.#valueErrors.inc(valueErrors);
  }

  /** `refusal` is the proxy's code, undefined when it took the blob. */
  pushed(blob: "topology" | "metrics", refusal: string | undefined): void {
    if (refusal === undefined) this.#pushes.labels(blob).inc();
    else this.#refused.labels(blob, refusal).inc();
  }
}

function registerState(registry: Registry, source: MetricsSource): void {
  const registers = [registry];
  new Gauge({
    name: "pointsman_agent_epoch",
    help: "Topology epoch: sent last, applied by all workers",
    labelNames: ["state"],
    registers,
    collect() {
      const { sentEpoch, appliedEpoch } = source.push();
      this.labels("sent").set(sentEpoch);
      this.labels("applied").set(appliedEpoch);
    },
  });
  new Gauge({
    name: "pointsman_agent_ready",
    help: "1 while the proxy holds a snapshot of this agent",
    registers,
    collect() {
      this.set(source.push().notReady === undefined ? 1 : 0);
    },
  });
  new Gauge({
    name: "pointsman_agent_documents_wrong",
    help: "Documents and files with an error at present",
    registers,
    collect() {
      this.set(source.documents().wrong);
    },
  });
  new Counter({
    name: "pointsman_agent_document_errors_total",
    help: "Errors found in documents and files",
    registers,
    collect() {
      this.reset();
      this.inc(source.documents().total);
    },
  });
}

function registerWorkers(registry: Registry, report: () => Report | undefined, totals: WorkerTotals): void {
  const registers = [registry];
  for (const [name, help, counted, scale] of WORKER_COUNTERS) {
    new Counter({
      name: `pointsman_${name}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(totals.of(counted) * scale);
      },
    });
  }
  for (const [name, help, value] of WORKER_GAUGES) {
    new Gauge({
      name: `pointsman_${name}`,
      help,
      registers,
      collect() {
        const last = report();
        this.set(last === undefined ? 0 : value(last));
      },
    });
  }
}
