// What was decided about requests before they went on, and which build decides, under the reference's names.

import { Counter, Gauge, type Registry } from "prom-client";
import packageJson from "../../package.json" with { type: "json" };
import type { SeriesTotals } from "./series-totals.ts";

const PREFIXES = ["llm_d_epp_", "inference_extension_"];
/** Of the two counts of attempts. */
const STATUSES = ["success", "failure"] as const;

export function registerScheduler(registry: Registry, totals: SeriesTotals): void {
  for (const prefix of PREFIXES) {
    registerInfo(registry, `${prefix}info`);
    registerDecisions(registry, `${prefix}model_rewrite_decisions_total`, totals);
    registerAttempts(registry, `${prefix}scheduler_attempts_total`, totals);
  }
}

function registerInfo(registry: Registry, name: string): void {
  const labelNames = ["commit", "build_ref"] as const;
  const gauge = new Gauge({ name, help: "1; the build's version", labelNames, registers: [registry] });
  // What is installed does not know the commit that it was built from.
  gauge.set({ commit: "unknown", build_ref: `v${packageJson.version}` }, 1);
}

function registerDecisions(registry: Registry, name: string, totals: SeriesTotals): void {
  new Counter({
    name,
    help: "Requests for which a rule of the objects chose the model",
    labelNames: ["model_rewrite_name", "model_name", "target_model"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { rule, model, target, count } of totals.decisions())
        this.inc({ model_rewrite_name: rule, model_name: model, target_model: target }, count);
    },
  });
}

/** The endpoint is not among the labels: each that there is would be one more for every model. */
function registerAttempts(registry: Registry, name: string, totals: SeriesTotals): void {
  new Counter({
    name,
    help: "Attempts to pick an endpoint for a request",
    labelNames: ["status", "target_model_name"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, attempts } of totals.rows())
        for (const [n, status] of STATUSES.entries()) {
          const count = attempts[n] ?? 0;
          if (count > 0) this.inc({ status, target_model_name: labels.target }, count);
        }
    },
  });
}
