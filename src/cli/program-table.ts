// A program as a table: a line for each filter, scorer and picker.

import { describeProgram, type Parameters, type StepView } from "../control/scheduling/describe.ts";
import type { FlowView } from "../control/scheduling/describe-flow.ts";
import type { Program } from "../control/scheduling/program.ts";
import { table } from "./table.ts";

export function programTable(program: Program): string {
  const { profileHandler, profiles, settings, flowControl } = describeProgram(program);
  const rows = profiles.flatMap(({ name, steps, picker }) => [...steps, picker].map((step) => [name, ...cells(step)]));
  const handler = [profileHandler.type, words(profileHandler.parameters)].filter((part) => part !== "").join(" ");
  return [
    `${handler}; ${words(settings)}\n`,
    table(["PROFILE", "PLUGIN", "TYPE", "WEIGHT", "PARAMETERS"], rows),
    flowTable(flowControl),
  ].join("\n");
}

/** Without flow control there are no bands, only what says when requests of priorities below 0 are refused. */
function flowTable({ isOn, saturationDetector, settings, bands }: FlowView): string {
  const detector = `saturation by ${saturationDetector.type} ${words(saturationDetector.parameters)}`;
  if (!isOn) return `flow control off; ${detector}\n`;
  const rows = bands.map((band) => Object.values(band).map(String));
  const head = ["PRIORITY", "REQUESTS", "BYTES", "TTL SECONDS", "FAIRNESS", "ORDERING"];
  return [`flow control on; ${detector}; ${words(settings)}\n`, table(head, rows)].join("\n");
}

function cells({ name, type, weight, parameters }: StepView): readonly string[] {
  return [name, type === name ? "" : type, weight === null ? "-" : String(weight), words(parameters)];
}

function words(parameters: Parameters): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join(",") : value}`)
    .join(" ");
}
