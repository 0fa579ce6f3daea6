// What is written into the status of InferenceModels, when, and what is not.

import { describe, expect, onTestFinished, test } from "vitest";
import { KubeClient } from "../../../src/control/kube/client.ts";
import { ModelStatus } from "../../../src/control/kube/model-status.ts";
import { type SeenModel, seenModel } from "../../../src/control/kube/seen-model.ts";
import type { Verdict } from "../../../src/control/models/resolve.ts";
import { logLines } from "../log-lines.ts";
import { until } from "../until.ts";
import { type Failure, type FakeApiServer, fakeApiServer, type Json } from "./fake-api-server.ts";

const MODELS = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/ns/inferencemodels";
const SECONDS = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
/** As the CRD gives it to an object that has none. */
const OTHERS = {
  type: "Ready",
  status: "Unknown",
  reason: "Pending",
  message: "Waiting for controller",
  lastTransitionTime: "1970-01-01T00:00:00Z",
};
const PATCHES: Failure["when"] = ({ method }) => method === "PATCH";

async function status() {
  const server = await fakeApiServer();
  const client = new KubeClient(server.config());
  const { log, lines } = logLines();
  const models = new ModelStatus({ client, log, retry: { firstMs: 10, longestMs: 40 } });
  onTestFinished(async () => {
    await models.stop();
    await client.stop();
  });
  /** As a watch that is up to date. */
  const see = (...names: readonly string[]) =>
    models.setSeen(names.map((name) => seenModel(server.read(`${MODELS}/${name}`))!));
  const writes = () => server.requests.filter(({ method }) => method === "PATCH");
  return { server, models, lines, see, writes };
}

function put(server: FakeApiServer, name: string, generation = 1, status?: object): Json {
  const metadata = { name, namespace: "ns", generation };
  return server.put(MODELS, { kind: "InferenceModel", metadata, spec: {}, ...(status && { status }) });
}

function verdict(name: string, reason: Verdict["reason"] = "Accepted", message = "counts"): Verdict {
  return { namespace: "ns", name, reason, message };
}

function conditions(server: FakeApiServer, name: string): readonly Record<string, unknown>[] {
  const { conditions = [] } = (server.read(`${MODELS}/${name}`)?.status ?? {}) as { conditions?: [] };
  return conditions;
}

/** `status reason message generation` of the condition that is ours. */
function told(server: FakeApiServer, name: string): string | undefined {
  const found = conditions(server, name).find(({ type }) => type === "Accepted");
  return found && `${found.status} ${found.reason} ${found.message} ${found.observedGeneration}`;
}

async function untilTold(server: FakeApiServer, name: string, what: string): Promise<void> {
  await until(`${name}: ${what}, now ${told(server, name)}`, () => told(server, name) === what);
}

describe("the condition", () => {
  test("says whether the model counts, beside the conditions of others", async () => {
    const { server, models, see, writes } = await status();
    put(server, "a", 3, { conditions: [OTHERS] });
    put(server, "b");
    put(server, "c");
    see("a", "b", "c");
    models.setVerdicts([verdict("a"), verdict("b", "ModelNameInUse", "of a"), verdict("c", "Pending", "waits")]);
    models.setLeading(true);
    await untilTold(server, "c", "Unknown Pending waits 1");
    expect(told(server, "b")).toBe("False ModelNameInUse of a 1");
    const ours = { status: "True", reason: "Accepted", message: "counts", observedGeneration: 3 };
    expect(conditions(server, "a")).toEqual([OTHERS, { type: "Accepted", ...ours, lastTransitionTime: SECONDS }]);
    const { query, headers, body } = writes()[0]!;
    expect(query).toEqual({ fieldManager: "pointsman", force: "true" });
    expect(headers["content-type"]).toBe("application/apply-patch+yaml");
    expect(Object.keys(body as object)).toEqual(["apiVersion", "kind", "metadata", "status"]);
  });

  test("keeps the time of its last transition as long as the status is the same", async () => {
    const { server, models, see } = await status();
    const lastTransitionTime = "2020-01-01T00:00:00Z";
    const ours = { type: "Accepted", status: "True", reason: "Accepted", message: "counts", observedGeneration: 1 };
    put(server, "a", 2, { conditions: [{ ...ours, lastTransitionTime }] });
    see("a");
    models.setVerdicts([verdict("a")]);
    models.setLeading(true);
    await untilTold(server, "a", "True Accepted counts 2");
    expect(conditions(server, "a")[0]!.lastTransitionTime).toBe(lastTransitionTime);
    see("a");
    models.setVerdicts([verdict("a", "Pending", "waits")]);
    await untilTold(server, "a", "Unknown Pending waits 2");
    expect(conditions(server, "a")[0]!.lastTransitionTime).not.toBe(lastTransitionTime);
  });

  test("speaks of the generation that the verdict is on, not of one that came after it", async () => {
    const { server, models, see } = await status();
    put(server, "a", 1);
    see("a");
    models.setVerdicts([verdict("a")]);
    put(server, "a", 2);
    see("a");
    models.setLeading(true);
    await untilTold(server, "a", "True Accepted counts 1");
    models.setVerdicts([verdict("a")]);
    await untilTold(server, "a", "True Accepted counts 2");
  });

  test("of an object that cannot be read says so, whatever the verdict on its former form", async () => {
    const { server, models, see, writes } = await status();
    const problem = "spec: wrong; what it said before stays";
    const seenNow = (name: string) => seenModel(server.read(`${MODELS}/${name}`))!;
    put(server, "a", 1);
    see("a");
    models.setVerdicts([verdict("a")]);
    models.setLeading(true);
    await untilTold(server, "a", "True Accepted counts 1");
    put(server, "a", 2, { conditions: conditions(server, "a") });
    put(server, "new", 1);
    models.setSeen([seenNow("a"), seenNow("new")].map((model) => ({ ...model, problem })));
    models.setVerdicts([verdict("a")]);
    await untilTold(server, "a", `Unknown Pending ${problem} 2`);
    await untilTold(server, "new", `Unknown Pending ${problem} 1`);
    put(server, "a", 3, { conditions: conditions(server, "a") });
    see("a", "new");
    models.setVerdicts([verdict("a"), verdict("new")]);
    await untilTold(server, "new", "True Accepted counts 1");
    expect(told(server, "a")).toBe("True Accepted counts 3");
    expect(writes()).toHaveLength(5);
  });
});

describe("nothing is written", () => {
  test("while not leading, nor after that", async () => {
    const { server, models, see, writes } = await status();
    put(server, "a");
    see("a");
    models.setVerdicts([verdict("a")]);
    models.setLeading(true);
    await untilTold(server, "a", "True Accepted counts 1");
    models.setLeading(false);
    models.setVerdicts([verdict("a", "Pending", "waits")]);
    models.setLeading(true);
    await untilTold(server, "a", "Unknown Pending waits 1");
    expect(writes()).toHaveLength(2);
  });

  test("when the object says it already, also while the watch does not show it yet", async () => {
    const { server, models, see, writes } = await status();
    put(server, "a");
    put(server, "b");
    models.setLeading(true);
    see("a");
    const before = seenModel(server.read(`${MODELS}/a`))!;
    models.setVerdicts([verdict("a")]);
    await untilTold(server, "a", "True Accepted counts 1");
    models.setSeen([before]);
    models.setVerdicts([verdict("a")]);
    see("a", "b");
    models.setVerdicts([verdict("a"), verdict("b")]);
    await untilTold(server, "b", "True Accepted counts 1");
    expect(writes()).toHaveLength(2);
  });

  test("for what is gone or was never there", async () => {
    const { server, models, see, writes } = await status();
    const gone = seenModel(put(server, "gone"))!;
    server.remove(`${MODELS}/gone`);
    put(server, "a");
    models.setLeading(true);
    models.setSeen([gone]);
    models.setVerdicts([verdict("gone"), verdict("never"), verdict("a")]);
    await until("asked", () => writes().length === 1);
    models.setSeen([gone, seenModel(server.read(`${MODELS}/a`))!]);
    await untilTold(server, "a", "True Accepted counts 1");
    expect(writes()).toHaveLength(2);
    put(server, "gone");
    see("gone");
    models.setVerdicts([verdict("gone")]);
    await untilTold(server, "gone", "True Accepted counts 1");
  });
});

describe("a write", () => {
  test.each([403, 409, 500])("that is refused with %i is tried again, and that is said once", async (code) => {
    const { server, models, lines, see, writes } = await status();
    put(server, "a");
    see("a");
    server.fail({ status: code, message: "no", times: 4, when: PATCHES });
    models.setVerdicts([verdict("a")]);
    models.setLeading(true);
    await untilTold(server, "a", "True Accepted counts 1");
    await until("said", () => lines.length === 2);
    expect(lines.map(({ level }) => level)).toEqual(["warn", "info"]);
    expect(lines[0]!.fields).toEqual({ object: "InferenceModel ns/a", reason: `${code}: no` });
    const ms = writes().map(({ atMs }) => atMs);
    expect(ms.slice(1).map((at, i) => at - ms[i]! > 4)).toEqual([true, true, true, true]);
  });

  test("that fails for one object does not hold up the others", async () => {
    const { server, models, see } = await status();
    put(server, "bad");
    put(server, "good");
    server.fail({ status: 500, times: 1_000, when: ({ path }) => path.includes("bad") });
    see("bad", "good");
    models.setVerdicts([verdict("bad"), verdict("good")]);
    models.setLeading(true);
    await untilTold(server, "good", "True Accepted counts 1");
  });

  test("that waits is of the newest verdict, and one at a time is on its way", async () => {
    const { server, models, see, writes } = await status();
    put(server, "a");
    put(server, "b");
    see("a", "b");
    server.silent = true;
    models.setVerdicts([verdict("a"), verdict("b", "Accepted", "first")]);
    models.setLeading(true);
    await until("asked", () => writes().length > 0);
    models.setVerdicts([verdict("a"), verdict("b", "Accepted", "second")]);
    models.setVerdicts([verdict("a"), verdict("b", "Accepted", "third")]);
    const endMs = performance.now() + 50;
    await until("time passes", () => performance.now() > endMs);
    expect(writes()).toHaveLength(1);
    models.setLeading(false);
    server.silent = false;
    models.setLeading(true);
    await untilTold(server, "b", "True Accepted third 1");
    expect(writes().map(({ path }) => path.split("/").at(-2))).toEqual(["a", "a", "b"]);
  });
});

describe("an InferenceModel as it is seen", () => {
  test("is taken with our condition only", () => {
    const ours = { status: "True", reason: "Accepted", message: "m", observedGeneration: 2, lastTransitionTime: "t" };
    const metadata = { namespace: "ns", name: "a", generation: 2, resourceVersion: "7", labels: {} };
    const seen = { namespace: "ns", name: "a", pool: "chat", generation: 2, resourceVersion: "7" };
    const expected: SeenModel = { ...seen, condition: ours };
    const spec = { poolRef: { name: "chat" } };
    const conditions = [OTHERS, { type: "Accepted", ...ours }];
    expect(seenModel({ metadata, spec, status: { conditions } })).toEqual(expected);
    expect(seenModel({ metadata, spec, status: {} })).toEqual({ ...expected, condition: undefined });
    expect(seenModel({ metadata })).toEqual({ ...expected, pool: "", condition: undefined });
  });

  test.each([undefined, null, {}, { metadata: {} }])("is nothing when it is %j", (object) => {
    expect(seenModel(object)).toBeUndefined();
  });
});
