// A custom metric of an endpoint, as filters and scorers of attributes read it.

import { KNOWN_ATTRIBUTE, M_ATTRIBUTES } from "../../src/wire/snapshot";
import * as snapshot from "../state/snapshot";

/** Attribute `number` of a row's endpoint; NaN when its endpoint never reported it. */
export function attribute(row: u32, number: u32): f64 {
  const measured = snapshot.metricsRow(row);
  if ((changetype<snapshot.Metrics>(measured).known & (KNOWN_ATTRIBUTE << number)) == 0) return NaN;
  return <f64>load<f32>(measured + (number << 2), M_ATTRIBUTES);
}
