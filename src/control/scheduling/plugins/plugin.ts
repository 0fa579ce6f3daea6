// What a plugin of a document is here, and what its reader may ask for.

import type { Engines } from "../../scrape/engines.ts";
import type { Fields, Value } from "../document.ts";
import type { Detector, Usage } from "../flow.ts";
import type { Program, Step } from "../program.ts";
import type { Column, DocumentAccess, LabelFilter, PlaceLabels } from "../scheduling.ts";
import type { Attribute } from "./attributes.ts";

/** What a step is but for its name and weight. */
export type StepBody = Pick<Step, "id"> &
  Partial<Pick<Step, "flags" | "number" | "headers">> & {
    readonly numbers?: readonly number[];
  };

/** Numbers of what steps share, and settings of which there is one. Called when a profile refers to a step. */
export type Shared = {
  labelFilter(filter: LabelFilter): number;
  column(column: Column): number;
  attribute(attribute: Attribute): number;
  sessionHeader(name: string): void;
  sessionTtlMs(ms: number): void;
  coldSize(size: number): void;
};

export type MakeStep = (shared: Shared) => StepBody;

export type Handler = Pick<Program, "handler" | "handlerHeader" | "defaultProfile" | "primaryPort">;

/** The whole document, for the things of which there is one. */
export type DataSettings = {
  readonly prefix?: Program["prefix"];
  readonly output?: Program["output"];
  readonly staleMs?: number;
  readonly engines?: Engines;
  readonly access?: DocumentAccess;
};

/** A plugin of the document, once its parameters have been read. */
export type Plugin =
  | {
      readonly role: "step";
      /** Both for those that filter and score. */
      readonly filter?: MakeStep;
      readonly scorer?: MakeStep;
      /** Of a detector, which counts where it is not referred to as well. */
      readonly staleMs?: number;
      /** Of a detector, where flow control goes by it: of all endpoints, without its headroom. */
      readonly saturation?: Detector;
    }
  | { readonly role: "picker"; readonly picker: number; readonly endpoints: number }
  | { readonly role: "profile handler"; readonly make: (profiles: readonly string[]) => Handler }
  | { readonly role: "parser"; readonly apis: number }
  | ({ readonly role: "data" } & DataSettings)
  /** Headers that name the session, read in the place of a request's attribute. */
  | { readonly role: "session id"; readonly header: string | undefined }
  | { readonly role: "place labels"; readonly labels: PlaceLabels }
  | { readonly role: "fairness policy"; readonly fairness: number }
  | { readonly role: "ordering policy"; readonly ordering: number }
  | { readonly role: "usage-limit policy"; readonly usage: Usage }
  /** Of the reference, not of ours. */
  | { readonly role: "missing"; readonly why: string; readonly isStep: boolean };

/** A plugin that another one names. */
type Neighbour = {
  readonly type: string;
  /** Whether there is such a type; where there is none, that has been said. */
  readonly isKnown: boolean;
  readonly plugin: Plugin | undefined;
};

/** What readers of plugins may ask about the rest of the document. */
export type Surroundings = {
  /** The plugin of this name; undefined when none is listed. Not to be asked by the plugin itself. */
  readonly named: (name: string) => Neighbour | undefined;
  /** Names of all listed plugins. */
  readonly names: () => readonly string[];
  /** The certificates in a file; undefined when it has none. */
  readonly authorities: (path: string) => readonly string[] | undefined;
};

/** A type of plugin, as the menu has it. */
export type PluginType = {
  /** Names of its parameters. Where there are none, what is written is left alone, as in the reference. */
  readonly parameters: readonly string[];
  /** Undefined when the parameters cannot be used, after complaints. `at` is the plugin's type in the document. */
  readonly read: (parameters: Parameters, surroundings: Surroundings, at: Value) => Plugin | undefined;
};

/** The parameters of a plugin; without any in the document there are none. */
export type Parameters = Pick<Fields, "get" | "text" | "require">;
