// Whether a file is still what it was.

import { statSync } from "node:fs";

/**
 * Differs when the file was written or replaced, also by a link that leads elsewhere. Begins with the size in bytes. Of
 * one out of reach: "".
 */
export function stampOf(path: string): string {
  try {
    const found = statSync(path, { bigint: true });
    return `${found.size} ${found.mtimeNs} ${found.ctimeNs} ${found.ino} ${found.dev}`;
  } catch {
    return "";
  }
}
