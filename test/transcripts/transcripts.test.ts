// Every transcript in this folder: the host calls written there are those the filter makes.
// UPDATE_TRANSCRIPTS=1 writes down what it makes now; read the difference before keeping it.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseTranscripts, play, withCalls } from "./transcript.ts";

const update = process.env.UPDATE_TRANSCRIPTS === "1";
const files = readdirSync(import.meta.dirname).filter((name) => /^\d.*\.md$/.test(name));

test("there are transcripts", () => {
  expect(files.length).toBeGreaterThan(0);
});

describe.each(files)("%s", (name) => {
  const path = join(import.meta.dirname, name);
  const transcripts = parseTranscripts(readFileSync(path, "utf8"));

  test("has sections", () => {
    expect(transcripts.length).toBeGreaterThan(0);
  });

  test.each(transcripts.map((transcript) => [transcript.title, transcript] as const))("%s", (title, transcript) => {
    const calls = play(transcript);
    if (update) writeFileSync(path, withCalls(readFileSync(path, "utf8"), title, calls));
    else expect(calls).toBe(transcript.calls);
  });
});
