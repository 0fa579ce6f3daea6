// endpoint-attribute-scorer: (a − min) / (max − min) clamped to 0 … 1, or 1 − that; without the value 0.
//
// min and max: the fixed range, or those of the candidates that have the value; these all equal → 1.

import { FIXED_RANGE, LOWER_IS_BETTER } from "../../../src/wire/program";
import { Step } from "../../state/program";
import { attribute } from "../attribute";
import * as candidates from "../candidates";

let lowest: f64 = 0;
let highest: f64 = 0;

/** step.number: the attribute; p0, p1: the fixed range. */
export function score(step: Step): void {
  lowest = step.p0;
  highest = step.p1;
  const isFixed = (<u32>step.flags & FIXED_RANGE) != 0;
  if (!isFixed) findRange(step.number);
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const value = attribute(candidates.row(n), step.number);
    candidates.setRaw(n, isNaN(value) ? 0 : scoreOf(value, isFixed, (<u32>step.flags & LOWER_IS_BETTER) != 0));
  }
}

function findRange(number: u32): void {
  lowest = Infinity;
  highest = -Infinity;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const value = attribute(candidates.row(n), number);
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
}

function scoreOf(value: f64, isFixed: bool, lowerIsBetter: bool): f64 {
  if (!isFixed && highest == lowest) return 1;
  const place = min<f64>(1, max<f64>(0, (value - lowest) / (highest - lowest)));
  return lowerIsBetter ? 1 - place : place;
}
