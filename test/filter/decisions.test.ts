// What a worker tells of the rules that chose models, and of its attempts to pick an endpoint.

import { expect, test } from "vitest";
import { decodeSeries, type SeriesBlock } from "../../src/control/series.ts";
import { HEADER_REWRITE } from "../../src/wire/names.ts";
import type { ModelsSpec } from "../host/models.ts";
import { Gateway, IDLE, POOL } from "./gateway.ts";

const A = "10.0.0.1:8000";
const MANY = 300;

function told(gateway: Gateway): SeriesBlock {
  gateway.settle();
  const decoded = decodeSeries(gateway.control.exchange("GET", "/v1/series/0").body);
  if (!decoded.ok) throw new Error(decoded.error.message);
  return decoded.value;
}

function serving(models: ModelsSpec, endpoints: readonly string[] = [A]): Gateway {
  const gateway = new Gateway();
  gateway.control.topology([{ name: POOL, models, endpoints: endpoints.map((address) => ({ address })) }]);
  gateway.control.metrics(endpoints.map(() => IDLE));
  return gateway;
}

function ask(gateway: Gateway, model: string, headers: readonly (readonly [string, string])[] = []): void {
  gateway.worker.drive({ body: JSON.stringify({ model, messages: [] }), headers });
}

test("each rule's decisions are counted by the caller's name and the target", () => {
  const gateway = serving({
    models: [
      { name: "food", rule: "menu", targets: [{ name: "food-v2" }] },
      { name: "bare" },
      { name: "same", rule: "keeps", targets: [{ name: "same" }] },
    ],
  });
  for (const model of ["food", "bare", "food", "same", "none"]) ask(gateway, model);
  ask(gateway, "bare", [[HEADER_REWRITE, "asked-for"]]);
  const { decisions } = told(gateway);
  expect(decisions.filter(({ count }) => count > 0)).toEqual([
    { rule: "menu", model: "food", target: "food-v2", count: 2 },
    { rule: "keeps", model: "same", target: "same", count: 1 },
  ]);
});

test("what has no room counts as other, and labels keep their rows while more come", () => {
  const gateway = serving({ generic: { rule: "all", targets: [{ name: "base" }] } });
  for (let n = 0; n < MANY; ++n) ask(gateway, `m${n}`);
  ask(gateway, "m1");
  const { decisions, rows } = told(gateway);
  expect(decisions).toHaveLength(256);
  expect(decisions[0]).toEqual({ rule: "other", model: "other", target: "other", count: MANY - 255 });
  expect(decisions[2]).toEqual({ rule: "all", model: "m1", target: "base", count: 2 });
  // Rows by labels and decisions lie in one table: neither writes over the other.
  ask(gateway, "one-more");
  const later = told(gateway);
  expect(later.rows.slice(0, rows.length)).toEqual(rows);
  expect(later.rows.at(-1)).toMatchObject({ labels: { model: "one-more" }, requests: 1, running: 0 });
  expect(later.rows.at(-1)!.errors).toEqual(rows[1]!.errors);
});

test("attempts are counted by whether they came to an endpoint", () => {
  const gateway = serving({});
  for (let n = 0; n < 3; ++n) ask(gateway, "m");
  expect(told(gateway).rows[1]!.attempts).toEqual([3, 0]);
  const empty = serving({}, []);
  ask(empty, "m");
  expect(told(empty).rows[1]!.attempts).toEqual([0, 1]);
});
