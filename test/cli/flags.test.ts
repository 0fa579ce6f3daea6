import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ADDRESS,
  type Command,
  choice,
  DIRECTORY,
  DURATION,
  decimal,
  FILE,
  type FlagTable,
  helpOf,
  LISTEN_ADDRESS,
  PLACE,
  POOL,
  parseFlags,
  SIZE,
  SWITCH,
  TEXT,
  UsageError,
  whole,
} from "../../src/cli/flags.ts";
import { formatAddress } from "../../src/envoy/address.ts";

const command = {
  name: "try",
  summary: "tries flags",
  operands: ["FILE"],
  flags: {
    listen: { kind: ADDRESS, required: true, help: "where to listen" },
    every: { kind: DURATION, help: "how often" },
    quiet: { kind: SWITCH, help: "says less" },
    title: { kind: TEXT, help: "what to say" },
  },
} as const satisfies Command<FlagTable>;

describe("kinds", () => {
  test.each([
    ["127.0.0.1:8080", { host: "127.0.0.1", port: 8080 }],
    ["localhost:0", { host: "127.0.0.1", port: 0 }],
    ["[fd00::1]:65535", { host: "fd00::1", port: 65535 }],
    ["127.0.0.1", undefined],
    ["127.0.0.1:65536", undefined],
    ["fd00::1:80", undefined],
    ["[127.0.0.1]:80", undefined],
    ["256.0.0.1:80", undefined],
    ["example.com:80", undefined],
    [":80", undefined],
    ["", undefined],
  ])("address %s", (text, expected) => expect(ADDRESS.parse(text)).toEqual(expected));

  test.each([
    [":9910", { host: "::", port: 9910 }],
    ["0.0.0.0:9910", { host: "0.0.0.0", port: 9910 }],
    ["[::1]:0", { host: "::1", port: 0 }],
    [":", undefined],
    ["::9910", undefined],
    [":65536", undefined],
    ["9910", undefined],
  ])("address to listen on %s", (text, expected) => expect(LISTEN_ADDRESS.parse(text)).toEqual(expected));

  test("an address reads back as it was written", () => {
    const host = fc.oneof(fc.ipV4(), fc.constantFrom("::1", "fd00::1", "2001:db8::8a2e:370:7334"));
    fc.assert(
      fc.property(fc.record({ host, port: fc.integer({ min: 0, max: 65_535 }) }), (address) => {
        expect(ADDRESS.parse(formatAddress(address))).toEqual(address);
      }),
    );
  });

  test.each([
    ["50ms", 50],
    ["1.5s", 1_500],
    ["2m", 120_000],
    ["50", undefined],
    ["0s", undefined],
    ["-1s", undefined],
    ["1h", undefined],
  ])("duration %s", (text, expected) => expect(DURATION.parse(text)).toBe(expected));

  test.each([
    ["1048576", 1_048_576],
    ["512KiB", 524_288],
    ["32MiB", 33_554_432],
    ["4GiB", undefined],
    ["1MB", undefined],
    ["-1", undefined],
  ])("size %s", (text, expected) => expect(SIZE.parse(text)).toBe(expected));

  test.each([
    ["default/chat", "default/chat"],
    ["default/chat.v1", "default/chat.v1"],
    ["chat", undefined],
    ["a/b/c", undefined],
    ["Default/chat", undefined],
  ])("pool %s", (text, expected) => expect(POOL.parse(text)).toBe(expected));

  test.each([
    ["zone=north-1", { zone: "north-1" }],
    ["host=h,rack=r,zone=z,region=g", { host: "h", rack: "r", zone: "z", region: "g" }],
    ["region=g,host=h", { host: "h", region: "g" }],
    ["zone=a,zone=b", undefined],
    ["zone", undefined],
    ["zone=", undefined],
    ["city=x", undefined],
    ["zone=a,", undefined],
    ["", undefined],
  ])("place %s", (text, expected) => expect(PLACE.parse(text)).toEqual(expected));

  test("numbers and words keep to their range", () => {
    expect(["0", "1", "64", "65", "1.0", "1e1", ""].map(whole(1, 64).parse)).toEqual([
      ...[undefined, 1, 64, undefined, undefined, undefined, undefined],
    ]);
    expect(["0.5", "1", "1.5", "-0", "x"].map(decimal(0, 1).parse)).toEqual([0.5, 1, undefined, undefined, undefined]);
    expect(["a", "c", ""].map(choice("a", "b").parse)).toEqual(["a", undefined, undefined]);
  });

  describe("paths", () => {
    let dir: string;
    beforeAll(() => {
      dir = mkdtempSync(join(tmpdir(), "pointsman-flags-"));
      writeFileSync(join(dir, "file"), "");
    });
    afterAll(() => rmSync(dir, { recursive: true }));

    test("a folder is no file and a file is no folder", () => {
      expect([DIRECTORY.parse(dir), DIRECTORY.parse(join(dir, "file")), DIRECTORY.parse(join(dir, "none"))]).toEqual([
        ...[dir, undefined, undefined],
      ]);
      expect([FILE.parse(dir), FILE.parse(join(dir, "file")), FILE.parse(join(dir, "none"))]).toEqual([
        ...[undefined, join(dir, "file"), undefined],
      ]);
    });
  });
});

describe("parseFlags", () => {
  test("gives typed values, and nothing for what was not given", () => {
    expect(parseFlags(command, ["--listen", "127.0.0.1:1", "a.bin", "--every=2s", "--quiet"])).toEqual({
      flags: { listen: { host: "127.0.0.1", port: 1 }, every: 2_000, quiet: true },
      operands: ["a.bin"],
    });
  });

  test("a value may begin with dashes when it is attached", () => {
    const parsed = parseFlags(command, ["--listen=127.0.0.1:1", "--title=--quiet", "a.bin"]);
    expect(parsed).toMatchObject({ flags: { title: "--quiet" } });
  });

  test("--help wins over what is wrong beside it", () => {
    expect(parseFlags(command, ["--nonsense", "--help"])).toBe("help");
    expect(parseFlags(command, ["-h"])).toBe("help");
  });

  const OK = ["--listen", "127.0.0.1:1"];
  test.each([
    [[], "pointsman try: --listen HOST:PORT is required"],
    [[...OK], "pointsman try: FILE is missing"],
    [[...OK, "a", "b"], 'pointsman try: unexpected "b"; see pointsman try --help'],
    [[...OK, "a", "--nonsense"], "pointsman try: unknown flag --nonsense; see pointsman try --help"],
    [[...OK, "a", "--constructor"], "pointsman try: unknown flag --constructor; see pointsman try --help"],
    [[...OK, "a", "-q"], "pointsman try: unknown flag -q; see pointsman try --help"],
    [["a", "--listen"], "pointsman try: --listen needs a value, HOST:PORT"],
    [["--listen", "--quiet", "a"], "pointsman try: --listen needs a value, HOST:PORT"],
    [[...OK, "a", "--quiet=yes"], "pointsman try: --quiet takes no value"],
    [
      ["a", "--listen", "8080"],
      "pointsman try: --listen 8080: expected HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080 " +
        "(port 0: any free one)",
    ],
  ])("%j is refused", (argv, message) => {
    expect(() => parseFlags(command, argv)).toThrow(new UsageError(message));
  });
});

test("help names the operands and every flag", () => {
  expect(helpOf(command)).toBe(`pointsman try FILE: tries flags

  --listen HOST:PORT  where to listen (required)
  --every DURATION    how often
  --quiet             says less
  --title TEXT        what to say
  --help              this text
`);
});
