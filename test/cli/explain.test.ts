// What `pointsman explain` makes of its flags.

import { expect, test } from "vitest";
import { joined } from "../../src/cli/commands/explain.ts";

test("a header that is given several times is a list", () => {
  expect(
    joined([
      ["x-team", "a"],
      ["accept", "json"],
      ["x-team", "b"],
    ]),
  ).toEqual({ "x-team": "a, b", accept: "json" });
});
