// The files that were read for a document. As with folders of objects, the system's notice makes things fast and a poll
// makes them sure: a mounted ConfigMap's files are links whose target changes, and editors rename.

import { DirNotice } from "../dir-notice.ts";
import { stampOf } from "../file-stamp.ts";

const POLL_MS = 250;
/** A changed file is read when it has stayed the same this long: writers that do not rename write in pieces. */
const SETTLE_MS = 30;
/** A file that vanished or became empty is believed after this: editors move the old file away first. */
const GONE_MS = 150;
/** A file that never settles is read all the same. */
const UNSETTLED_MS = 500;

export type WatchedFilesOptions = {
  /** Where the system's notice is asked for; files elsewhere are found changed by the poll. */
  readonly dir: string | undefined;
  /** Called when one of the files has changed since it was noted. */
  readonly onChange: () => void;
};

export class WatchedFiles {
  readonly #options: WatchedFilesOptions;
  readonly #poll: NodeJS.Timeout;
  readonly #notice: DirNotice | undefined;
  #soon: NodeJS.Timeout | undefined;
  /** As the files were when they were noted. */
  #stamps = new Map<string, string>();
  /** A newer state that has to settle first, since when it is seen, and since when the files are changing at all. */
  #pending: { readonly stamp: string; readonly sinceMs: number; readonly changingSinceMs: number } | undefined;

  constructor(options: WatchedFilesOptions) {
    const { dir } = options;
    this.#options = options;
    this.#notice = dir === undefined ? undefined : new DirNotice(dir, () => this.#lookSoon(5));
    this.#notice?.ensure();
    this.#poll = setInterval(() => {
      this.#notice?.ensure();
      this.#look();
    }, POLL_MS);
  }

  /** Watches, in place of all others, the files that `read` notes. Each is to be noted before it is read. */
  during<T>(read: (note: (path: string) => void) => T): T {
    const stamps = new Map<string, string>();
    this.#stamps = stamps;
    return read((path) => stamps.set(path, stampOf(path)));
  }

  stop(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#soon);
    this.#notice?.stop();
  }

  #lookSoon(delayMs: number): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#look();
    }, delayMs);
  }

  #look(): void {
    const now = [...this.#stamps.keys()].map(stampOf);
    const stamp = now.join("\n");
    if (stamp === [...this.#stamps.values()].join("\n")) {
      this.#pending = undefined;
      return;
    }
    const nowMs = performance.now();
    if (this.#pending?.stamp !== stamp)
      this.#pending = { stamp, sinceMs: nowMs, changingSinceMs: this.#pending?.changingSinceMs ?? nowMs };
    const settleMs = now.some((each) => each === "" || each.startsWith("0 ")) ? GONE_MS : SETTLE_MS;
    const { sinceMs, changingSinceMs } = this.#pending;
    if (nowMs - sinceMs < settleMs && nowMs - changingSinceMs < UNSETTLED_MS) {
      this.#lookSoon(SETTLE_MS + 5);
      return;
    }
    this.#pending = undefined;
    this.#options.onChange();
  }
}
