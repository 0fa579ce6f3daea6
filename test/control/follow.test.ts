// What the follower hands on when objects change.

import { expect, test } from "vitest";
import { Follower } from "../../src/control/follow.ts";
import type { Verdict } from "../../src/control/models/resolve.ts";
import { Rollout } from "../../src/control/rollout.ts";
import type { Fleet } from "../../src/control/scrape/fleet.ts";
import { Snapshot } from "../../src/control/snapshot.ts";
import { logLines } from "./log-lines.ts";
import { model, objectsOf, poolV1 } from "./models/documents.ts";

test("verdicts on InferenceModels are told each time, also when nothing else has changed", () => {
  const { log } = logLines();
  const told: (readonly Verdict[])[] = [];
  const follower = new Follower({
    snapshot: new Snapshot(),
    fleet: { setTargets: () => {} } as unknown as Fleet,
    rollout: new Rollout({ xds: undefined, log, apply: async () => true }),
    place: {},
    log,
    onVerdicts: (verdicts) => told.push(verdicts),
  });
  follower.setObjects(objectsOf([model("a", "m")]));
  follower.setObjects(objectsOf([poolV1(), model("a", "m")]));
  follower.setObjects(objectsOf([poolV1(), model("a", "m")]));
  const reasons = told.map((verdicts) => verdicts.map(({ name, reason }) => `${name} ${reason}`));
  expect(reasons).toEqual([["a Pending"], ["a Accepted"], ["a Accepted"]]);
});
