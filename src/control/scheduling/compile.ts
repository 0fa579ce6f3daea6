// An EndpointPickerConfig document to what it says: a program for the filter and settings for the agent.

import { HEADER_NAMES_MAX } from "../../wire/limits.ts";
import { NEEDS_PREFIX, NEEDS_TOKENS, PARSERS_DEFAULT } from "../../wire/program.ts";
import { readAuthorities } from "../scrape/credentials.ts";
import { ENGINES_DEFAULT, type Engines } from "../scrape/engines.ts";
import { type Complaint, Document, type Fields, oneOf, type Value } from "./document.ts";
import { headerCountOf } from "./encode-program.ts";
import { readFlowControl } from "./flow-control.ts";
import { type Listed, listPlugins } from "./listed-plugins.ts";
import type { Attribute } from "./plugins/attributes.ts";
import { DEFAULT_POLICIES } from "./plugins/flow-policies.ts";
import { MISSING } from "./plugins/missing.ts";
import { PARSERS } from "./plugins/parsers.ts";
import type { DataSettings, Handler } from "./plugins/plugin.ts";
import { singleHandler } from "./plugins/profile-handlers.ts";
import { unlisted } from "./plugins/references.ts";
import { readProfiles, SharedSettings } from "./profiles.ts";
import { needsOf, OUTPUT_DEFAULT, PREFIX_DEFAULT, PROGRAM_DEFAULT, type Profile, type Program } from "./program.ts";
import type { Scheduling } from "./scheduling.ts";
import { metricsOf, type Plugins, readFeatureGates } from "./sections.ts";
import { suggest } from "./suggest.ts";

const API_VERSIONS = ["llm-d.ai/v1alpha1", "inference.networking.x-k8s.io/v1alpha1"] as const;
const SECTIONS = [
  "apiVersion",
  "kind",
  "featureGates",
  "plugins",
  "schedulingProfiles",
  "dataLayer",
  "flowControl",
  "requestHandler",
  "saturationDetector",
  "parser",
];

/** Complaints are in the order of the document. */
export type Compiled =
  | { readonly ok: true; readonly scheduling: Scheduling; readonly warnings: readonly Complaint[] }
  | { readonly ok: false; readonly errors: readonly Complaint[]; readonly warnings: readonly Complaint[] };

/** Reads a file of authorities that a document names; undefined when it is none. */
export type ReadAuthorities = (path: string) => readonly string[] | undefined;

export function compileConfig(text: string, authorities: ReadAuthorities = readAuthorities): Compiled {
  try {
    return compileDocument(text, authorities);
  } catch (failure) {
    // What nests thousands deep is more than the stack holds.
    const message = `document: expected one that nests less deeply: ${(failure as Error).message}`;
    return { ok: false, errors: [{ line: 1, column: 1, message }], warnings: [] };
  }
}

function compileDocument(text: string, authorities: ReadAuthorities): Compiled {
  const document = new Document(text);
  // What is no YAML is not looked into: its mistakes would be told twice.
  const sections = document.errors.length > 0 ? undefined : document.root().fields(SECTIONS);
  const scheduling = sections && compile(sections, authorities);
  const warnings = inOrder(document.warnings);
  if (document.errors.length > 0 || scheduling === undefined)
    return { ok: false, errors: inOrder(document.errors), warnings };
  return { ok: true, scheduling, warnings };
}

function inOrder(complaints: readonly Complaint[]): readonly Complaint[] {
  return complaints.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** Undefined without the section that the profiles refer to. */
function compile(sections: Fields, authorities: ReadAuthorities): Scheduling | undefined {
  sections.require("apiVersion", oneOf(API_VERSIONS))?.choice(API_VERSIONS);
  sections.require("kind", "EndpointPickerConfig")?.choice(["EndpointPickerConfig"]);
  const section = sections.get("plugins");
  if (section === undefined && sections.get("schedulingProfiles") !== undefined) {
    sections.require("plugins", "a list of plugins");
    return undefined;
  }
  if (section === undefined) sections.at.warn("no plugins are listed: endpoints are picked at random");
  const plugins = section === undefined ? new Map<string, Listed>() : listPlugins(section, authorities);
  const shared = new SharedSettings();
  const profiles = readProfiles(sections.get("schedulingProfiles"), plugins, shared);
  const handler = handlerOf(sections, plugins, profiles);
  const parsers = parsersOf(sections, plugins);
  const settings = settingsOf(sections, plugins);
  const flow = readFlowControl(sections, plugins, readFeatureGates(sections.get("featureGates")));
  const program = programOf({ profiles, ...handler, parsers, flow }, settings, shared);
  if (headerCountOf(program) > HEADER_NAMES_MAX)
    sections.at.error(
      `expected at most ${HEADER_NAMES_MAX} names of headers in all plugins, found ${headerCountOf(program)}`,
    );
  const engines = settings.engines ?? ENGINES_DEFAULT;
  expectMetrics(shared.attributeUses, engines);
  tellUnused(plugins);
  return {
    program,
    labelFilters: shared.labelFilters,
    columns: shared.columns,
    attributes: shared.attributes,
    engines,
    access: settings.access ?? {},
  };
}

/** Prefixes are matched for counts of tokens alone where their producer is listed. */
function programOf(
  own: Pick<Program, "profiles" | "parsers" | "flow"> & Handler,
  { prefix = PREFIX_DEFAULT, output = OUTPUT_DEFAULT, staleMs = PROGRAM_DEFAULT.staleMs }: DataSettings,
  { sessionHeader, sessionTtlMs, coldSize }: SharedSettings,
): Program {
  const unasked = { ...prefix, always: false };
  const program = { ...own, staleMs, sessionHeader, prefix: unasked, output, sessionTtlMs, coldSize };
  const needs = needsOf(program) & (NEEDS_TOKENS | NEEDS_PREFIX);
  return { ...program, prefix: { ...prefix, always: prefix.always && needs === NEEDS_TOKENS } };
}

function handlerOf(sections: Fields, plugins: Plugins, profiles: readonly Profile[]): Handler {
  const handlers = [...plugins.values()].filter(({ plugin }) => plugin?.role === "profile handler");
  for (const { at, name } of handlers.slice(1))
    at.error(`${name}: a second profile handler beside ${handlers[0]!.name}, expected one`);
  const names = profiles.map(({ name }) => name);
  const plugin = handlers[0]?.plugin;
  if (plugin?.role === "profile handler") return plugin.make(names);
  // What is wrong with a handler that cannot be used has been said.
  const isBroken = [...plugins.values()].some(({ like }) => like.endsWith("-profile-handler"));
  return singleHandler(sections.get("schedulingProfiles") ?? sections.at)(isBroken ? [] : names);
}

/** What is named counts, and nothing else; without names the default set. */
function parsersOf(sections: Fields, plugins: Plugins): number {
  const named = sections.get("requestHandler")?.fields(["parsers"])?.get("parsers")?.list() ?? [];
  const legacy = sections.get("parser");
  legacy?.warn("is deprecated, use requestHandler.parsers instead");
  const references = named.length > 0 ? named : legacy === undefined ? [] : [legacy];
  if (references.length === 0) return PARSERS_DEFAULT;
  let mask = 0;
  let passes = false;
  for (const reference of references) {
    const apis = apisOf(reference, plugins);
    if (passes) reference.warn("has no effect after a parser that takes everything");
    else mask |= apis ?? 0;
    passes ||= apis === 0;
  }
  return mask;
}

/** Parsers need not be listed. 0: everything passes. Undefined after complaints. */
function apisOf(item: Value, plugins: Plugins): number | undefined {
  const reference = item.fields(["pluginRef"])?.require("pluginRef", "the name of a parser");
  const name = reference?.text();
  if (reference === undefined || name === undefined) return undefined;
  const listed = plugins.get(name);
  if (listed === undefined) return builtInApis(reference, name, plugins);
  const { type, plugin } = listed;
  if (plugin?.role === "parser") return plugin.apis;
  if (plugin?.role === "missing") reference.error(`${type}: ${plugin.why}`);
  else if (plugin !== undefined) reference.error(`${name} is a ${type}, expected a parser`);
  return undefined;
}

function builtInApis(reference: Value, name: string, plugins: Plugins): number | undefined {
  if (Object.hasOwn(PARSERS, name)) return PARSERS[name]!.apis;
  const missing = Object.hasOwn(MISSING, name) ? MISSING[name] : undefined;
  if (missing) reference.error(`${name}: ${missing.why}`);
  else unlisted(reference, name, [...plugins.keys(), ...Object.keys(PARSERS)]);
  return undefined;
}

/** An attribute that no engine gives is one that no endpoint has. */
function expectMetrics(attributes: readonly Attribute[], { families }: Engines): void {
  const all = Object.values(families).flat();
  const keys = all.flatMap((family) => (family.role === "attribute" ? [family.key] : []));
  for (const { name, at } of new Set(attributes)) {
    if (keys.includes(name)) continue;
    const near = suggest(name, keys);
    const hint = near === undefined ? "no endpoint will have a value" : `did you mean ${near}?`;
    at.warn(`${name} is no attributeKey of an engine's customMetrics, ${hint}`);
  }
}

const POLICIES = ["fairness policy", "ordering policy", "usage-limit policy"];

/** Data and the default policies count under the names of their types too, the others for those who refer to them. */
function tellUnused(plugins: Plugins): void {
  for (const { name, type, at, plugin, use } of plugins.values()) {
    if (plugin === undefined || use.isReferred) continue;
    const isData = ["data", "place labels", "session id"].includes(plugin.role);
    const isPolicy = POLICIES.includes(plugin.role);
    const counts = name === type && (isData || DEFAULT_POLICIES.includes(type));
    if ((isData || isPolicy) && !counts) at.warn(`nothing refers to ${name}, it has no effect`);
  }
}

/** Settings of which there is one; a second that says something else is an error. */
function settingsOf(sections: Fields, plugins: Plugins): DataSettings {
  const { source, extractor } = metricsOf(sections.get("dataLayer"), plugins);
  const data = (listed: Listed | undefined): DataSettings => (listed?.plugin?.role === "data" ? listed.plugin : {});
  const all = [...plugins.values()];
  const one = (type: string): DataSettings => {
    const found = all.filter(({ name, type: other, use }) => other === type && (name === type || use.isReferred));
    for (const { at } of found.slice(1)) at.error(`a second ${type} is not there yet, expected one`);
    return data(found[0]);
  };
  return {
    ...present("prefix", one("approx-prefix-cache-producer").prefix),
    ...present("output", one("inflight-load-producer").output),
    ...present("engines", data(extractor).engines),
    ...present("access", data(source).access),
    ...present("staleMs", staleOf(all)),
  };
}

function present<Name extends string, T>(name: Name, value: T | undefined): { readonly [N in Name]?: T } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [N in Name]?: T };
}

/** Of the detectors that are listed, referred to or not. */
function staleOf(all: readonly Listed[]): number | undefined {
  let staleMs: number | undefined;
  for (const { at, plugin } of all) {
    if (plugin?.role !== "step" || plugin.staleMs === undefined) continue;
    if (staleMs !== undefined && staleMs !== plugin.staleMs)
      at.error(`metricsStalenessThreshold of ${plugin.staleMs} ms differs from ${staleMs} ms of another detector`);
    staleMs ??= plugin.staleMs;
  }
  return staleMs;
}
