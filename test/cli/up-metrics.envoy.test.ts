// `up` hands what it is told about metrics to its agent.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startUp } from "../../src/cli/up.ts";
import { fakeServer } from "../control/fake-server.ts";
import { podYaml, poolYaml } from "../control/objects.ts";
import { temporaryDir } from "../control/until.ts";

test("metrics by https, at another path, with a token", async () => {
  const tls = join(import.meta.dirname, "../control/tls");
  const pem = (name: string) => readFileSync(join(tls, `${name}.pem`), "utf8");
  const server = await fakeServer({ cert: pem("server"), key: pem("server-key") });
  const asked = Promise.withResolvers<unknown>();
  server.answer = (request, response) => {
    asked.resolve({ url: request.url, authorization: request.headers.authorization });
    response.end("vllm:num_requests_waiting 6\n");
  };
  const objectsDir = temporaryDir();
  writeFileSync(join(objectsDir, "all.yaml"), `${poolYaml("p", [server.port])}---\n${podYaml("a", "127.0.0.1")}`);
  const tokenFile = join(temporaryDir(), "token");
  writeFileSync(tokenFile, "secret");
  const metrics = { scheme: "https", path: "/m", caFile: join(tls, "authority.pem"), tokenFile } as const;
  const up = await startUp({ objectsDir, metrics, concurrency: 1 });
  onTestFinished(() => up.stop());
  expect(await asked.promise).toEqual({ url: "/m", authorization: "Bearer secret" });
});
