// The ways to the servers that are compared: Envoy by itself in two ways, and with the filter.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startUp } from "../../src/cli/up.ts";
import { poolYaml } from "../../src/demo/objects.ts";
import { type Policy, startPlainEnvoy } from "../../src/demo/plain-envoy.ts";
import type { Address } from "../../src/envoy/address.ts";

export const SIDES = ["round robin", "least request", "pointsman"] as const;
export type SideName = (typeof SIDES)[number];

export type SideOptions = {
  readonly servers: readonly Address[];
  /** An existing folder for this side's files. */
  readonly dir: string;
  /** Of Envoy. */
  readonly workers: number;
  /** An EndpointPickerConfig; undefined: the default profile. */
  readonly configPath: string | undefined;
};

export type Side = {
  readonly listen: Address;
  stop(): Promise<void>;
};

/** The first scrapes are in by then. */
const SCRAPED_MS = 1_500;

export function startSide(name: SideName, options: SideOptions): Promise<Side> {
  if (name === "pointsman") return startPointsman(options);
  const policy: Policy = name === "round robin" ? "ROUND_ROBIN" : "LEAST_REQUEST";
  const { servers, dir, workers } = options;
  return startPlainEnvoy({ servers, policy, dir, workers });
}

async function startPointsman({ servers, dir, workers, configPath }: SideOptions): Promise<Side> {
  const objectsDir = join(dir, "objects");
  mkdirSync(objectsDir);
  writeFileSync(join(objectsDir, "pool.yaml"), poolYaml(servers));
  const config = configPath === undefined ? {} : { configPath };
  const { listen, stop } = await startUp({ objectsDir, concurrency: workers, logLevel: "warning", ...config });
  await sleep(SCRAPED_MS);
  return { listen, stop };
}
