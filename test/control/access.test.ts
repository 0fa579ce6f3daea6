// Metrics behind TLS and behind a token.

import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Access, type AccessOptions, accessOf } from "../../src/control/scrape/access.ts";
import { readAuthorities, readToken, TokenFile } from "../../src/control/scrape/credentials.ts";
import { ENGINES_DEFAULT } from "../../src/control/scrape/engines.ts";
import { PageReaders, ScrapeLoop } from "../../src/control/scrape/loop.ts";
import { Pace } from "../../src/control/scrape/pace.ts";
import { fakeServer } from "./fake-server.ts";
import { logLines } from "./log-lines.ts";
import { temporaryDir, until } from "./until.ts";

/** What is here was made by make-certificates, and is good until the year 2126. */
const TLS = join(import.meta.dirname, "tls");
const certificate = {
  cert: readFileSync(join(TLS, "server.pem"), "utf8"),
  key: readFileSync(join(TLS, "server-key.pem"), "utf8"),
};

const readers = new PageReaders(ENGINES_DEFAULT);

/** What the first scrape came to: the number of waiting requests, or why there is none. */
async function firstScrape(address: string, options: Partial<AccessOptions>): Promise<number | string> {
  const found: (number | string)[] = [];
  const access = new Access({ scheme: "https", path: "/metrics", ...options }, () => {});
  const loop = new ScrapeLoop({ address, engine: "vllm" }, { access, readers }, new Pace(50), {
    onReading: (reading) => found.push(reading.waiting ?? "nothing"),
    onFailure: (reason) => found.push(reason),
  });
  onTestFinished(() => loop.stop());
  return until("a scrape", () => found[0]);
}

describe("flags and a document", () => {
  const trusting = { scheme: "https", path: "/d", insecureSkipVerify: true } as const;

  test.each<[flags: Partial<AccessOptions>, document: Partial<AccessOptions>, expected: AccessOptions]>([
    [{}, {}, { scheme: "http", path: "/metrics" }],
    [{}, trusting, trusting],
    [{ path: "/f", tokenFile: undefined }, trusting, { ...trusting, path: "/f" }],
    [{ scheme: "http" }, trusting, { scheme: "http", path: "/d" }],
    [{ caFile: "ca" }, trusting, { scheme: "https", path: "/d", caFile: "ca" }],
    [{ insecureSkipVerify: true }, { scheme: "https", caFile: "ca" }, { ...trusting, path: "/metrics" }],
    // A document that cannot be read says nothing.
    [{ caFile: "ca" }, {}, { scheme: "https", path: "/metrics", caFile: "ca" }],
    [{ insecureSkipVerify: true }, { scheme: "http", path: "/d" }, trusting],
    [
      { insecureSkipVerify: true },
      { scheme: "https", caFile: "ca", authorities: ["a"] },
      { ...trusting, path: "/metrics" },
    ],
    [
      { tokenFile: "t" },
      { scheme: "https", caFile: "ca" },
      { scheme: "https", path: "/metrics", caFile: "ca", tokenFile: "t" },
    ],
  ])("%j over %j", (flags, document, expected) => {
    expect(accessOf(flags, document)).toEqual(expected);
  });

  test("that contradict each other", () => {
    const access = accessOf({ scheme: "http", caFile: join(TLS, "authority.pem") }, {});
    expect(() => new Access(access, () => {})).toThrow("--metrics-ca: expected with --metrics-scheme https only");
  });
});

describe("https", () => {
  test.each<[string, Partial<AccessOptions>, number | string]>([
    ["signed by the authority that is named", { caFile: join(TLS, "authority.pem") }, 5],
    ["by one of several", { caFile: join(TLS, "both.pem") }, 5],
    [
      "by another",
      { caFile: join(TLS, "other-authority.pem") },
      "unable to verify the first certificate; see --metrics-ca",
    ],
    ["by nobody Node knows", {}, "unable to verify the first certificate; see --metrics-ca"],
    ["by anybody", { insecureSkipVerify: true }, 5],
  ])("a certificate %s", async (_, options, outcome) => {
    const server = await fakeServer(certificate);
    server.waiting = 5;
    expect(await firstScrape(server.address, options)).toBe(outcome);
  });

  test("a certificate for another address", async () => {
    const elsewhere = { cert: readFileSync(join(TLS, "elsewhere.pem"), "utf8"), key: certificate.key };
    const { address } = await fakeServer(elsewhere);
    expect(await firstScrape(address, { caFile: join(TLS, "authority.pem") })).toMatch(/altnames.*10\.0\.0\.1/);
  });

  test("one connection for all scrapes", async () => {
    const server = await fakeServer(certificate);
    const access = new Access({ scheme: "https", path: "/metrics", insecureSkipVerify: true }, () => {});
    let readings = 0;
    const loop = new ScrapeLoop({ address: server.address, engine: "vllm" }, { access, readers }, new Pace(20), {
      onReading: () => {
        readings += 1;
      },
      onFailure: () => {},
    });
    onTestFinished(() => loop.stop());
    server.waiting = 1;
    await until("five readings", () => readings >= 5);
    expect(server.connections).toBe(1);
  });

  test("a server that speaks http only is a failure", async () => {
    const { address } = await fakeServer();
    expect(await firstScrape(address, { insecureSkipVerify: true })).toMatch(/wrong version number|packet length/);
  });

  test("files of authorities that cannot be used", () => {
    const dir = temporaryDir();
    const path = join(dir, "ca.pem");
    const open = () => new Access({ scheme: "https", path: "/metrics", caFile: path }, () => {});
    for (const text of [
      "",
      "hello",
      certificate.key,
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ]) {
      writeFileSync(path, text);
      expect(open).toThrow(`${path}: expected a PEM file with at least one certificate`);
    }
    expect(readAuthorities(join(dir, "absent"))).toBeUndefined();
    expect(readAuthorities(dir)).toBeUndefined();
    expect(readAuthorities(join(TLS, "both.pem"))).toHaveLength(2);
  });
});

describe("token", () => {
  test("is shown, and so is the next one soon after the file has changed", async () => {
    const server = await fakeServer();
    server.waiting = 2;
    const tokenFile = join(temporaryDir(), "token");
    writeFileSync(tokenFile, "first\n");
    const shown: (string | undefined)[] = [];
    server.answer = (request, response) => {
      shown.push(request.headers.authorization);
      response.end("vllm:num_requests_waiting 2\n");
    };
    expect(await firstScrape(server.address, { scheme: "http", tokenFile })).toBe(2);
    expect(shown[0]).toBe("Bearer first");
    writeFileSync(tokenFile, "second");
    await until("the next token", () => shown.at(-1) === "Bearer second");
  });

  test("is not sent when there is none", async () => {
    const server = await fakeServer();
    let header: string | undefined = "?";
    server.answer = (request, response) => {
      header = request.headers.authorization;
      response.writeHead(401).end();
    };
    expect(await firstScrape(server.address, { scheme: "http" })).toBe("answered 401, expected 200");
    expect(header).toBeUndefined();
  });

  test("the last good one stays while the file is bad, and that is told once", () => {
    const path = join(temporaryDir(), "token");
    writeFileSync(path, "a");
    const { log, lines } = logLines();
    const file = new TokenFile(path, 0, log);
    expect(file.token(5_000)).toBe("a");
    writeFileSync(path, "two words");
    expect([file.token(5_999), file.token(6_000), file.token(7_000)]).toEqual(["a", "a", "a"]);
    expect(lines).toMatchObject([
      {
        level: "error",
        message: "the token for metrics cannot be read, the last one stays in use",
        fields: { file: path, expected: "a file with one token in it, printable and without blanks" },
      },
    ]);
    rmSync(path);
    expect(file.token(8_000)).toBe("a");
    writeFileSync(path, " b \r\n");
    expect([file.token(8_999), file.token(9_000)]).toEqual(["a", "b"]);
    expect(lines.at(-1)).toMatchObject({ level: "info", message: "the token for metrics was read again" });
  });

  test("is followed through the links that Kubernetes turns", () => {
    const dir = temporaryDir();
    const put = (name: string, token: string) => {
      mkdirSync(join(dir, name));
      writeFileSync(join(dir, name, "token"), token);
      symlinkSync(name, join(dir, "next"));
      renameSync(join(dir, "next"), join(dir, "data"));
    };
    put("1", "one");
    symlinkSync("data/token", join(dir, "token"));
    const file = new TokenFile(join(dir, "token"), 0, () => {});
    put("2", "two");
    expect([file.token(999), file.token(1_000)]).toEqual(["one", "two"]);
  });

  test.each([
    ["nothing", "\n"],
    ["two lines", "a\nb\n"],
    ["bytes that are no text", "\u00ff\u0000"],
    ["too much", "x".repeat(70_000)],
  ])("a file with %s in it", (_, text) => {
    const path = join(temporaryDir(), "token");
    writeFileSync(path, text);
    expect(readToken(path)).toBeUndefined();
    expect(() => new TokenFile(path, 0, () => {})).toThrow(`${path}: expected a file with one token in it`);
  });

  test("a file that is absent, or a folder", () => {
    const dir = temporaryDir();
    expect([readToken(join(dir, "absent")), readToken(dir)]).toEqual([undefined, undefined]);
  });
});
