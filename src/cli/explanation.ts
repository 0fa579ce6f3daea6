// An explained pick as text for people: the request, the candidates with what each scorer gave them, what
// filters removed, and who was chosen.

import { table } from "./table.ts";

/** As the filter writes it, assembly/explain/record.ts. null is unknown. */
export type Explanation = {
  readonly pool: string;
  readonly profile: string;
  readonly model: string;
  readonly tokens: number;
  readonly draw: number;
  readonly candidates: readonly Candidate[];
  readonly steps: readonly (FilterStep | ScorerStep)[];
  readonly picker: string;
  readonly picked: readonly { readonly endpoint: string; readonly total: number }[];
};

type Candidate = {
  readonly endpoint: string;
  readonly pod: string;
  readonly waiting: number | null;
  readonly running: number | null;
  readonly kvUsage: number | null;
  readonly stale: boolean;
  readonly inFlight: number;
  readonly matchedBlocks: number;
  readonly blocks: number;
};

type FilterStep = { readonly filter: string; readonly removed: readonly string[] };

type ScorerStep = {
  readonly scorer: string;
  readonly weight: number;
  readonly scores: readonly { readonly endpoint: string; readonly raw: number; readonly weighted: number }[];
};

export function printed(told: Explanation): string {
  const filters = told.steps.filter((step) => "filter" in step);
  const scorers = told.steps.filter((step) => "scorer" in step);
  const parts = [
    headLine(told),
    candidateTable(told.candidates),
    ...filters.map(filterLine),
    ...(scorers.length === 0 ? [] : [scoreTable(scorers)]),
    pickedLine(told),
  ];
  return parts.join("\n");
}

function headLine({ pool, profile, model, tokens, draw }: Explanation): string {
  return `pool ${pool}, profile ${profile}, model ${model || "-"}, ${tokens} tokens, draw ${draw}\n`;
}

function candidateTable(candidates: readonly Candidate[]): string {
  return table(
    ["CANDIDATE", "POD", "WAITING", "RUNNING", "KV", "IN-FLIGHT", "CACHED", "BLOCKS", "METRICS"],
    candidates.map((candidate) => [
      candidate.endpoint,
      candidate.pod,
      ...[candidate.waiting, candidate.running, candidate.kvUsage].map((value) => rounded(value)),
      ...[candidate.inFlight, candidate.matchedBlocks, candidate.blocks].map(String),
      candidate.stale ? "stale" : "fresh",
    ]),
  );
}

function filterLine({ filter, removed }: FilterStep): string {
  return `${filter} removed ${removed.length === 0 ? "nobody" : removed.join(", ")}\n`;
}

/** A column per scorer, "raw → weighted". */
function scoreTable(scorers: readonly ScorerStep[]): string {
  const endpoints = scorers[0]!.scores.map((score) => score.endpoint);
  return table(
    ["SCORES", ...scorers.map(({ scorer, weight }) => `${scorer} × ${weight}`), "TOTAL"],
    endpoints.map((endpoint, row) => {
      const scores = scorers.map((scorer) => scorer.scores[row]!);
      const total = scores.reduce((sum, score) => sum + score.weighted, 0);
      const cells = scores.map((score) => `${rounded(score.raw)} → ${rounded(score.weighted)}`);
      return [endpoint, ...cells, rounded(total)];
    }),
  );
}

function pickedLine({ picker, picked }: Explanation): string {
  if (picked.length === 0) return `${picker} had nobody to pick from: the answer is 429\n`;
  const list = picked.map(({ endpoint, total }) => `${endpoint} (${rounded(total)})`);
  return `${picker} picked ${list.join(", then ")}\n`;
}

function rounded(value: number | null): string {
  return value === null ? "-" : String(Math.round(value * 1_000) / 1_000);
}
