// A document as Kubernetes mounts it from a ConfigMap: a link to a file in a folder behind another link,
// and a change makes that one lead to a new folder.

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NAME = "config.yaml";
const CURRENT = "..data";

export class ConfigMap {
  readonly dir = mkdtempSync(join(tmpdir(), "pointsman-config-"));
  readonly path = join(this.dir, NAME);
  #versions = 0;

  constructor(text: string) {
    this.replace(text);
    symlinkSync(join(CURRENT, NAME), this.path);
  }

  replace(text: string): void {
    this.#versions += 1;
    const version = `..${this.#versions}`;
    mkdirSync(join(this.dir, version));
    writeFileSync(join(this.dir, version, NAME), text);
    const link = join(this.dir, "..next");
    symlinkSync(version, link);
    renameSync(link, join(this.dir, CURRENT));
    if (this.#versions > 1) rmSync(join(this.dir, `..${this.#versions - 1}`), { recursive: true });
  }

  delete(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
