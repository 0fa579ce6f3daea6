// Few numbers out of many.

export type Spread = { readonly min: number; readonly median: number; readonly max: number };

/** The value below which `share` of the values lie; NaN when there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** How far apart the middle half of the values is. */
export function middleHalf(values: readonly number[]): number {
  return quantile(values, 0.75) - quantile(values, 0.25);
}

export function spread(values: readonly number[]): Spread {
  return { min: quantile(values, 0), median: median(values), max: quantile(values, 1) };
}

/** For records: three decimals are finer than any clock here. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
