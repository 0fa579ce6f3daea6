// Global set-up of the projects that run the filter: it is compiled once, before the first test.

import { buildFilter } from "../../scripts/build-filter.ts";

export function setup(): void {
  const problem = buildFilter();
  if (problem !== undefined) throw new Error(problem);
}
