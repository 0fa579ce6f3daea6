// Workers with what they share and nothing else (assembly/test/share.ts): a test says what each of them sent
// where, and asks what the others know.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "assemblyscript/asc";
import { HEARTBEAT_MS } from "../../src/wire/limits.ts";
import { KEY_QUEUE } from "../../src/wire/names.ts";
import { type Column, columnsOf } from "../host/column.ts";
import { Process } from "../host/process.ts";
import type { Root } from "../host/root.ts";
import type { Vm } from "../host/vm.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** How long compiling may take while other suites use up the processor. */
export const COMPILE_MS = 60_000;
/** Endpoints 1 … ENDPOINTS are in the topology. */
export const ENDPOINTS = 8;

export class SharingBuild {
  readonly path: string;
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.path = join(folder, "share.wasm");
  }

  /** Compiles the entry as the release is. Rejects with the compiler's report. */
  static async make(): Promise<SharingBuild> {
    const build = new SharingBuild(mkdtempSync(join(tmpdir(), "pointsman-share-")));
    const { error, stderr } = await main(["--target", "release", "--baseDir", ROOT], {
      readFile: (name, baseDir) => (name === "asconfig.json" ? config() : textOf(join(baseDir, name))),
      writeFile: (name, contents) => {
        if (name.endsWith(".wasm")) writeFileSync(build.path, contents);
      },
    });
    if (error === null) return build;
    build.remove();
    throw new Error(stderr.toString());
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function config(): string {
  const own = JSON.parse(readFileSync(join(ROOT, "asconfig.json"), "utf8")) as object;
  return JSON.stringify({ ...own, entries: ["assembly/test/share.ts", "assembly/trap.ts"] });
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

export class SharingWorker {
  readonly vm: Vm;
  root: Root;
  private readonly process: Process;
  private readonly slot: number;

  /** `slot` is the one it is going to take. */
  constructor(process: Process, vm: Vm, slot: number, endpoints = ENDPOINTS) {
    this.process = process;
    this.vm = vm;
    this.slot = slot;
    this.root = vm.root({});
    this.do("topology", 1, endpoints);
  }

  /** Calls an export of assembly/test/share.ts. Throws when the VM has trapped. */
  do(name: string, ...args: readonly number[]): number {
    const result = this.vm.call(name, this.root, ...args);
    if (this.vm.trap !== undefined) throw this.vm.trap;
    return Number(result);
  }

  /** As at a worker's first request: it takes its slot, and its timer starts. */
  begin(): void {
    this.vm.setTickPeriod(this.root.id, HEARTBEAT_MS);
    this.do("hear");
    this.do("tell", this.root.id);
  }

  /** A prompt of so many blocks is sent to an endpoint, as one request. Answers how many hashes were news. */
  send(prompt: number, blocks: number, endpoint: number, coldSize = 0): number {
    this.do("hear");
    const news = this.do("send", prompt, blocks, endpoint, coldSize);
    this.do("tell", this.root.id);
    return news;
  }

  bind(session: number, endpoint: number): void {
    this.do("hear");
    this.do("bind", session, endpoint);
    this.do("tell", this.root.id);
  }

  matched(prompt: number, blocks: number, endpoint: number): number {
    return this.do("matched", prompt, blocks, endpoint);
  }

  /** What it last told of itself. */
  column(): Column {
    return columnsOf(this.process).find(({ slot }) => slot === this.slot)!;
  }

  /** Messages that lie in its queue. */
  waiting(): number | undefined {
    return this.process.queues.waiting(this.queue);
  }

  get queue(): string {
    return `${KEY_QUEUE}${this.slot}`;
  }

  /** Messages it has sent. */
  sent(): number {
    return this.vm.log.countOf("proxy_enqueue_shared_queue");
  }
}

export class Sharing {
  readonly process: Process;
  readonly workers: SharingWorker[] = [];

  /** `count` workers that know of each other. */
  constructor(build: SharingBuild, count: number) {
    this.process = new Process(build.path);
    for (let n = 0; n < count; n++) this.join();
  }

  /** One more worker; all know of it. */
  join(vm = this.process.newVm(), slot = this.workers.length): SharingWorker {
    const worker = new SharingWorker(this.process, vm, slot);
    this.workers.push(worker);
    worker.begin();
    this.process.advanceMs(2);
    for (const each of this.workers) if (each.vm.trap === undefined && !each.vm.frozen) each.do("hear");
    return worker;
  }

  /** Messages on their way arrive; no time passes. */
  deliver(): void {
    this.process.queues.deliver();
  }

  advance(ms: number): void {
    this.process.advanceMs(ms);
  }
}
