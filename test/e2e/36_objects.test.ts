// From documents to servers: objectives, rewrites and models of both generations, in one folder.

import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { HEADER_EXPLAIN, HEADER_OBJECTIVE } from "../../src/wire/names.ts";
import { Backend, type Exchange } from "./support/backend.ts";
import { eventually } from "./support/eventually.ts";
import { type Gateway, POOL, startGateway } from "./support/gateway.ts";
import { onOnePort } from "./support/pod-addresses.ts";
import { Statistics } from "./support/statistics.ts";

const CHAT = "/v1/chat/completions";
const NEW = "llm-d.ai/v1alpha2";
const OLD = "inference.networking.x-k8s.io/v1alpha2";

let backends: readonly Backend[] = [];
let gateway: Gateway;

/** Answers with the model it was asked for. */
async function modelOnly({ request, response }: Exchange): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  response.end((JSON.parse(Buffer.concat(pieces).toString()) as { readonly model: string }).model);
}

function put(apiVersion: string, kind: string, name: string, spec: object): void {
  const document = {
    apiVersion,
    kind,
    metadata: { name, namespace: "default" },
    spec: { poolRef: { name: POOL }, ...spec },
  };
  gateway.objects.put(name, stringify(document));
}

beforeAll(async () => {
  backends = await onOnePort(2, (listen) => Backend.start(listen, { handler: modelOnly }));
  gateway = await startGateway({ servers: backends, filter: { explain: true } });
  put(NEW, "InferenceObjective", "urgent", { priority: 5 });
  put(OLD, "InferenceObjective", "batch", { priority: -5 });
  const rules = [{ matches: [{ model: { value: "food" } }], targets: [{ modelRewrite: "food-v1" }] }];
  put(NEW, "InferenceModelRewrite", "rollout", { rules });
  put(OLD, "InferenceModel", "chatty", {
    modelName: "chatty",
    criticality: "Critical",
    targetModels: [{ name: "chatty-v7" }],
  });
  await eventually(
    () => servedFor("chatty"),
    (model) => model === "chatty-v7",
  );
});

afterAll(async () => {
  await gateway?.stop();
  for (const backend of backends) await backend.stop();
});

async function servedFor(model: string): Promise<string> {
  return (await gateway.client().call({ path: CHAT, body: bodyFor(model) })).body.toString();
}

function bodyFor(model: string): string {
  return JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] });
}

async function priorityOf(model: string, objective?: string): Promise<number> {
  const headers = { [HEADER_EXPLAIN]: "1", ...(objective === undefined ? {} : { [HEADER_OBJECTIVE]: objective }) };
  const answer = await gateway.client().call({ path: CHAT, body: bodyFor(model), headers });
  expect(answer.status).toBe(200);
  return answer.json().priority ?? 0;
}

test("servers are asked for what the documents say", async () => {
  expect(await servedFor("food")).toBe("food-v1");
  expect(await servedFor("chatty")).toBe("chatty-v7");
  expect(await servedFor("other")).toBe("other");
});

test("priorities are those of objectives, and of models where none is named", async () => {
  expect(await priorityOf("other", "urgent")).toBe(5);
  expect(await priorityOf("chatty", "batch")).toBe(-5);
  expect(await priorityOf("chatty")).toBe(1);
  expect(await priorityOf("other")).toBe(0);
  expect(await priorityOf("other", "nobody's")).toBe(0);
});

test("a rule that changes counts for the requests after it, and one for every model for all others", async () => {
  const matches = [{ model: { value: "food" } }];
  const rules = [{ matches, targets: [{ modelRewrite: "food-v2" }] }, { targets: [{ modelRewrite: "base" }] }];
  put(NEW, "InferenceModelRewrite", "rollout", { rules });
  await eventually(
    () => servedFor("food"),
    (model) => model === "food-v2",
  );
  expect(await servedFor("other")).toBe("base");
  expect(await servedFor("chatty")).toBe("chatty-v7");
});

test("the agent's page tells which rule chose what, by the rule's name", async () => {
  const { host, port } = gateway.up.agent;
  const read = async () => new Statistics(await (await fetch(`http://${host}:${port}/metrics`)).text());
  const labels = { model_rewrite_name: "rollout", model_name: "other", target_model: "base" };
  const name = "llm_d_epp_model_rewrite_decisions_total";
  const page = await eventually(read, (each) => each.sum(name, labels) > 0);
  expect(page.sum(name, { ...labels, model_name: "chatty" })).toBe(0);
  const asked = page.sum("llm_d_epp_request_total", { model_name: "food", target_model_name: "food-v1" });
  expect(asked).toBeGreaterThan(0);
  expect(page.sum(name, { model_name: "food", target_model: "food-v1" })).toBe(asked);
});
