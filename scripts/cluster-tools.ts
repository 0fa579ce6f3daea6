// Builds what `make test-cluster` runs: etcd and kube-apiserver from their Go modules, and the CRDs out of the
// modules that publish them. All of it lies in one folder of the per-user cache, named by what it is made from.
// Safe when several run at once: everything happens in a folder of its own, the last step is a rename.
// Without Go it says so in a sentence and ends with status 1; what follows from that is for scripts/test-cluster.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { cacheDir } from "../src/envoy/locate.ts";

const MODULE = resolve(import.meta.dirname, "../test/cluster/tools");
const GO_MOD = readFileSync(join(MODULE, "go.mod"), "utf8");
const GO_SUM = readFileSync(join(MODULE, "go.sum"), "utf8");

const ETCD = "go.etcd.io/etcd/server/v3";
const KUBERNETES = "k8s.io/kubernetes";
const PROGRAMS = [
  { name: "etcd", from: ETCD, module: ETCD, minutes: 1 },
  { name: "kube-apiserver", from: `${KUBERNETES}/cmd/kube-apiserver`, module: KUBERNETES, minutes: 5 },
] as const;

const CRD_MODULE = "sigs.k8s.io/gateway-api-inference-extension";
const GROUP_LLM_D = "llm-d.ai";
const GROUP_OLDER = "inference.networking.x-k8s.io";
/** The last release that has each kind, with the checksum that Go computes of the module. */
const CRDS = [
  {
    version: "v1.6.0",
    sum: "h1:cjtwMJYcTnLXBYE5ffR1/hHhn7U1aIFfe2RITYmOXVA=",
    names: ["inference.networking.k8s.io_inferencepools"],
  },
  {
    version: "v1.3.1",
    sum: "h1:Tpjo2frgcdUUeqPWcIWter2a7GCHBrNyYBkK1Em1u+8=",
    names: ["inferencepools", "inferenceobjectives", "inferencemodelrewrites"].map((name) => `${GROUP_OLDER}_${name}`),
  },
  {
    version: "v0.5.1",
    sum: "h1:OMpt4gKlPWkD+h5kHcZZVh4926kix2DSBPI7X5ntuCA=",
    names: [`${GROUP_OLDER}_inferencemodels`],
  },
] as const;
/**
 * Kinds that are in the group llm-d.ai too. The module that publishes those is not on Go's module proxy; they are the
 * older group's but for the group's name, and the `format: int32` of a priority, which the server does not enforce.
 */
const ALSO_LLM_D = ["inferenceobjectives", "inferencemodelrewrites"];

const key = createHash("sha256");
for (const part of [GO_MOD, GO_SUM, JSON.stringify([PROGRAMS, CRDS, ALSO_LLM_D])]) key.update(part).update("\0");
const NAME = `cluster-tools-${process.platform}-${process.arch}-${key.digest("hex").slice(0, 12)}`;

if (import.meta.main) {
  const problem = buildClusterTools();
  if (problem !== undefined) {
    console.error(`No API server to test against: ${problem}`);
    process.exit(1);
  }
}

export interface ClusterTools {
  readonly etcd: string;
  readonly kubeApiServer: string;
  /** Folder of the CRDs, a YAML document in each file. */
  readonly crds: string;
}

/** Where the tools lie; undefined when `make cluster-tools` has not built them. */
export function locateClusterTools(): ClusterTools | undefined {
  const dir = join(cacheDir(), NAME);
  if (!existsSync(dir)) return undefined;
  return { etcd: join(dir, "etcd"), kubeApiServer: join(dir, "kube-apiserver"), crds: join(dir, "crds") };
}

/** Builds them if they are not there. Answers why it could not. */
function buildClusterTools(): string | undefined {
  const target = join(cacheDir(), NAME);
  if (existsSync(target)) return undefined;
  const problem = goProblem();
  if (problem !== undefined) return problem;
  mkdirSync(cacheDir(), { recursive: true });
  const work = mkdtempSync(join(cacheDir(), "cluster-tools-work-"));
  process.once("exit", () => rmSync(work, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  const failed = PROGRAMS.map((program) => compile(program, work)).find(Boolean) ?? fetchCrds(join(work, "crds"));
  if (failed !== undefined) return failed;
  try {
    renameSync(work, target);
  } catch (error) {
    // Another run was quicker.
    if (!existsSync(target)) throw error;
  }
  return undefined;
}

/** In the module's folder a Go that may fetch a newer Go does so, and a Go that is too old says so. */
function goProblem(): string | undefined {
  const wanted = /^go (\d+\.\d+)/m.exec(GO_MOD)?.[1] ?? "";
  const done = spawnSync("go", ["env", "GOVERSION"], { cwd: MODULE, encoding: "utf8" });
  if (done.error) return `go is not on PATH; it takes Go ${wanted} or newer (https://go.dev/dl)`;
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(done.stdout) ?? [];
  const [wantedMajor, wantedMinor] = wanted.split(".").map(Number);
  const isNewEnough = Number(major) > wantedMajor! || (Number(major) === wantedMajor && Number(minor) >= wantedMinor!);
  if (done.status === 0 && isNewEnough) return undefined;
  const said = (done.stderr || done.stdout).trim().split("\n")[0];
  return `this Go is too old, it takes Go ${wanted} or newer (https://go.dev/dl): ${said}`;
}

function compile({ name, from, module, minutes }: (typeof PROGRAMS)[number], work: string): string | undefined {
  const version = new RegExp(`^\\s${module} v(\\S+)`, "m").exec(GO_MOD)?.[1];
  console.log(`Compiling ${name} ${version} (once, about ${minutes} min on two cores) …`);
  const args = ["build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", join(work, name), from];
  const done = spawnSync("go", args, {
    cwd: MODULE,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, CGO_ENABLED: "0" },
  });
  return done.status === 0 ? undefined : `go could not build ${name} ${version}, see above`;
}

function fetchCrds(dir: string): string | undefined {
  mkdirSync(dir);
  for (const { version, sum, names } of CRDS) {
    // In a folder that is no module: ours does not require these.
    const args = ["mod", "download", "-json", `${CRD_MODULE}@${version}`];
    const done = spawnSync("go", args, { cwd: dir, encoding: "utf8" });
    if (done.status !== 0) return `go could not fetch the CRDs of ${version}: ${done.stdout}${done.stderr}`.trimEnd();
    const module = JSON.parse(done.stdout) as { readonly Dir: string; readonly Sum: string };
    if (module.Sum !== sum) return `the module of the CRDs of ${version} has the checksum ${module.Sum}, not ${sum}`;
    for (const name of names) copyCrd(join(module.Dir, "config/crd/bases", `${name}.yaml`), dir, name);
  }
  return undefined;
}

function copyCrd(from: string, dir: string, name: string): void {
  const text = readFileSync(from, "utf8");
  writeFileSync(join(dir, `${name}.yaml`), text);
  const [, kind = ""] = name.split("_");
  if (!ALSO_LLM_D.includes(kind)) return;
  writeFileSync(join(dir, `${GROUP_LLM_D}_${kind}.yaml`), text.replaceAll(GROUP_OLDER, GROUP_LLM_D));
}
