// The system's notice that something in a folder has changed. It only makes things faster: it can fail at any time, so
// whoever asks for it polls as well.

import { type FSWatcher, watch } from "node:fs";

export class DirNotice {
  readonly #dir: string;
  readonly #onNotice: () => void;
  #watcher: FSWatcher | undefined;

  /** Asks for nothing yet. */
  constructor(dir: string, onNotice: () => void) {
    this.#dir = dir;
    this.#onNotice = onNotice;
  }

  /** Asks for notice, also again after it was lost; to be called at each poll. */
  ensure(): void {
    if (this.#watcher) return;
    try {
      const watcher = watch(this.#dir, this.#onNotice);
      watcher.on("error", () => {
        watcher.close();
        this.#watcher = undefined;
      });
      this.#watcher = watcher;
    } catch {
      this.#watcher = undefined;
    }
  }

  stop(): void {
    this.#watcher?.close();
  }
}
