// The flags for metrics behind TLS or a token, as `agent` and `up` take them.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseFlags, UsageError } from "../../src/cli/flags.ts";
import { scrapeAccess, scrapeArguments, scrapeFlags } from "../../src/cli/scrape-flags.ts";
import { run } from "./command-line.ts";

const CA = join(import.meta.dirname, "../control/tls/authority.pem");

let dir: string;
let token: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "pointsman-cli-"));
  token = join(dir, "token");
  writeFileSync(token, "secret\n");
});
afterAll(() => rmSync(dir, { recursive: true }));

function accessOf(args: readonly string[]) {
  const parsed = parseFlags({ name: "try", summary: "", flags: scrapeFlags }, args);
  if (parsed === "help") throw new Error("help");
  return scrapeAccess("try", parsed.flags);
}

describe("flags for metrics", () => {
  test("without any: http and /metrics", () => {
    expect(accessOf([])).toEqual({ scheme: "http" });
  });

  test("what is left out is for a configuration to say, if there is one", () => {
    const config = { "metrics-scheme": undefined, "metrics-path": undefined, "metrics-ca": CA, config: "c.yaml" };
    const given = { ...config, "metrics-insecure-skip-verify": undefined, "metrics-token-file": undefined };
    expect(scrapeAccess("try", given)).toEqual({ caFile: CA });
  });

  test("what up hands to its agent is what was given", () => {
    const verified = ["--metrics-scheme=https", "--metrics-path=/m?a=b", `--metrics-ca=${CA}`];
    const unverified = ["--metrics-scheme", "https", "--metrics-insecure-skip-verify", "--metrics-token-file", token];
    expect(accessOf(verified)).toEqual({ scheme: "https", path: "/m?a=b", caFile: CA });
    expect(accessOf(unverified)).toEqual({
      scheme: "https",
      insecureSkipVerify: true,
      tokenFile: token,
    });
    for (const args of [[], verified, unverified])
      expect(accessOf(scrapeArguments(accessOf(args)))).toEqual(accessOf(args));
  });

  test.each([
    [["--metrics-scheme", "ftp"], "--metrics-scheme ftp: expected one of http, https"],
    [["--metrics-path", "metrics"], "--metrics-path metrics: expected a path that begins with a slash"],
    [["--metrics-path", "/a b"], "--metrics-path /a b: expected a path that begins with a slash"],
    [["--metrics-ca", "/nowhere"], "--metrics-ca /nowhere: expected a PEM file with at least one certificate"],
    [["--metrics-ca", import.meta.filename], `--metrics-ca ${import.meta.filename}: expected a PEM file`],
    [["--metrics-token-file", CA], `--metrics-token-file ${CA}: expected a file with one token in it`],
    [["--metrics-ca", CA], "--metrics-ca: expected with --metrics-scheme https only"],
    [["--metrics-insecure-skip-verify"], "--metrics-insecure-skip-verify: expected with --metrics-scheme https only"],
    [
      ["--metrics-scheme", "https", "--metrics-ca", CA, "--metrics-insecure-skip-verify"],
      `--metrics-ca ${CA}: expected without --metrics-insecure-skip-verify`,
    ],
  ])("%j", (args, message) => {
    expect(() => accessOf(args)).toThrow(UsageError);
    expect(() => accessOf(args)).toThrow(`pointsman try: ${message}`);
  });

  test.each(["agent", "up"])("pointsman %s lists them, and refuses wrong ones with 2 and one line", async (command) => {
    const help = await run(command, "--help");
    for (const name of Object.keys(scrapeFlags)) expect(help.stdout).toContain(`\n  --${name} `);
    const wrong = await run(command, "--objects", dir, "--socket", join(dir, "s"), "--metrics-ca", CA);
    expect(wrong).toMatchObject({
      status: 2,
      stdout: "",
      stderr: `pointsman ${command}: --metrics-ca: expected with --metrics-scheme https only\n`,
    });
  });
});
