// What the filter takes a request for against the oracle: pools, objectives, models and targets at random, and
// what headers and routes say. RESOLVE_SEED=<number> tries others.

import fc from "fast-check";
import { expect, test } from "vitest";
import { HEADER_OBJECTIVE, HEADER_REWRITE } from "../../src/wire/names.ts";
import { Gateway, IDLE } from "../filter/gateway.ts";
import { sendRequest } from "../host/drive.ts";
import type { HeaderList } from "../host/header-map.ts";
import type { ModelsSpec } from "../host/models.ts";
import { type Asked, type Pool, resolve } from "../oracle/resolve.ts";

const CASES = 1_500;
const SEED = Number(process.env.RESOLVE_SEED ?? 42);

/** Few names, so that they meet. */
const name = fc.constantFrom("a", "b", "c", "d", "né", "");
const modelName = fc.constantFrom("a", "b", "c", "d", "né", 'q"');
const poolNames = ["ns/one", "ns/two", "ns/three"];
const anyPool = fc.constantFrom(...poolNames, "ns/none");
const target = fc.record({ name: modelName, weight: fc.integer({ min: 1, max: 1_000_000 }) });
const targets = fc.array(target, { minLength: 1, maxLength: 4 });
const model = fc.record(
  { name: modelName, targets, priority: fc.integer({ min: -5, max: 5 }), routes: fc.boolean() },
  { requiredKeys: ["name"] },
);
const models: fc.Arbitrary<ModelsSpec> = fc.record(
  {
    objectives: fc.dictionary(fc.constantFrom("a", "b", "c"), fc.integer({ min: -9, max: 9 })),
    models: fc.uniqueArray(model, { maxLength: 5, selector: (one) => one.name }),
    generic: fc.record({ targets }),
  },
  { requiredKeys: [] },
);
const pools = fc
  .uniqueArray(fc.constantFrom(...poolNames), { minLength: 1, maxLength: 3 })
  .chain((names) =>
    fc.tuple(...names.map((of) => fc.record({ name: fc.constant(of), models }, { requiredKeys: ["name"] }))),
  ) as fc.Arbitrary<readonly Pool[]>;
const asked: fc.Arbitrary<Asked> = fc.record(
  {
    model: name,
    objective: fc.constantFrom("a", "b", "x"),
    rewrite: fc.constantFrom("a", "z"),
    routePool: anyPool,
    headerPool: anyPool,
  },
  { requiredKeys: ["model"] },
);

interface Explained {
  readonly pool: string;
  readonly model: string;
  readonly target?: string;
  readonly priority?: number;
}

function ask(gateway: Gateway, { model, objective, rewrite, routePool, headerPool }: Asked): Explained | number {
  const stream = gateway.worker.stream();
  if (routePool !== undefined) {
    stream.setProperty("xds\0route_metadata\0filter_metadata\0pointsman\0pool", routePool);
  }
  const named: readonly (readonly [string, string | undefined])[] = [
    ["x-pointsman-explain", "1"],
    [HEADER_OBJECTIVE, objective],
    [HEADER_REWRITE, rewrite],
    ["x-pool", headerPool],
  ];
  const headers = named.filter(([, value]) => value !== undefined) as HeaderList;
  sendRequest(stream, { body: JSON.stringify({ model, prompt: "p" }), path: "/v1/completions", headers });
  const { status, body } = stream.localResponse!;
  stream.end();
  return status === 200 ? (JSON.parse(Buffer.from(body).toString()) as Explained) : status;
}

test(`${CASES} requests: pool, priority and target are the oracle's`, () => {
  const gateway = new Gateway({ explain: true, poolHeader: "x-pool", defaultPool: "ns/two" });
  const seen = { found: 0, none: 0, rewritten: 0 };
  fc.assert(
    fc.property(pools, fc.array(asked, { minLength: 1, maxLength: 8 }), (all, requests) => {
      gateway.control.topology(all.map((pool) => ({ ...pool, endpoints: [{ address: "10.0.0.1:80" }] })));
      gateway.control.metrics(all.map(() => IDLE));
      gateway.advance(2);
      for (const request of requests) {
        const filter = ask(gateway, request);
        // A pool that is alone is the default's only if it has its name.
        const isStrange = all.length === 1 && all[0]!.name !== "ns/two";
        const oracle = isStrange ? undefined : resolve(request, all, "ns/two");
        if (oracle === undefined) {
          expect(filter).toBe(404);
          ++seen.none;
          continue;
        }
        const { pool, model, target = model, priority = 0 } = filter as Explained;
        expect({ pool, priority }).toEqual({ pool: oracle.pool, priority: oracle.priority });
        expect([...oracle.targets.keys()]).toContain(target);
        ++seen.found;
        if (target !== request.model) ++seen.rewritten;
      }
    }),
    { numRuns: CASES / 3, seed: SEED },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100);
}, 60_000);
