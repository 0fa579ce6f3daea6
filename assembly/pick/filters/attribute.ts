// endpoint-attribute-filter: the value compared with a threshold; without the value as the step says.

import {
  OPERATOR_EQUAL,
  OPERATOR_GREATER,
  OPERATOR_GREATER_OR_EQUAL,
  OPERATOR_LESS,
  OPERATOR_LESS_OR_EQUAL,
  PASS_MISSING,
} from "../../../src/wire/program";
import { Step } from "../../state/program";
import { attribute } from "../attribute";
import * as candidates from "../candidates";

/** step.number: the attribute; p0: the threshold; p1: the operator. */
export function filter(step: Step): void {
  const operator = <u32>step.p1;
  const passesMissing = (<u32>step.flags & PASS_MISSING) != 0;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    const value = attribute(candidates.row(n), step.number);
    candidates.setKept(n, isNaN(value) ? passesMissing : holds(value, operator, step.p0));
  }
}

function holds(value: f64, operator: u32, threshold: f64): bool {
  if (operator == OPERATOR_LESS) return value < threshold;
  if (operator == OPERATOR_LESS_OR_EQUAL) return value <= threshold;
  if (operator == OPERATOR_GREATER) return value > threshold;
  if (operator == OPERATOR_GREATER_OR_EQUAL) return value >= threshold;
  return operator == OPERATOR_EQUAL ? value == threshold : value != threshold;
}
