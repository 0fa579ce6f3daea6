// What an EndpointPickerConfig says: the program that the filter runs, and what the agent has to find out for it.

import { ENGINES_DEFAULT, type Engines } from "../scrape/engines.ts";
import { PROGRAM_DEFAULT, type Program } from "./program.ts";

/** One condition of a label filter, as Kubernetes selectors have them. */
export type Requirement = {
  readonly label: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
};

/** A pod passes when one of the alternatives holds, which is when all its requirements do. */
export type LabelFilter = { readonly alternatives: readonly (readonly Requirement[])[] };

/** The labels of pods that say where a pod is. */
export type PlaceLabels = {
  readonly host: string;
  readonly rack: string;
  readonly zone: string;
  readonly region: string;
};

/** What a column of the endpoints says of their labels. */
export type Column =
  | { readonly kind: "label value"; readonly label: string }
  | { readonly kind: "context range"; readonly label: string }
  | { readonly kind: "topology level"; readonly labels: PlaceLabels };

/** How metrics pages are asked for, as far as a document says so. */
export type DocumentAccess = {
  readonly scheme?: "http" | "https";
  readonly path?: string;
  readonly insecureSkipVerify?: boolean;
  readonly caFile?: string;
  /** What the file has in it, so that a changed file is a changed setting. */
  readonly authorities?: readonly string[];
};

export type Scheduling = {
  readonly program: Program;
  /** By the number of their bit. */
  readonly labelFilters: readonly LabelFilter[];
  readonly columns: readonly Column[];
  /** Names of custom metrics by their number. */
  readonly attributes: readonly string[];
  readonly engines: Engines;
  readonly access: DocumentAccess;
};

/** Without a document. */
export const SCHEDULING_DEFAULT: Scheduling = {
  program: PROGRAM_DEFAULT,
  labelFilters: [],
  columns: [],
  attributes: [],
  engines: ENGINES_DEFAULT,
  access: {},
};
