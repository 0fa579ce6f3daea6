// The model that a server is asked for: by header, by objects, by weight; and that nothing but the name changes
// in the body.

import { describe, expect, test } from "vitest";
import { HEADER_REWRITE, HEADER_REWRITE_OLD } from "../../src/wire/names.ts";
import type { ModelsSpec } from "../host/models.ts";
import { Gateway, IDLE, POOL } from "./gateway.ts";
import { resolved, sent } from "./resolved.ts";

const A = "10.0.0.1:8000";
const B = "10.0.0.2:8000";

function serving(models: ModelsSpec, configuration: object = {}): Gateway {
  const gateway = new Gateway({ explain: true, ...configuration });
  gateway.control.topology([{ name: POOL, models, endpoints: [{ address: A }] }]);
  gateway.control.metrics([IDLE]);
  return gateway;
}

const RULES: ModelsSpec = {
  models: [
    { name: "food", targets: [{ name: "food-v2" }] },
    { name: "bare" },
    {
      name: "split",
      targets: [
        { name: "a", weight: 90 },
        { name: "b", weight: 10 },
      ],
    },
  ],
};
const GENERIC: ModelsSpec = { ...RULES, generic: { targets: [{ name: "base" }] } };

function bodyFor(model: string): string {
  return JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] });
}

/** The model that the server is asked for. */
function targetOf(gateway: Gateway, model: string, header?: readonly [string, string]): string {
  const headers = header === undefined ? [] : [header];
  const outcome = gateway.worker.drive({ body: bodyFor(model), headers });
  expect(outcome.localResponse).toBeUndefined();
  return sent(outcome).model;
}

describe("which model", () => {
  test("that of the rule for its name; else that for every name; else its own", () => {
    const gateway = serving(RULES);
    expect(["food", "bare", "other"].map((model) => targetOf(gateway, model))).toEqual(["food-v2", "bare", "other"]);
    const generic = serving(GENERIC);
    expect(["food", "bare", "other"].map((model) => targetOf(generic, model))).toEqual(["food-v2", "base", "base"]);
  });

  test("that of the header, unless a rule says otherwise: by the name in the body", () => {
    const gateway = serving(RULES);
    for (const name of [HEADER_REWRITE, HEADER_REWRITE_OLD]) {
      expect(targetOf(gateway, "other", [name, "asked for"])).toBe("asked for");
      expect(targetOf(gateway, "food", [name, "asked for"])).toBe("food-v2");
      // The header's name is not looked up again.
      expect(targetOf(gateway, "other", [name, "food"])).toBe("food");
    }
    expect(targetOf(gateway, "other", [HEADER_REWRITE, "caf\xc3\xa9"])).toBe("other");
    expect(targetOf(gateway, "other", [HEADER_REWRITE, "x".repeat(257)])).toBe("other");
    expect(targetOf(serving(RULES, { trustedHeaders: "none" }), "other", [HEADER_REWRITE, "x"])).toBe("other");
  });

  test("by weight: 90 to 10", () => {
    const gateway = serving(RULES);
    let of90 = 0;
    for (let n = 0; n < 10_000; ++n) if (targetOf(gateway, "split") === "a") ++of90;
    expect(of90).toBeGreaterThan(8_900);
    expect(of90).toBeLessThan(9_100);
  });

  test("an explanation names it and draws as the request would, without changing what comes", () => {
    const [asked, quiet] = [serving(RULES), serving(RULES)];
    const request = { body: bodyFor("split") };
    for (let n = 0; n < 50; ++n) {
      const { target } = resolved(asked.worker, request);
      expect(targetOf(asked, "split")).toBe(target);
      expect(targetOf(quiet, "split")).toBe(target);
    }
  });
});

describe("in the body", () => {
  /** The body with the text of the last top-level `model` replaced. */
  const check = (body: string, expected: string, models: ModelsSpec = GENERIC, configuration: object = {}) => {
    const bytes = Buffer.from(body);
    for (const pieceBytes of [bytes.length, 7, 1]) {
      const pieces: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
      const headers = [["content-length", String(bytes.length)]] as const;
      const outcome = serving(models, configuration).worker.drive({ body: pieces, headers });
      expect(outcome.localResponse).toBeUndefined();
      expect(Buffer.from(outcome.forwardedBody).toString()).toBe(expected);
      expect(sent(outcome).length).toBe(String(Buffer.byteLength(expected)));
    }
  };

  test("nothing but the name changes, wherever it stands and however it is written", () => {
    check('{"model":"food","n":1}', '{"model":"food-v2","n":1}');
    check(' {\n "n" : 1.50,\t"model" :  "food"  } \n', ' {\n "n" : 1.50,\t"model" :  "food-v2"  } \n');
    check(
      '{"a":{"model":"food"},"model":"f\\u006fod","é":"\\ud83d\\ude00"}',
      '{"a":{"model":"food"},"model":"food-v2","é":"\\ud83d\\ude00"}',
    );
    check('{"model":"","n":[1,2]}', '{"model":"base","n":[1,2]}');
    check('{"mod\\u0065l":"food"}', '{"mod\\u0065l":"food-v2"}');
  });

  test("of several members the last counts, as for the server", () => {
    check('{"model":"x","n":1,"model":"food"}', '{"model":"x","n":1,"model":"food-v2"}');
  });

  test("the name is escaped", () => {
    const models: ModelsSpec = { generic: { targets: [{ name: 'q"\\\u0001\n/ü' }] } };
    check('{"model":"m","n":1}', '{"model":"q\\"\\\\\\u0001\\u000a/ü","n":1}', models);
    const longest = "\u0001".repeat(256);
    const told = '{"model":"m","n":1}'.replace('"m"', JSON.stringify(longest));
    check('{"model":"m","n":1}', told, { generic: { targets: [{ name: longest }] } });
  });

  test("a name longer than any object's, and a shorter one in its place", () => {
    check(`{"model":"${"y".repeat(300)}","n":1}`, '{"model":"base","n":1}');
    check(`{"model":"${"y".repeat(300)}","n":1}`, `{"model":"${"y".repeat(300)}","n":1}`, RULES);
  });

  test("a body that goes on beyond what is inspected, when the name was in it", () => {
    const rest = "z".repeat(5_000);
    check(`{"model":"food","p":"${rest}"}`, `{"model":"food-v2","p":"${rest}"}`, GENERIC, { inspectionBytes: 100 });
    // The name that counts ends beyond: it is not known, so it stays.
    const twice = `{"model":"food","model":"foo${rest}"}`;
    check(twice, twice, GENERIC, { inspectionBytes: 30 });
    for (const inspectionBytes of [12, 14]) {
      check(`{"model":"food","p":"${rest}"}`, `{"model":"food","p":"${rest}"}`, GENERIC, { inspectionBytes });
    }
  });

  test("a body that is not rewritten costs no call more", () => {
    const gateway = serving(RULES);
    gateway.worker.drive({ body: bodyFor("bare") });
    const plain = gateway.worker.drive({ body: bodyFor("bare") }).requestCalls;
    const same = serving({ models: [{ name: "bare", targets: [{ name: "bare" }] }] });
    same.worker.drive({ body: bodyFor("bare") });
    expect(same.worker.drive({ body: bodyFor("bare") }).requestCalls).toBe(plain);
  });

  test("without content-length none is added", () => {
    const outcome = serving(GENERIC).worker.drive({ body: '{"model":"food"}' });
    expect(sent(outcome)).toEqual({ model: "food-v2", length: undefined });
  });

  test("requests whose model is not known pass as they are", () => {
    const { worker } = serving(GENERIC);
    expect(worker.drive({ path: "/v1/models" }).destination).toBe(A);
    const body = '{"model":"food"}';
    const outcome = worker.drive({ path: "/v1/audio/speech", body });
    expect(Buffer.from(outcome.forwardedBody).toString()).toBe(body);
  });
});

test("what the server holds is known by the model it was asked for", () => {
  const gateway = new Gateway({ explain: true });
  const models: ModelsSpec = { models: ["one", "two"].map((name) => ({ name, targets: [{ name: "same" }] })) };
  gateway.control.topology([{ name: POOL, models, endpoints: [{ address: A }, { address: B }] }]);
  gateway.control.metrics([IDLE, IDLE]);
  const prompt = "p".repeat(4_000);
  const complete = (model: string) =>
    gateway.worker.drive({ path: "/v1/completions", body: JSON.stringify({ model, prompt }) }).destination!;
  const first = complete("one").split(",")[0];
  for (let n = 0; n < 5; ++n) expect(complete("two").split(",")[0]).toBe(first);
});

describe("Prefer: if-available", () => {
  const prompt = "q".repeat(4_000);
  const ask = (gateway: Gateway, prefer?: string) =>
    gateway.worker.drive({
      path: "/v1/completions",
      body: JSON.stringify({ model: "m", prompt }),
      headers: prefer === undefined ? [] : [["prefer", prefer]],
    });

  test("is 412 until the endpoint chosen holds some of the prompt, and teaches nothing", () => {
    const gateway = serving({});
    for (let n = 0; n < 3; ++n) {
      const outcome = ask(gateway, "if-available");
      expect(outcome.localResponse?.status).toBe(412);
      expect(JSON.parse(Buffer.from(outcome.localResponse!.body).toString()).error.code).toBe("not_cached");
    }
    gateway.settle();
    expect(gateway.inFlightTotal()).toBe(0);
    expect(ask(gateway).destination).toBe(A);
    expect(ask(gateway, "respond-async, If-Available;x=1").destination).toBe(A);
  });

  test.each(["respond-async", "if-availables", "not if-available", "x=if-available"])(
    "%s is something else",
    (prefer) => {
      expect(ask(serving({}), prefer).destination).toBe(A);
    },
  );

  test("has no effect where it is not believed", () => {
    expect(ask(serving({}, { trustedHeaders: "none" }), "if-available").destination).toBe(A);
  });
});
