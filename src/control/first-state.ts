// What the first reading of the objects may replace. An agent remembers nothing of the one before it, so it has no last
// good state for a document that is broken when it starts. The proxy has: what an earlier agent put in force. As long
// as something is broken, the objects that can be read are only a part, and a part never takes the place of that.
// What is awaited holds back everything even when nothing is in force.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { PATH_REPORT } from "../wire/names.ts";
import { controlClient } from "./control-client.ts";
import type { ConfigObject } from "./kinds/object.ts";
import type { Log } from "./log.ts";
import { decodeReport } from "./report.ts";
import type { Problem } from "./source/folder.ts";

export type FirstStateOptions = {
  readonly log: Log;
  /** What an earlier agent has put in force, in words; undefined for nothing. Asked at most once. */
  readonly found: () => Promise<string | undefined>;
  readonly apply: (objects: readonly ConfigObject[]) => void;
};

type Reading = { readonly objects: readonly ConfigObject[]; readonly problems: readonly Problem[] };

export class FirstState {
  readonly #options: FirstStateOptions;
  #phase: "undecided" | "holding" | "passing" = "undecided";
  #latest: Reading = { objects: [], problems: [] };
  /** What an earlier agent has put in force, once that was asked for. */
  #found: string | undefined;

  constructor(options: FirstStateOptions) {
    this.#options = options;
  }

  /** Takes a reading of the objects: applies it, or keeps it back until it may be applied. */
  take(objects: readonly ConfigObject[], problems: readonly Problem[]): void {
    this.#latest = { objects, problems };
    if (this.#phase === "holding" && this.#wrong() === undefined) {
      const before = this.#found === undefined ? "" : ", it takes the place of what was in force before the start";
      this.#options.log("info", `everything can be read${before}`);
      this.#phase = "passing";
    }
    if (this.#phase === "passing") this.#options.apply(objects);
  }

  /** To be called once, after the first reading was taken: applies it, or starts to wait for one that is not broken. */
  async decide(): Promise<void> {
    if (this.#first("broken", "awaited") !== undefined) this.#found = await this.#options.found();
    const wrong = this.#wrong();
    if (wrong === undefined) {
      this.#phase = "passing";
      this.#options.apply(this.#latest.objects);
      return;
    }
    this.#phase = "holding";
    if (this.#found === undefined) {
      this.#options.log("error", "nothing is put in force until what is needed can be read", { awaited: wrong });
      return;
    }
    const what = "objects or the configuration are wrong at the start";
    const message = `${what}: what the proxy holds stays in force until all can be read`;
    this.#options.log("error", message, { found: this.#found, wrong });
  }

  /** What has to be mended before anything is applied; undefined when nothing is kept back. */
  notReady(): string | undefined {
    return this.#phase === "holding" ? this.#wrong() : undefined;
  }

  /** What keeps back a reading: what is awaited, and what is broken where that would take something's place. */
  #wrong(): string | undefined {
    return this.#found === undefined ? this.#first("awaited") : this.#first("awaited", "broken");
  }

  /** `file:line: reason` of the first such problem; with the column where one is known. */
  #first(...statuses: readonly Problem["status"][]): string | undefined {
    const problem = this.#latest.problems.find(({ status }) => statuses.includes(status));
    if (problem === undefined) return undefined;
    const { file, line, column, reason } = problem;
    const where = [file, line, column].filter((part) => part !== undefined).join(":");
    return `${where}: ${reason}`;
  }
}

/** What an earlier agent has left in force, in words: in Envoy's files or in the filter. Undefined for nothing. */
export async function stateFound(places: {
  readonly xdsDir: string | undefined;
  readonly socketPath: string;
}): Promise<string | undefined> {
  const clusters = places.xdsDir === undefined ? undefined : join(places.xdsDir, "cds.yaml");
  if (clusters !== undefined && existsSync(clusters)) return clusters;
  const epoch = await epochHeld(places.socketPath);
  return epoch === 0 ? undefined : `a snapshot with epoch ${epoch}`;
}

/** Of the snapshot that the filter holds; 0 for none, also when the proxy does not answer. */
async function epochHeld(socketPath: string): Promise<number> {
  const client = controlClient(socketPath);
  try {
    const answer = await client.request({ method: "GET", path: PATH_REPORT });
    const decoded = decodeReport(Buffer.from(await answer.body.arrayBuffer()));
    return answer.statusCode === 200 && decoded.ok ? decoded.value.topologyEpoch : 0;
  } catch {
    // A proxy that has not started yet holds nothing.
    return 0;
  } finally {
    await client.destroy();
  }
}
