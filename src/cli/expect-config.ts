// --config of a command that starts others: what is wrong with the document is said before anything is started.

import { told } from "../control/scheduling/config-document.ts";
import { readConfig } from "../control/scheduling/config-file.ts";
import { UsageError } from "./flags.ts";

/** Throws a UsageError with a line for each error, `file:line:column: …`. */
export function expectConfig(command: string, path: string | undefined): void {
  if (path === undefined) return;
  const { errors } = readConfig(path);
  if (errors.length === 0) return;
  throw new UsageError(`pointsman ${command}: --config ${errors.map(told).join("\n")}`);
}
