// The configuration from a ConfigMap: which key counts, what stays in force, and what is waited for.

import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Config } from "../../../src/control/config.ts";
import { FirstState } from "../../../src/control/first-state.ts";
import { logLines } from "../log-lines.ts";
import { configYaml } from "../scheduling/documents.ts";
import { temporaryDir, until } from "../until.ts";

const QUEUE = configYaml(["{type: queue-scorer}"], ["pluginRef: queue-scorer"]);
const LOAD = configYaml(["{type: load-aware-scorer}"], ["pluginRef: load-aware-scorer"]);
const BROKEN = configYaml(["{type: que-scorer}"], ["pluginRef: que-scorer"]);
const WHERE = "ConfigMap gateway/picking";

const holding = (data?: unknown) => ({ metadata: { namespace: "gateway", name: "picking" }, data });

function open(key?: string) {
  const { log, lines } = logLines();
  const config = new Config({ configMap: { namespace: "gateway", name: "picking", key }, log });
  onTestFinished(() => config.stop());
  let changes = 0;
  config.onChange = () => {
    changes += 1;
  };
  const steps = () => config.scheduling.program.profiles[0]?.steps.map(({ name }) => name).join();
  return { config, lines, steps, changes: () => changes, messages: () => lines.map(({ message }) => message) };
}

describe("the key", () => {
  test.for<readonly [string, string | undefined, Record<string, string>]>([
    ["that was asked for", "mine", { "config.yaml": LOAD, mine: QUEUE }],
    ["that is the only one", undefined, { "whatever.yml": QUEUE }],
    ["config.yaml of several", undefined, { "a.yaml": LOAD, "config.yaml": QUEUE }],
  ])("%s counts", ([, key, data]) => {
    const { config, steps, changes } = open(key);
    config.setConfigMap(holding(data));
    expect(steps()).toBe("queue-scorer");
    expect([config.errors, config.problems(), changes()]).toEqual([[], [], 1]);
    expect(config.view()).toMatchObject({ file: null, configMap: "gateway/picking", errors: [] });
  });

  test.for<readonly [string, string | undefined, unknown, string]>([
    [
      "several, none called config.yaml",
      undefined,
      { b: "", a: "" },
      "one key, or config.yaml among several, found a, b",
    ],
    ["none at all", undefined, undefined, "one key, or config.yaml among several, found none"],
    ["no data, as null", undefined, null, "one key, or config.yaml among several, found none"],
    ["not the one asked for", "mine", { "config.yaml": "" }, "key mine, found config.yaml"],
    ["nor one that all objects have", "toString", { a: "" }, "key toString, found a"],
    ["no texts", undefined, "text", 'a mapping of keys to texts, found "text"'],
  ])("%s: an error that names those there", ([, key, data, expected]) => {
    const { config } = open(key);
    config.setConfigMap(holding(data));
    expect(config.errors).toEqual([`${WHERE}: data: expected ${expected}`]);
  });
});

test.for<readonly [string, unknown, string]>([
  ["is deleted", undefined, `${WHERE}: not found, expected one with an EndpointPickerConfig as its data`],
  ["loses the key", holding({ a: "", b: "" }), `${WHERE}: data: expected one key, or config.yaml among several`],
  ["has an error in its text", holding({ "config.yaml": BROKEN }), `${WHERE}, key config.yaml:4:10: plugins[0].type:`],
])("one that %s leaves the last one in force, and says so once", ([, raw, error]) => {
  const { config, steps, messages, changes } = open();
  config.setConfigMap(holding({ "config.yaml": QUEUE }));
  for (let again = 0; again < 3; again++) config.setConfigMap(structuredClone(raw));
  expect(steps()).toBe("queue-scorer");
  expect(config.errors).toEqual([expect.stringContaining(error)]);
  // An earlier agent's state would be kept, but nothing is waited for.
  expect(config.problems()).toMatchObject([{ status: "broken" }]);
  expect(messages()).toEqual([
    "the configuration was read",
    expect.stringContaining(error),
    "the last configuration stays in force",
  ]);
  config.setConfigMap(holding({ "config.yaml": LOAD }));
  expect([steps(), config.errors, config.errorsTotal, changes()]).toEqual(["load-aware-scorer", [], 1, 3]);
});

test("one that changes elsewhere than in its text changes nothing", () => {
  const { config, changes } = open();
  config.setConfigMap(holding({ a: QUEUE }));
  config.setConfigMap({ ...holding({ a: QUEUE }), metadata: { labels: { x: "y" } }, binaryData: { b: "AA==" } });
  expect(changes()).toBe(1);
});

test("a file that it names is read again when it changes", async () => {
  const tls = join(import.meta.dirname, "..", "tls");
  const caFile = join(temporaryDir(), "ca.pem");
  const source = `{type: metrics-data-source, parameters: {scheme: https, caCertPath: ${caFile}}}`;
  const { config } = open();
  config.setConfigMap(holding({ a: configYaml(["{type: queue-scorer}", source], ["pluginRef: queue-scorer"]) }));
  expect(config.errors).toEqual([expect.stringMatching(/key a:5:71: .*caCertPath: expected a PEM file/)]);
  copyFileSync(join(tls, "authority.pem"), caFile);
  await until("in force", () => config.errors.length === 0);
  const before = config.access;
  copyFileSync(join(tls, "other-authority.pem"), caFile);
  await until("read again", () => config.access !== before);
});

describe("at the start", () => {
  function starting(found: string | undefined) {
    const opened = open();
    const applied: number[] = [];
    const first = new FirstState({
      log: () => {},
      found: async () => found,
      apply: (objects) => applied.push(objects.length),
    });
    const look = () => first.take([], opened.config.problems());
    opened.config.onChange = look;
    look();
    return { ...opened, first, applied };
  }

  test.for([undefined, "a snapshot with epoch 7"])(
    "nothing is applied before one is right; in force: %s",
    async (found) => {
      const { config, first, applied } = starting(found);
      await first.decide();
      expect(config.errors).toEqual([]);
      expect(first.notReady()).toBe(`${WHERE}: has not been read yet`);
      expect(config.view()).toMatchObject({ profiles: null });
      config.setConfigMap(undefined);
      expect(first.notReady()).toMatch(/^ConfigMap gateway\/picking: not found, expected one with/);
      config.setConfigMap(holding({ a: BROKEN }));
      expect(first.notReady()).toMatch(/^ConfigMap gateway\/picking, key a:4:10: plugins\[0\]\.type: que-scorer/);
      expect(applied).toEqual([]);
      config.setConfigMap(holding({ a: QUEUE }));
      expect([first.notReady(), applied]).toEqual([undefined, [0]]);
      config.setConfigMap(undefined);
      expect([first.notReady(), applied]).toEqual([undefined, [0, 0]]);
    },
  );

  test("objects that are broken hold back nothing where nothing is in force, also while one is awaited", async () => {
    const { config, first, applied } = starting(undefined);
    const broken = { status: "broken", file: "x.yaml", line: 1, reason: "?", key: undefined, kept: [] } as const;
    config.onChange = () => first.take([], [broken, ...config.problems()]);
    config.onChange();
    await first.decide();
    expect(first.notReady()).toBe(`${WHERE}: has not been read yet`);
    config.setConfigMap(holding({ a: QUEUE }));
    expect([first.notReady(), applied]).toEqual([undefined, [0]]);
  });
});
