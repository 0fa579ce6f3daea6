// What objects about models come to for each pool, and what is said of those that do not count.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ModelEntry } from "../../../src/control/models/models.ts";
import { resolveModels } from "../../../src/control/models/resolve.ts";
import { readDocuments } from "../../../src/control/source/documents.ts";
import {
  MODELS_MAX,
  MODELS_TABLE_BYTES_MAX,
  OBJECTIVES_MAX,
  TARGETS_MAX,
  TARGETS_PER_MODEL_MAX,
} from "../../../src/wire/limits.ts";
import { pool } from "../objects.ts";
import { bytesOf, model, objective, poolV1, poolV1alpha2, resolved, rewrite, X_K8S } from "./documents.ts";

/** "name -> target:weight … (rule) priority routes", as far as there is something to say. */
function shown({ name, rule, priority, routes }: ModelEntry): string {
  const targets = rule?.targets.map((target) => `${target.name}:${target.weight}`).join(" ");
  return [
    name,
    ...(rule === undefined ? [] : [`-> ${targets} (${rule.rule})`]),
    ...(priority === undefined ? [] : [`priority ${priority}`]),
    ...(routes ? ["routes"] : []),
  ].join(" ");
}

function modelsOf(documents: readonly object[], pool?: string): readonly string[] {
  return resolved([poolV1(), ...documents])
    .pool(pool)
    .models.map(shown);
}

const AT = (day: number) => ({ created: `2026-01-0${day}T00:00:00Z` });

describe("objectives", () => {
  test("have their priority, 0 when they do not say", () => {
    const { pool, doubts } = resolved([poolV1(), objective("high", 10), objective("unset"), objective("low", -5)]);
    expect(pool().objectives).toEqual([
      { name: "high", priority: 10 },
      { name: "low", priority: -5 },
      { name: "unset", priority: 0 },
    ]);
    expect(doubts).toEqual([]);
  });
});

describe("a poolRef", () => {
  test.each([
    ["left out, new pool", undefined, poolV1()],
    ["left out, old pool", undefined, poolV1alpha2()],
    ["empty", "", poolV1()],
    ["the other group, new pool", X_K8S, poolV1()],
    ["the other group, old pool", "inference.networking.k8s.io", poolV1alpha2()],
  ])("whose group is %s binds", (_, group, pool) => {
    const ref = { name: "p", ...(group === undefined ? {} : { group }) };
    const found = resolved([pool, objective("a", 1, { pool: ref })]);
    expect([found.pool().objectives.length, found.doubts]).toEqual([1, []]);
  });

  test("means a pool of the object's own namespace, which may come later", () => {
    const documents = [objective("a", 1, { namespace: "other" }), poolV1()];
    const waiting = resolved(documents);
    expect(waiting.byPool.size).toBe(0);
    expect(waiting.doubts).toEqual(["InferenceObjective other/a: waits for InferencePool other/p, which is not there"]);
    const { byPool, doubts } = resolved([...documents, poolV1("p", "other")]);
    expect([[...byPool.keys()], doubts]).toEqual([["other/p"], []]);
  });

  test.each([
    ["another kind", { name: "p", kind: "Service" }, "Service"],
    ["another group", { name: "p", group: "example.com" }, "InferencePool of example.com"],
  ])("of %s binds to nothing", (_, pool, found) => {
    const { byPool, doubts } = resolved([poolV1(), rewrite("r", [[["m"], ["n"]]], { pool })]);
    expect(byPool.size).toBe(0);
    const groups = `inference.networking.k8s.io or ${X_K8S}`;
    expect(doubts).toEqual([
      `InferenceModelRewrite default/r: poolRef: expected an InferencePool of ${groups}, found ${found}`,
    ]);
  });
});

describe("rewrites", () => {
  test("a rule stands for each of its matches; targets without weights have 1 each", () => {
    expect(
      modelsOf([
        rewrite("r", [
          [["a", "b"], { x: 90, y: 10 }],
          [["c"], ["x", "y"]],
        ]),
      ]),
    ).toEqual(["a -> x:90 y:10 (r) routes", "b -> x:90 y:10 (r) routes", "c -> x:1 y:1 (r) routes"]);
  });

  test("inside one object the first rule counts", () => {
    const rules = rewrite("r", [
      [["a"], ["first"]],
      [[], ["any"]],
      [["a", "b"], ["second"]],
      [[], ["never"]],
    ]);
    const table = resolved([poolV1(), rules]).pool();
    expect(table.models.map(shown)).toEqual(["a -> first:1 (r) routes", "b -> second:1 (r) routes"]);
    expect(table.generic).toEqual({ rule: "r", targets: [{ name: "any", weight: 1 }] });
  });

  test("of several objects the oldest counts: by time, then by place; one without a time is younger", () => {
    const naming = (name: string, meta = {}) =>
      rewrite(
        name,
        [
          [["a"], [name]],
          [[], [name]],
        ],
        meta,
      );
    const winner = (...documents: object[]) => {
      const { models, generic } = resolved([poolV1(), ...documents]).pool();
      return [models.map(shown).join(), generic?.rule];
    };
    expect(winner(naming("x", AT(2)), naming("y", AT(1)))).toEqual(["a -> y:1 (y) routes", "y"]);
    expect(winner(naming("x", AT(1)), naming("y", AT(1)))).toEqual(["a -> x:1 (x) routes", "x"]);
    expect(winner(naming("y"), naming("x"))).toEqual(["a -> y:1 (y) routes", "y"]);
    expect(winner(naming("x"), naming("y", AT(1)))).toEqual(["a -> y:1 (y) routes", "y"]);
  });

  test("a rule without targets leaves its models alone, whatever the rules for every model say", () => {
    const table = resolved(
      [
        poolV1(),
        rewrite("r", [
          [["a"], []],
          [[], []],
        ]),
        rewrite("s", [[[], ["any"]]]),
      ].map(withoutEmptyTargets),
    ).pool();
    expect(table.models.map(shown)).toEqual(["a -> a:1 (r) routes"]);
    expect(table.generic).toBeUndefined();
  });
});

/** A list of targets is not empty, but it may be left out. */
function withoutEmptyTargets(document: object): object {
  return JSON.parse(JSON.stringify(document).replaceAll(',"targets":[]', "")) as object;
}

describe("InferenceModels", () => {
  test("say how critical a model is, and what it is sent for", () => {
    expect(
      modelsOf([
        model("a", "food", {
          criticality: "Critical",
          targetModels: [
            { name: "f1", weight: 90 },
            { name: "f2", weight: 10 },
          ],
        }),
        model("b", "drink", { criticality: "Sheddable", targetModels: [{ name: "d" }] }),
        model("c", "plain"),
      ]),
    ).toEqual([
      "drink -> d:1 (b) priority -1 routes",
      "food -> f1:90 f2:10 (a) priority 1 routes",
      "plain priority 0 routes",
    ]);
  });

  test("the oldest has the name, and the others are told by whom", () => {
    const first = model("a", "m", { criticality: "Critical" }, AT(2));
    const second = model("b", "m", { criticality: "Sheddable", targetModels: [{ name: "x" }] }, AT(1));
    const { pool, doubts } = resolved([poolV1(), first, second]);
    expect(pool().models.map(shown)).toEqual(["m -> x:1 (b) priority -1 routes"]);
    expect(doubts).toEqual([
      'InferenceModel default/a: ModelNameInUse: the name "m" in pool default/p is that of InferenceModel default/b, ' +
        "which is older and counts",
    ]);
  });

  test("each get a verdict: which counts, which has a name that is in use, which waits for a pool", () => {
    const { verdicts } = resolved([
      poolV1(),
      model("late", "m", {}, AT(2)),
      model("early", "m", {}, AT(1)),
      model("homeless", "m", {}, { pool: "absent", ...AT(3) }),
      model("strange", "m", {}, { pool: { name: "p", kind: "Service", group: "v1" }, ...AT(4) }),
      objective("none-of-them", 1),
    ]);
    const inPool = 'the name "m" in pool default/p is that of';
    const waits = "waits for InferencePool default/absent, which is not there";
    const strange =
      "poolRef: expected an InferencePool of inference.networking.k8s.io or inference.networking.x-k8s.io, " +
      "found Service of v1";
    expect(verdicts).toEqual([
      { namespace: "default", name: "early", reason: "Accepted", message: `${inPool} this object` },
      {
        namespace: "default",
        name: "late",
        reason: "ModelNameInUse",
        message: `${inPool} InferenceModel default/early, which is older and counts`,
      },
      { namespace: "default", name: "homeless", reason: "Pending", message: waits },
      { namespace: "default", name: "strange", reason: "Pending", message: strange },
    ]);
  });

  test("may have the same name in other pools", () => {
    const found = resolved([poolV1(), poolV1("q"), model("a", "m"), model("b", "m", {}, { pool: "q" })]);
    expect(found.doubts).toEqual([]);
    expect([...found.byPool.keys()]).toEqual(["default/p", "default/q"]);
  });

  test("and rewrites of the same model: the older has the targets, the priority stays the InferenceModel's", () => {
    const old = model("a", "m", { criticality: "Critical", targetModels: [{ name: "by-model" }] });
    const rule = rewrite("r", [[["m"], ["by-rewrite"]]]);
    expect(modelsOf([old, rule])).toEqual(["m -> by-model:1 (a) priority 1 routes"]);
    expect(modelsOf([rule, old])).toEqual(["m -> by-rewrite:1 (r) priority 1 routes"]);
    expect(modelsOf([model("a", "m"), rule])).toEqual(["m -> by-rewrite:1 (r) priority 0 routes"]);
  });
});

describe("which pool a model routes to", () => {
  test("that of the oldest object which names it exactly, of whatever kind and pool", () => {
    const documents = [
      poolV1(),
      poolV1("q"),
      rewrite("any", [[[], ["z"]]], AT(1)),
      rewrite("r", [[["m", "n"], ["x"]]], AT(3)),
      model("a", "m", {}, { pool: "q", ...AT(2) }),
    ];
    expect(modelsOf(documents.slice(1))).toEqual(["m -> x:1 (r)", "n -> x:1 (r) routes"]);
    expect(modelsOf(documents.slice(1), "default/q")).toEqual(["m priority 0 routes"]);
  });

  test("an object that waits for its pool decides nothing", () => {
    expect(modelsOf([model("a", "m", {}, { pool: "absent", ...AT(1) }), model("b", "m")])).toEqual([
      "m priority 0 routes",
    ]);
  });
});

describe("both groups", () => {
  const rules = [
    [["food"], { v1: 90, v2: 10 }],
    [[], ["base"]],
  ] as const;

  test("old and new documents give the same bytes, also mixed", () => {
    const documents = (pool: object, group: string) => [
      pool,
      objective("critical", 1, { group }),
      rewrite("r", rules, { group }),
    ];
    const bytes = bytesOf(documents(poolV1(), "llm-d.ai"));
    expect(bytesOf(documents(poolV1alpha2(), X_K8S))).toEqual(bytes);
    expect(bytesOf(documents(poolV1(), X_K8S))).toEqual(bytes);
    expect(bytesOf(documents(poolV1alpha2(), "llm-d.ai"))).toEqual(bytes);
  });

  test("the targets of an InferenceModel are those of a rewrite of its name", () => {
    const old = model("r", "food", {
      targetModels: [
        { name: "v1", weight: 90 },
        { name: "v2", weight: 10 },
      ],
    });
    const [both] = resolved([poolV1(), old]).pool().models;
    const [now] = resolved([poolV1(), rewrite("r", [rules[0]])]).pool().models;
    expect({ ...both, priority: undefined }).toEqual(now);
  });

  test("an object that is there in both counts once, as the newer group has it, with a warning", () => {
    const objectives = [objective("a", 1, { group: X_K8S }), objective("a", 2)];
    for (const documents of [objectives, [...objectives].reverse()]) {
      const { pool, twice } = resolved([poolV1(), ...documents]);
      expect(pool().objectives).toEqual([{ name: "a", priority: 2 }]);
      expect(twice).toEqual([
        `InferenceObjective default/a is there in two groups: that of llm-d.ai counts, not ${X_K8S}`,
      ]);
    }
    expect(resolved([poolV1alpha2(), poolV1()]).twice).toEqual([
      `InferencePool default/p is there in two groups: that of inference.networking.k8s.io counts, not ${X_K8S}`,
    ]);
  });
});

test("the examples of docs/models.md are read, and come to what it says", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/models.md"), "utf8");
  const yaml = [...page.matchAll(/^```yaml\n(.*?)^```/gms)].map((match) => match[1]!).join("---\n");
  const states = readDocuments(yaml, new Map()).documents;
  expect(states.map((state) => (state.status === "broken" ? state.reason : state.status))).toEqual([
    "good",
    "good",
    "good",
  ]);
  const objects = states.flatMap((state) => (state.status === "good" ? [state.object] : []));
  const { byPool } = resolveModels(objects, [pool("chat")]);
  const { objectives, models, generic } = byPool.get("default/chat")!;
  expect(objectives).toEqual([{ name: "batch", priority: -10 }]);
  expect(models.map(shown)).toEqual([
    "food-review -> food-review-v1:90 food-review-v2:10 (food-rollout) priority 1 routes",
  ]);
  expect(generic?.targets).toEqual([{ name: "base", weight: 1 }]);
});

describe("bounds", () => {
  const room =
    `all pools together have room for ${OBJECTIVES_MAX} objectives, ${MODELS_MAX} models and ${TARGETS_MAX} targets ` +
    `in ${MODELS_TABLE_BYTES_MAX} bytes`;

  test("of the objectives the oldest count, over all pools", () => {
    const many = (pool: string) =>
      Array.from({ length: 3000 }, (_, i) => objective(`o${i}-${pool}`, i, { pool, created: "2026-01-02T00:00:00Z" }));
    const oldest = objective("oldest", -1, { pool: "q", ...AT(1) });
    const { pool, left } = resolved([poolV1(), poolV1("q"), ...many("p"), ...many("q"), oldest]);
    expect(pool().objectives).toHaveLength(3000);
    expect(pool("default/q").objectives).toHaveLength(OBJECTIVES_MAX - 3000);
    expect(pool("default/q").objectives.map(({ name }) => name)).toContain("oldest");
    expect(left).toEqual([`pool default/q has 3001 objectives, only the oldest 1096 count: ${room}`]);
  });

  test("of the models too, by number and by their targets; the rule for every model comes first", () => {
    const some = (count: number, targets: readonly string[]) =>
      rewrite("r", [...Array.from({ length: count }, (_, i) => [[`m${i}`], targets] as const), [[], ["any"]]]);
    const byNumber = resolved([poolV1(), some(MODELS_MAX, ["x"])]);
    expect(byNumber.pool().models).toHaveLength(MODELS_MAX - 1);
    expect(byNumber.pool().generic?.targets).toEqual([{ name: "any", weight: 1 }]);
    expect(byNumber.left).toEqual([`pool default/p has 4096 models, only the oldest 4095 count: ${room}`]);
    const wide = Array.from({ length: TARGETS_PER_MODEL_MAX }, (_, i) => `t${i}`);
    const byTargets = resolved([poolV1(), some(300, wide)]);
    expect(byTargets.pool().models).toHaveLength(TARGETS_MAX / TARGETS_PER_MODEL_MAX - 1);
    expect(byTargets.left).toHaveLength(1);
  });

  test("and by the bytes that they take: the largest tables leave room for endpoints", () => {
    const long = (i: number) => `${i}`.padStart(256, "x");
    const rules = Array.from({ length: 3000 }, (_, i) => [[long(i)], [long(i + 5000)]] as const);
    const documents = [poolV1(), rewrite("r", rules)];
    const { pool, left } = resolved(documents);
    expect(pool().models.length).toBeLessThan(3000);
    expect(left).toEqual([`pool default/p has 3000 models, only the oldest ${pool().models.length} count: ${room}`]);
    const bytes = bytesOf(documents).length;
    expect(bytes).toBeLessThan(MODELS_TABLE_BYTES_MAX + 2_000);
    expect(bytes).toBeGreaterThan(MODELS_TABLE_BYTES_MAX * 0.95);
  });

  test("of a rule with too many targets the first count", () => {
    const targets = Array.from({ length: TARGETS_PER_MODEL_MAX + 1 }, (_, i) => `t${i}`);
    const { pool, left } = resolved([poolV1(), rewrite("r", [[["m"], targets]])]);
    expect(pool().models[0]?.rule?.targets).toHaveLength(TARGETS_PER_MODEL_MAX);
    expect(left).toEqual(["InferenceModelRewrite default/r: a rule has 65 targets, only the first 64 count"]);
  });
});
