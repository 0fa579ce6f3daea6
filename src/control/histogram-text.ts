// A histogram whose counts come from the workers, as Prometheus text: prom-client has none that can be set.

export type HistogramText = {
  readonly name: string;
  /** As they stand between braces. */
  readonly labels: string;
  /** In the unit that is shown. */
  readonly bounds: readonly number[];
  /** Of each bound its own, and one for what is above all. */
  readonly counts: readonly number[];
  readonly sum: number;
};

/** Its lines, without the head of the family. */
export function histogramLines({ name, labels, bounds, counts, sum }: HistogramText): string[] {
  const total = counts.reduce((all, count) => all + count, 0);
  let below = 0;
  const buckets = bounds.map((bound, n) => {
    below += counts[n] ?? 0;
    return `${name}_bucket{${labels},le="${bound}"} ${below}`;
  });
  return [
    ...buckets,
    `${name}_bucket{${labels},le="+Inf"} ${total}`,
    `${name}_sum{${labels}} ${sum}`,
    `${name}_count{${labels}} ${total}`,
  ];
}
