// Asks the proxy what its workers counted by labels: when somebody reads the metrics, and every second, so that
// what a worker counted is not lost with it.

import { PATH_SERIES } from "../wire/names.ts";
import { controlClient } from "./control-client.ts";
import { decodeSeries, type SeriesBlock } from "./series.ts";

/** A worker tells what it counted every 250 ms. */
const FRESH_MS = 250;
const INTERVAL_MS = 1_000;

export class SeriesReader {
  readonly #client;
  readonly #slots: () => readonly number[];
  readonly #onRead: (blocks: readonly SeriesBlock[]) => void;
  readonly #timer: NodeJS.Timeout;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  /** `slots`: of the workers that are alive. `onRead` is given what all of them counted. */
  constructor(socketPath: string, slots: () => readonly number[], onRead: (blocks: readonly SeriesBlock[]) => void) {
    this.#client = controlClient(socketPath);
    this.#slots = slots;
    this.#onRead = onRead;
    this.#timer = setInterval(() => void this.refresh(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** Reads anew unless that was done just now. Resolves also when the proxy does not answer. */
  refresh(): Promise<void> {
    if (performance.now() - this.#readAtMs < FRESH_MS) return this.#reading ?? Promise.resolve();
    this.#readAtMs = performance.now();
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#client.destroy();
    await this.#reading;
  }

  async #read(): Promise<void> {
    const blocks: SeriesBlock[] = [];
    try {
      for (const slot of this.#slots()) {
        const answer = await this.#client.request({ method: "GET", path: `${PATH_SERIES}${slot}` });
        const decoded = decodeSeries(Buffer.from(await answer.body.arrayBuffer()));
        // 404: that worker has counted nothing yet. A filter of another version has another layout.
        if (answer.statusCode === 200 && decoded.ok) blocks.push(decoded.value);
      }
    } catch {
      // The proxy is away, which the pusher says. What was counted stays; nothing runs there.
      blocks.length = 0;
    }
    this.#onRead(blocks);
  }
}
