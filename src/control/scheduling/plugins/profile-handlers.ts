// Profile handlers: which profile a request gets.

import { HANDLER_DATA_PARALLEL, HANDLER_HEADER, HANDLER_SINGLE } from "../../../wire/program.ts";
import type { Value } from "../document.ts";
import { suggest } from "../suggest.ts";
import { headerName } from "./headers.ts";
import type { Handler, PluginType } from "./plugin.ts";

const NO_CHOICE: Handler = {
  handler: HANDLER_SINGLE,
  handlerHeader: undefined,
  defaultProfile: undefined,
  primaryPort: 0,
};

/** What a document without a handler has. */
export const singleHandler =
  (at: Value) =>
  (profiles: readonly string[]): Handler => {
    expectOne(at, profiles);
    return NO_CHOICE;
  };

function expectOne(at: Value, profiles: readonly string[]): void {
  if (profiles.length > 1)
    at.error(
      `expected one scheduling profile for this profile handler, found ${profiles.length}: ${profiles.join(", ")}`,
    );
}

const single: PluginType = {
  parameters: [],
  read: (_parameters, _surroundings, at) => ({ role: "profile handler", make: singleHandler(at) }),
};

const HEADER = "epp-profile";
const PROFILE = "decode";

/** Without one, as in the reference, requests that do not name a profile are answered 400. */
function tellNoDefault(written: string | undefined, profiles: readonly string[], at: Value): void {
  if (!written) {
    at.warn(`no defaultProfile is given, and ${PROFILE} is no scheduling profile: requests must name one`);
    return;
  }
  const near = suggest(written, profiles);
  const hint = near === undefined ? `expected one of ${profiles.join(", ")}` : `did you mean ${near}?`;
  at.error(`${written} is no scheduling profile, ${hint}`);
}

const header: PluginType = {
  parameters: ["headerName", "defaultProfile"],
  read: (parameters, _surroundings, at) => {
    const named = parameters.get("headerName");
    const handlerHeader = named === undefined ? HEADER : headerName(named, HEADER);
    const defaultValue = parameters.get("defaultProfile");
    const written = defaultValue?.text()?.trim();
    const profile = written || PROFILE;
    const make = (profiles: readonly string[]): Handler => {
      const found = profiles.indexOf(profile);
      if (found < 0 && profiles.length > 1) tellNoDefault(written, profiles, defaultValue ?? at);
      const defaultProfile = found < 0 ? undefined : found;
      return { ...NO_CHOICE, handler: HANDLER_HEADER, handlerHeader, defaultProfile };
    };
    return { role: "profile handler", make };
  },
};

const PRIMARY_PORT = 8000;

const dataParallel: PluginType = {
  parameters: ["primaryPort"],
  read: (parameters, _surroundings, at) => {
    const portValue = parameters.get("primaryPort");
    const port = portValue?.number({ whole: true, min: 0, max: 65_535 });
    // Nothing can be sent to port 0, which the reference takes as it is.
    if (port === 0) portValue?.warn(`0 is no port, ${PRIMARY_PORT} counts`);
    const primaryPort = port || PRIMARY_PORT;
    const make = (profiles: readonly string[]): Handler => {
      expectOne(at, profiles);
      return { ...NO_CHOICE, handler: HANDLER_DATA_PARALLEL, primaryPort };
    };
    return { role: "profile handler", make };
  },
};

export const PROFILE_HANDLERS: Readonly<Record<string, PluginType>> = {
  "single-profile-handler": single,
  "header-profile-handler": header,
  "data-parallel-profile-handler": dataParallel,
};
