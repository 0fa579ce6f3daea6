// One kube-apiserver: it can be ended and started again, on the same port and with the same objects.

import { readFileSync } from "node:fs";
import type { Child } from "../../../src/envoy/child.ts";
import { eventually } from "../../e2e/support/eventually.ts";
import { Admin } from "./admin.ts";
import { type ApiServerOptions, caFile, startKubeApiServer } from "./processes.ts";

interface Place {
  /** Of keys and certificates. */
  readonly dir: string;
  readonly port: number;
  readonly etcdPort: number;
}

const START_LIMIT_MS = 30_000;

export class ApiServer {
  readonly #place: Place;
  readonly #options: ApiServerOptions;
  readonly #onLine: (line: string) => void;
  #child: Child | undefined;
  #admin: Admin | undefined;

  constructor(place: Place, options: ApiServerOptions, onLine: (line: string) => void) {
    this.#place = place;
    this.#options = options;
    this.#onLine = onLine;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#place.port}`;
  }

  get caFile(): string {
    return caFile(this.#place.dir)!;
  }

  get admin(): Admin {
    if (this.#admin === undefined) throw new Error("the API server has not been started");
    return this.#admin;
  }

  /** Resolves when it is ready. `args` count for this run only. */
  async start(args: readonly string[] = []): Promise<void> {
    const options = { ...this.#options, args: [...(this.#options.args ?? []), ...args] };
    const child = startKubeApiServer(this.#place.dir, this.#place, options, this.#onLine);
    this.#child = child;
    await eventually(() => child.hasEnded() || this.#isReady(), Boolean, START_LIMIT_MS);
    if (child.hasEnded()) throw new Error(`kube-apiserver did not start (${await child.ended})`);
  }

  /** By SIGKILL it is gone at once; by SIGTERM it ends watches in order first. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await this.#admin?.close();
    this.#admin = undefined;
    await child?.stop(signal);
  }

  async #isReady(): Promise<boolean> {
    if (caFile(this.#place.dir) === undefined) return false;
    try {
      this.#admin ??= new Admin(this.url, readFileSync(this.caFile, "utf8"));
      await this.#admin.call("GET", "/readyz");
      // Made by the server itself, after it is ready.
      await this.#admin.call("GET", "/api/v1/namespaces/default");
      return true;
    } catch {
      return false;
    }
  }
}
