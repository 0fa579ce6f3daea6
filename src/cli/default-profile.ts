// --config: which EndpointPickerConfig documents are accepted. The filter knows the default profile
// only, so a document must say exactly that; anything else is refused by name and place.

import { readFileSync } from "node:fs";
import { type Document, isNode, LineCounter, parseDocument } from "yaml";
import { WEIGHT_KV_USAGE, WEIGHT_QUEUE } from "../wire/policy.ts";
import { UsageError } from "./flags.ts";

const API_VERSIONS = ["llm-d.ai/v1alpha1", "inference.networking.x-k8s.io/v1alpha1"];
/** The scorers of the default profile and their weights. */
const SCORERS: Readonly<Record<string, number>> = {
  "queue-scorer": WEIGHT_QUEUE,
  "kv-cache-utilization-scorer": WEIGHT_KV_USAGE,
};
const PICKER = "max-score-picker";
const HANDLER = "single-profile-handler";
const TYPES = [...Object.keys(SCORERS), PICKER, HANDLER];
/** What a scorer weighs when the document does not say. */
const WEIGHT_DEFAULT = 1;

type Path = readonly (string | number)[];
type Mapping = Readonly<Record<string, unknown>>;

/** Throws a UsageError, "file:line: …", unless the document at `path` is the default profile. */
export function expectDefaultProfile(path: string | undefined): void {
  if (path === undefined) return;
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines, prettyErrors: false });
  const syntax = document.errors[0];
  try {
    if (syntax !== undefined) throw new Misfit([], syntax.message);
    expectProfile(document.toJS());
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    const offset = syntax === undefined ? offsetOf(document, error.path) : syntax.pos[0];
    throw new UsageError(`pointsman: --config ${path}:${lines.linePos(offset).line}: ${error.message}`);
  }
}

/** A place in the document that is not as expected. */
class Misfit extends Error {
  readonly path: Path;

  constructor(path: Path, message: string) {
    super(message);
    this.path = path;
  }
}

function expectProfile(root: unknown): void {
  const config = mapping(root, [], ["apiVersion", "kind", "plugins", "schedulingProfiles"]);
  if (!API_VERSIONS.includes(String(config.apiVersion))) {
    throw new Misfit(["apiVersion"], `apiVersion: expected ${API_VERSIONS.join(" or ")}`);
  }
  if (config.kind !== "EndpointPickerConfig") throw new Misfit(["kind"], "kind: expected EndpointPickerConfig");
  const types = pluginTypes(list(config.plugins, ["plugins"]));
  for (const [index, profile] of list(config.schedulingProfiles, ["schedulingProfiles"]).entries()) {
    const path = ["schedulingProfiles", index];
    if (index > 0) throw new Misfit(path, "schedulingProfiles: expected one profile");
    expectReferences(mapping(profile, path, ["name", "plugins"]).plugins, [...path, "plugins"], types);
  }
}

/** Plugin name, which defaults to its type, to type. All types of the default profile must be there. */
function pluginTypes(plugins: readonly unknown[]): ReadonlyMap<string, string> {
  const types = new Map<string, string>();
  for (const [index, item] of plugins.entries()) {
    const plugin = mapping(item, ["plugins", index], ["name", "type"]);
    const type = String(plugin.type);
    if (!TYPES.includes(type)) {
      throw new Misfit(["plugins", index, "type"], `plugin ${type}: only ${TYPES.join(", ")} are known so far`);
    }
    if ([...types.values()].includes(type)) throw new Misfit(["plugins", index], `plugin ${type}: given twice`);
    types.set(String(plugin.name ?? type), type);
  }
  const missing = TYPES.find((type) => ![...types.values()].includes(type));
  if (missing !== undefined) throw new Misfit(["plugins"], `plugins: ${missing} of the default profile is missing`);
  return types;
}

function expectReferences(value: unknown, path: Path, types: ReadonlyMap<string, string>): void {
  const missing = new Set([...Object.keys(SCORERS), PICKER]);
  for (const [index, item] of list(value, path).entries()) {
    const at = [...path, index];
    const reference = mapping(item, at, ["pluginRef", "weight"]);
    const name = String(reference.pluginRef);
    const type = types.get(name);
    if (type === undefined || !missing.delete(type)) {
      throw new Misfit([...at, "pluginRef"], `pluginRef ${name}: expected one of ${[...missing].join(", ")}`);
    }
    const weight = reference.weight ?? WEIGHT_DEFAULT;
    if (type in SCORERS && weight !== SCORERS[type]) {
      throw new Misfit([...at, "weight"], `weight of ${name}: expected ${SCORERS[type]}, found ${weight}`);
    }
  }
  for (const type of missing) throw new Misfit(path, `plugins: ${type} of the default profile is missing`);
}

function mapping(value: unknown, path: Path, known: readonly string[]): Mapping {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Misfit(path, `${path.at(-1) ?? "document"}: expected a mapping`);
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new Misfit([...path, unknown], `${unknown}: not supported here; expected one of ${known.join(", ")}`);
  }
  return value as Mapping;
}

function list(value: unknown, path: Path): readonly unknown[] {
  if (!Array.isArray(value)) throw new Misfit(path, `${path.at(-1)}: expected a list`);
  return value;
}

/** Where in the text the member at `path` begins, or the nearest one around it that exists. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`pointsman: --config ${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
