// Any objects in any order against the rules of docs/models.md, read naively: for one model in one pool, list every
// rule that matches and take the first by precedence.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { PoolModels } from "../../../src/control/models/models.ts";
import { bytesOf, model, poolV1, type RuleOf, resolved, rewrite } from "./documents.ts";

const POOLS = ["p", "q"];
const MODELS = ["a", "b", "c"];

type Kind = "InferenceModel" | "InferenceModelRewrite";
type Written = {
  readonly kind: Kind;
  readonly name: string;
  readonly pool: string;
  readonly day: number | undefined;
  /** Of an InferenceModel the first match of the first rule is its name, and the targets are its own. */
  readonly rules: readonly RuleOf[];
};

const targets = fc.dictionary(fc.constantFrom("x", "y", "z"), fc.integer({ min: 1, max: 1_000_000 }), { minKeys: 1 });
const rule: fc.Arbitrary<RuleOf> = fc.tuple(fc.subarray(MODELS), targets);
const written: fc.Arbitrary<readonly Written[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom<Kind>("InferenceModel", "InferenceModelRewrite"),
      pool: fc.constantFrom(...POOLS),
      day: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      rules: fc.array(rule, { minLength: 1, maxLength: 3 }),
    }),
    { maxLength: 7 },
  )
  // Names in another order than places.
  .map((objects) => objects.map((object, i) => ({ ...object, name: `o${9 - i}` })));

function documentOf({ kind, name, pool, day, rules }: Written): object {
  const meta = { pool, ...(day === undefined ? {} : { created: `2026-01-0${day}T00:00:00Z` }) };
  if (kind === "InferenceModelRewrite") return rewrite(name, rules, meta);
  const [matches, weights] = rules[0]!;
  const targetModels = Object.entries(weights).map(([target, weight]) => ({ name: target, weight }));
  return model(name, matches[0] ?? "a", { targetModels }, meta);
}

/** Negative when `a` is the older. Of objects of one day the first by kind and name is; of those without, by place. */
function byAge(a: Written & { readonly place: number }, b: Written & { readonly place: number }): number {
  if (a.day !== b.day) return (a.day ?? 99) - (b.day ?? 99);
  const isFirst = a.day === undefined ? a.place < b.place : `${a.kind}/${a.name}` < `${b.kind}/${b.name}`;
  return isFirst ? -1 : 1;
}

/** Rules in the order in which they count, exact ones and those for every model apart. */
function rulesFor(objects: readonly Written[], pool: string, name: string) {
  const aged = objects
    .map((object, place) => ({ ...object, place }))
    .filter((object) => object.pool === pool)
    .sort(byAge);
  const names = new Set<string>();
  const all = aged.flatMap((object) => {
    if (object.kind === "InferenceModelRewrite")
      return object.rules.map(([matches, weights]) => ({ matches, weights, object }));
    const own = object.rules[0]![0][0] ?? "a";
    const isFirst = !names.has(own);
    names.add(own);
    return isFirst ? [{ matches: [own], weights: object.rules[0]![1], object }] : [];
  });
  return {
    exact: all.filter(({ matches }) => matches.includes(name)),
    generic: all.filter(({ matches }) => matches.length === 0),
  };
}

/** What the table sends requests for, as a filter would look it up. */
function lookUp(table: PoolModels, name: string) {
  const found = table.models.find((entry) => entry.name === name)?.rule ?? table.generic;
  return found && { rule: found.rule, weights: Object.fromEntries(found.targets.map((t) => [t.name, t.weight])) };
}

test("every model is sent for what the rules say", () => {
  fc.assert(
    fc.property(written, (objects) => {
      const { pool } = resolved([...POOLS.map((name) => poolV1(name)), ...objects.map(documentOf)]);
      for (const where of POOLS)
        for (const name of [...MODELS, "unnamed"]) {
          const { exact, generic } = rulesFor(objects, where, name);
          const first = exact[0] ?? generic[0];
          const expected = first && { rule: first.object.name, weights: { ...(first.weights as object) } };
          expect(lookUp(pool(`default/${where}`), name)).toEqual(expected);
        }
    }),
    { numRuns: 300 },
  );
});

test("a model that is named routes to the pool of the oldest object which names it", () => {
  fc.assert(
    fc.property(written, (objects) => {
      const { pool } = resolved([...POOLS.map((name) => poolV1(name)), ...objects.map(documentOf)]);
      for (const name of MODELS) {
        const oldest = POOLS.flatMap((where) => rulesFor(objects, where, name).exact.slice(0, 1))
          .map(({ object }) => object)
          .sort(byAge)[0];
        const found = POOLS.filter((where) =>
          pool(`default/${where}`).models.some((entry) => entry.name === name && entry.routes),
        );
        expect(found).toEqual(oldest === undefined ? [] : [oldest.pool]);
      }
    }),
    { numRuns: 300 },
  );
});

test("where the objects say when they were created, their places do not matter: the same bytes", () => {
  const dated = written.map((objects) => objects.map((object, i) => ({ ...object, day: i + 1 })));
  fc.assert(
    fc.property(
      dated.chain((objects) =>
        fc.tuple(fc.constant(objects), fc.shuffledSubarray([...objects], { minLength: objects.length })),
      ),
      ([objects, shuffled]) => {
        const pools = POOLS.map((name) => poolV1(name));
        const bytes = bytesOf([...pools, ...objects.map(documentOf)]);
        expect(bytesOf([...shuffled.map(documentOf), ...pools]).equals(bytes)).toBe(true);
      },
    ),
  );
});
