// A file as where the text of the EndpointPickerConfig comes from.

import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Log } from "../log.ts";
import { ConfigDocument, type ConfigText, type Reading, readText } from "./config-document.ts";

const FILE_BYTES_MAX = 1_048_576;

export type ConfigFileOptions = {
  readonly path: string;
  readonly log: Log;
  /** Called when the file, or one that it names, has been read again. */
  readonly onChange: () => void;
};

/** The document of a file as it is now. */
export function readConfig(path: string): Reading {
  return readText(fileText(path), () => {});
}

/** Reads the file once and goes on watching it. */
export function openConfigFile({ path, log, onChange }: ConfigFileOptions): ConfigDocument {
  const text = (note: (path: string) => void): ConfigText => {
    note(path);
    return fileText(path);
  };
  const document = new ConfigDocument({ log, text, dir: dirname(path), onChange });
  document.read();
  return document;
}

function fileText(path: string): ConfigText {
  const unread = (message: string): ConfigText => ({ place: path, line: 1, column: 1, message });
  try {
    const bytes = readFileSync(path);
    if (bytes.length > FILE_BYTES_MAX)
      return unread(`file has ${bytes.length} bytes, expected at most ${FILE_BYTES_MAX}`);
    return { place: path, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch (error) {
    return unread(`file cannot be read, expected UTF-8 text: ${(error as Error).message}`);
  }
}
