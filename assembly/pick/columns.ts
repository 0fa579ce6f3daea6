// Arithmetic over whole columns of candidates, two values at a time: with 1000 endpoints these loops are
// what a pick costs.

import * as candidates from "./candidates";

/** The largest value of a column, at least `floor`. */
export function most(column: usize, floor: f64): f64 {
  let pair = f64x2.splat(floor);
  const end = column + ((<usize>candidates.count) << 3);
  let p = column;
  for (; p + 16 <= end; p += 16) pair = f64x2.pmax(pair, v128.load(p));
  const found = max<f64>(f64x2.extract_lane(pair, 0), f64x2.extract_lane(pair, 1));
  return p < end && load<f64>(p) > found ? load<f64>(p) : found;
}

/** The least value of a column. */
export function least(column: usize): f64 {
  let pair = f64x2.splat(Infinity);
  const end = column + ((<usize>candidates.count) << 3);
  let p = column;
  for (; p + 16 <= end; p += 16) pair = f64x2.pmin(pair, v128.load(p));
  const found = min<f64>(f64x2.extract_lane(pair, 0), f64x2.extract_lane(pair, 1));
  return p < end && load<f64>(p) < found ? load<f64>(p) : found;
}

/** Scores all candidates by a column: (highest − v) / range. */
export function scoreBelow(column: usize, highest: f64, range: f64): void {
  const highests = f64x2.splat(highest);
  const ranges = f64x2.splat(range);
  // The odd one's neighbour lies in the column's unused part.
  for (let at: usize = 0, end = (<usize>candidates.count) << 3; at < end; at += 16) {
    v128.store(candidates.RAW + at, f64x2.div(f64x2.sub(highests, v128.load(column + at)), ranges));
  }
}

/** Scores all candidates by a column: 1 − v. */
export function scoreInverse(column: usize): void {
  const ones = f64x2.splat(1);
  for (let at: usize = 0, end = (<usize>candidates.count) << 3; at < end; at += 16) {
    v128.store(candidates.RAW + at, f64x2.sub(ones, v128.load(column + at)));
  }
}

/** Scores all candidates by a column: 1 − v / divisor. */
export function scoreRest(column: usize, divisor: f64): void {
  const ones = f64x2.splat(1);
  const divisors = f64x2.splat(divisor);
  for (let at: usize = 0, end = (<usize>candidates.count) << 3; at < end; at += 16) {
    v128.store(candidates.RAW + at, f64x2.sub(ones, f64x2.div(v128.load(column + at), divisors)));
  }
}
