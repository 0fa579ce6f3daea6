// --config of a command that starts others: what is wrong with the document is said before anything is started.

import { readConfig, told } from "../control/scheduling/config-file.ts";
import { UsageError } from "./flags.ts";

/** Throws a UsageError with a line for each error, `file:line:column: …`. */
export function expectConfig(command: string, path: string | undefined): void {
  if (path === undefined) return;
  const read = readConfig(path);
  if (read.ok) return;
  throw new UsageError(`pointsman ${command}: --config ${read.errors.map((error) => told(path, error)).join("\n")}`);
}
