// Builds build/refcore from rust/refcore by wasm-pack: hashes computed by an implementation that is not
// ours, for test/property/hash.test.ts. What it takes is installed on the first run by cargo, into the
// per-user cache, because npm's wasm-pack downloads its binary from a place that not every machine reaches.
// Without Rust it says why and ends well, except where CI=true: there the check must not be left out.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { cacheDir, isExecutable } from "../src/envoy/locate.ts";

const ROOT = resolve(import.meta.dirname, "..");
const CRATE = join(ROOT, "rust/refcore");
const PACKAGE = join(ROOT, "build/refcore");
const SOURCES = ["Cargo.toml", "Cargo.lock", "src/lib.rs"].map((name) => join(CRATE, name));
const TARGET = "wasm32-unknown-unknown";
const WASM_PACK_VERSION = "0.15.1";
/** The tools run once or twice: what optimizing them would save is less than what it costs. */
const INSTALL_OPTIONS = ["--debug", "--config", "profile.dev.debug=false"];

if (import.meta.main) {
  const problem = buildRefcore();
  if (problem !== undefined) {
    console.error(`Hashes are not checked against Rust's xxhash: ${problem}`);
    process.exit(process.env.CI === "true" ? 1 : 0);
  }
}

/** The CommonJS module of the built crate, or one sentence saying why there is none. */
export function locateRefcore(): { readonly path: string } | { readonly problem: string } {
  if (isBuilt()) return { path: join(PACKAGE, "refcore.js") };
  return { problem: rustProblem() ?? "build/refcore is missing or out of date; `make rust` builds it" };
}

/** Builds the crate if it is out of date. Answers why it could not. */
function buildRefcore(): string | undefined {
  if (isBuilt()) return undefined;
  const started = Date.now();
  const problem = rustProblem() ?? addTarget();
  if (problem !== undefined) return problem;
  const wasmPack = npmWasmPack() ?? installed("wasm-pack", WASM_PACK_VERSION, "wasm-pack");
  const wasmBindgen = installed("wasm-bindgen-cli", wasmBindgenVersion(), "wasm-bindgen");
  if (wasmPack === undefined || wasmBindgen === undefined) return "cargo could not install what builds it, see above";
  const args = ["build", CRATE, "--target", "nodejs", "--mode", "no-install", "--out-dir", PACKAGE, "--no-typescript"];
  mkdirSync(PACKAGE, { recursive: true });
  const done = spawnSync(wasmPack, [...args, "--", "--locked"], {
    encoding: "utf8",
    env: {
      ...process.env,
      PATH: `${dirname(wasmBindgen)}${delimiter}${process.env.PATH}`,
      CARGO_TARGET_DIR: join(ROOT, "build/rust"),
    },
  });
  if (done.status !== 0) return `wasm-pack could not build rust/refcore:\n${done.stdout}${done.stderr}`.trimEnd();
  console.log(`Built build/refcore (${Date.now() - started} ms)`);
  return undefined;
}

function isBuilt(): boolean {
  const built = statSync(join(PACKAGE, "refcore_bg.wasm"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return SOURCES.every((source) => statSync(source).mtimeMs <= built);
}

function rustProblem(): string | undefined {
  return succeeds("cargo", ["--version"]) ? undefined : "cargo is not on PATH (https://rustup.rs installs it)";
}

function addTarget(): string | undefined {
  const library = spawnSync("rustc", ["--print", "target-libdir", "--target", TARGET], { encoding: "utf8" });
  if (library.status === 0 && statSync(library.stdout.trim(), { throwIfNoEntry: false })?.isDirectory())
    return undefined;
  if (!succeeds("rustup", ["--version"])) return `Rust's target ${TARGET} is not installed, nor rustup to add it`;
  console.log(`Adding Rust's target ${TARGET} …`);
  const done = spawnSync("rustup", ["target", "add", TARGET], { stdio: ["ignore", "inherit", "inherit"] });
  return done.status === 0 ? undefined : `rustup could not add the target ${TARGET}`;
}

/** The binary of npm's package, where its installer could download it. */
function npmWasmPack(): string | undefined {
  const binary = join(ROOT, "node_modules/wasm-pack/binary/wasm-pack");
  return isExecutable(binary) ? binary : undefined;
}

/** wasm-bindgen's command line must be of the same version as the crate. */
function wasmBindgenVersion(): string {
  const lock = readFileSync(join(CRATE, "Cargo.lock"), "utf8");
  return /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(lock)?.[1] ?? "";
}

/** A program in the per-user cache, compiled by cargo when it is not there. */
function installed(crate: string, version: string, program: string): string | undefined {
  const root = join(cacheDir(), "rust", `${crate}-${version}`);
  const binary = join(root, "bin", program);
  if (isExecutable(binary)) return binary;
  console.log(`Compiling ${crate} ${version} (once; one to seven minutes) into ${root} …`);
  mkdirSync(root, { recursive: true });
  const args = ["install", `${crate}@${version}`, ...INSTALL_OPTIONS, "--root", root];
  // The versions its authors tried; or else, where a registry's mirror lags behind those, what it has.
  for (const locked of [["--locked"], []]) {
    const done = spawnSync("cargo", [...args, ...locked], { stdio: ["ignore", "inherit", "inherit"] });
    if (done.status === 0 && isExecutable(binary)) return binary;
  }
  return undefined;
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}
