// What the steps of a program want to know of a pod's labels, as the wire has it: bits and columns of endpoint rows.

import {
  LEVEL_HOST,
  LEVEL_NONE,
  LEVEL_RACK,
  LEVEL_REGION,
  LEVEL_UNKNOWN,
  LEVEL_ZONE,
  RANGE_BROKEN,
  RANGE_NONE,
} from "../../wire/program.ts";
import { fnv1a } from "../hash.ts";
import type { Column, LabelFilter, PlaceLabels, Requirement, Scheduling } from "./scheduling.ts";

export type Labels = Readonly<Record<string, string>>;

/** Where the gateway is; what is not known is absent. */
export type Place = {
  readonly host?: string;
  readonly rack?: string;
  readonly zone?: string;
  readonly region?: string;
};

/** The levels of a place, nearest first. */
const LEVELS = [
  ["host", LEVEL_HOST],
  ["rack", LEVEL_RACK],
  ["zone", LEVEL_ZONE],
  ["region", LEVEL_REGION],
] as const satisfies readonly (readonly [keyof Place, number])[];

const RANGE = /^\s*(\d+)\s*-\s*(\d+)\s*$/;
const U32_MAX = 0xffff_ffff;

/** `place` is the gateway's; `hostname`, of the pod's spec, stands in for a label of the host. */
export function labelsToWire(
  labels: Labels,
  { labelFilters, columns }: Pick<Scheduling, "labelFilters" | "columns">,
  place: Place,
  hostname?: string,
): { readonly passes: bigint; readonly columns: readonly bigint[] } {
  let passes = 0n;
  labelFilters.forEach((filter, bit) => {
    if (lets(filter, labels)) passes |= 1n << BigInt(bit);
  });
  return { passes, columns: columns.map((column) => columnOf(column, labels, place, hostname)) };
}

function lets({ alternatives }: LabelFilter, labels: Labels): boolean {
  return alternatives.some((requirements) => requirements.every((requirement) => holds(requirement, labels)));
}

function holds({ label, operator, values }: Requirement, labels: Labels): boolean {
  const value = labelValue(labels, label);
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

function labelValue(labels: Labels, label: string): string | undefined {
  return Object.hasOwn(labels, label) ? labels[label] : undefined;
}

function columnOf(column: Column, labels: Labels, place: Place, hostname: string | undefined): bigint {
  if (column.kind === "topology level") return BigInt(levelOf(placeOf(column.labels, labels, hostname), place));
  const value = labelValue(labels, column.label);
  if (column.kind === "label value") return value === undefined ? 0n : fnv1a(value);
  return value === undefined ? BigInt(RANGE_NONE) : rangeOf(value);
}

function rangeOf(text: string): bigint {
  const [, least, most] = RANGE.exec(text) ?? [];
  if (least === undefined || most === undefined || Number(least) > Number(most)) return BigInt(RANGE_BROKEN);
  // The two largest numbers in the place of the least mean something else; no prompt is that long.
  return BigInt(Math.min(Number(least), RANGE_BROKEN - 1)) | (BigInt(Math.min(Number(most), U32_MAX)) << 32n);
}

/** Where a pod is: what its labels do not say is absent. */
export function placeOf(names: PlaceLabels, labels: Labels, hostname: string | undefined): Place {
  const host = labelValue(labels, names.host) || hostname;
  const [rack, zone, region] = [names.rack, names.zone, names.region].map((label) => labelValue(labels, label));
  return { ...(host && { host }), ...(rack && { rack }), ...(zone && { zone }), ...(region && { region }) };
}

function levelOf(pod: Place, gateway: Place): number {
  if (LEVELS.every(([name]) => !gateway[name])) return LEVEL_UNKNOWN;
  const shared = LEVELS.find(([name]) => gateway[name] && gateway[name] === pod[name]);
  return shared === undefined ? LEVEL_NONE : shared[1];
}
