// The schedulingProfiles section: steps in order, numbers for what they share, one picker each.

import { isDeepStrictEqual } from "node:util";
import { ATTRIBUTES_MAX, COLUMNS_MAX, LABEL_FILTERS_MAX, PROFILES_MAX, STEPS_MAX } from "../../wire/limits.ts";
import { PICKER_MAX_SCORE } from "../../wire/program.ts";
import type { Value } from "./document.ts";
import type { Listed } from "./listed-plugins.ts";
import type { Attribute } from "./plugins/attributes.ts";
import { ENDPOINTS_DEFAULT } from "./plugins/pickers.ts";
import type { MakeStep, Plugin, Shared } from "./plugins/plugin.ts";
import { COLD_SIZE, type Profile, SESSION_TTL_MS, type Step } from "./program.ts";
import type { Column, LabelFilter } from "./scheduling.ts";
import { type Plugins, referredBy } from "./sections.ts";

const NAME_BYTES_MAX = 253;
const WEIGHT_DEFAULT = 1;

/** What the steps of all profiles share. */
export class SharedSettings {
  readonly labelFilters: LabelFilter[] = [];
  readonly columns: Column[] = [];
  readonly attributes: string[] = [];
  /** Where steps that are in force say them. */
  readonly attributeUses: Attribute[] = [];
  #sessionHeader: string | undefined;
  #sessionTtlMs: number | undefined;
  #coldSize: number | undefined;

  get sessionHeader(): string | undefined {
    return this.#sessionHeader;
  }

  get sessionTtlMs(): number {
    return this.#sessionTtlMs ?? SESSION_TTL_MS;
  }

  get coldSize(): number {
    return this.#coldSize ?? COLD_SIZE;
  }

  /** For a step that is referred to at `at`, where complaints go. */
  for(at: Value): Shared {
    const only = <T>(before: T | undefined, next: T, what: string): T => {
      if (before !== undefined && before !== next)
        at.error(`${what} ${next} differs from ${before} of another plugin, expected one`);
      return next;
    };
    return {
      labelFilter: (filter) => numberOf(this.labelFilters, filter, LABEL_FILTERS_MAX, "label filters", at),
      column: (column) => numberOf(this.columns, column, COLUMNS_MAX, "labels that steps go by", at),
      attribute: (attribute) => {
        this.attributeUses.push(attribute);
        return numberOf(this.attributes, attribute.name, ATTRIBUTES_MAX, "custom metrics", at);
      },
      sessionHeader: (name) => {
        this.#sessionHeader = only(this.#sessionHeader, name, "the session header");
      },
      sessionTtlMs: (ms) => {
        this.#sessionTtlMs = only(this.#sessionTtlMs, ms, "the binding time in ms");
      },
      coldSize: (size) => {
        this.#coldSize = only(this.#coldSize, size, "lruSize");
      },
    };
  }
}

/** The place of an equal item, or of this one at the end. */
function numberOf<T>(items: T[], item: T, most: number, what: string, at: Value): number {
  const found = items.findIndex((other) => isDeepStrictEqual(other, item));
  if (found >= 0) return found;
  if (items.length < most) return items.push(item) - 1;
  at.error(`expected at most ${most} ${what} in all profiles`);
  return 0;
}

export function readProfiles(section: Value | undefined, plugins: Plugins, shared: SharedSettings): readonly Profile[] {
  const list = section?.list() ?? [];
  const pickers = [...plugins.values()].filter(({ plugin }) => plugin?.role === "picker");
  const [picker] = pickers;
  if (list.length === 0) return [allOf(plugins, pickers, shared)];
  if (list.length > PROFILES_MAX) section?.error(`expected at most ${PROFILES_MAX} profiles, found ${list.length}`);
  const names = new Set<string>();
  const profiles = list.flatMap((item) => readProfile(item, names, plugins, picker, shared) ?? []);
  const steps = profiles.reduce((count, profile) => count + profile.steps.length, 0);
  if (steps > STEPS_MAX)
    section?.error(`expected at most ${STEPS_MAX} filters and scorers in all profiles, found ${steps}`);
  return profiles;
}

/** Without profiles there is one of everything that is listed. */
function allOf(plugins: Plugins, [picker, ...more]: readonly Listed[], shared: SharedSettings): Profile {
  const steps = new Steps(shared);
  for (const { at } of more) secondPicker(at, picker!);
  for (const listed of plugins.values()) {
    const { plugin, type, at } = listed;
    if (plugin?.role === "step") steps.add(listed, plugin, WEIGHT_DEFAULT, at);
    else if (plugin?.role === "missing" && plugin.isStep) at.error(`${type}: ${plugin.why}`);
  }
  return { name: "default", steps: steps.inOrder(), ...pickerOf(picker) };
}

/** Filters and scorers of a profile, each in the order in which they were added. */
class Steps {
  readonly #shared: SharedSettings;
  readonly #filters: Step[] = [];
  readonly #scorers: Step[] = [];

  constructor(shared: SharedSettings) {
    this.#shared = shared;
  }

  add({ name }: Listed, { filter, scorer }: Extract<Plugin, { role: "step" }>, weight: number, at: Value): void {
    if (filter) this.#filters.push(this.#step(filter, name, 0, at));
    if (scorer) this.#scorers.push(this.#step(scorer, name, weight, at));
  }

  inOrder(): readonly Step[] {
    return [...this.#filters, ...this.#scorers];
  }

  #step(make: MakeStep, name: string, weight: number, at: Value): Step {
    const { id, flags = 0, number = 0, numbers = [], headers = [] } = make(this.#shared.for(at));
    const [p0 = 0, p1 = 0, p2 = 0, p3 = 0] = numbers;
    return { id, name, flags, number, weight, numbers: [p0, p1, p2, p3], headers };
  }
}

function readProfile(
  item: Value,
  names: Set<string>,
  plugins: Plugins,
  otherwise: Listed | undefined,
  shared: SharedSettings,
): Profile | undefined {
  const fields = item.fields(["name", "plugins"]);
  const nameValue = fields?.require("name", "a name for the profile");
  const name = nameValue?.text();
  if (fields === undefined) return undefined;
  if (name === "" || Buffer.byteLength(name ?? "") > NAME_BYTES_MAX)
    nameValue?.expected(`a name of 1 to ${NAME_BYTES_MAX} bytes`);
  if (name !== undefined && names.has(name)) nameValue?.error(`${name} is the name of another profile`);
  names.add(name ?? "");
  const steps = new Steps(shared);
  let picker: Listed | undefined;
  for (const entry of fields.get("plugins")?.list() ?? []) {
    const found = readEntry(entry, steps, plugins);
    if (found === undefined) continue;
    if (picker !== undefined) secondPicker(entry, picker);
    picker ??= found;
  }
  return { name: name ?? "", steps: steps.inOrder(), ...pickerOf(picker ?? otherwise) };
}

function secondPicker(at: Value, { name }: Listed): void {
  at.error(`a second picker beside ${name}, expected one in a profile`);
}

/** Adds what is referred to. Answers it when it is a picker. */
function readEntry(entry: Value, steps: Steps, plugins: Plugins): Listed | undefined {
  const fields = entry.fields(["pluginRef", "weight"]);
  const reference = fields?.require("pluginRef", "the name of a plugin");
  const weightValue = fields?.get("weight");
  const weight = weightValue?.number() ?? WEIGHT_DEFAULT;
  const listed = reference && referredBy(reference, plugins);
  const plugin = listed?.plugin;
  if (reference === undefined || listed === undefined || plugin === undefined) return undefined;
  if (weightValue !== undefined && (plugin.role === "picker" || (plugin.role === "step" && !plugin.scorer)))
    weightValue.error(`${listed.name} is a ${listed.type}, expected no weight for what is no scorer`);
  if (plugin.role === "step") steps.add(listed, plugin, weight, reference);
  else if (plugin.role === "picker") return listed;
  else if (plugin.role === "missing") reference.error(`${listed.type}: ${plugin.why}`);
  else reference.error(`${listed.name} is a ${listed.type}, expected a filter, scorer or picker`);
  return undefined;
}

function pickerOf(listed: Listed | undefined): Pick<Profile, "picker" | "pickerName" | "endpoints"> {
  if (listed?.plugin?.role !== "picker")
    return { picker: PICKER_MAX_SCORE, pickerName: "max-score-picker", endpoints: ENDPOINTS_DEFAULT };
  return { picker: listed.plugin.picker, pickerName: listed.name, endpoints: listed.plugin.endpoints };
}
