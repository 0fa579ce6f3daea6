import { parseArgs } from "node:util";
import { expect, test } from "vitest";
import { runSim, simOptions } from "../../src/sim/command.ts";
import { call, chat } from "./calls.ts";

function valuesOf(...args: string[]) {
  return parseArgs({ args, options: simOptions }).values;
}

test("options reach the server", async () => {
  const sim = await runSim(
    valuesOf("--listen=127.0.0.1:0", "--name=n", "--model=m", "--loras=x,y", "--blocks=65", "--answer-tokens=2"),
  );
  try {
    const { data } = JSON.parse((await call(sim, { path: "/v1/models" })).body);
    expect(data.map(({ id }: { id: string }) => id)).toEqual(["m", "x", "y"]);
    expect(data[0].max_model_len).toBe(1024);
    const answer = await call(sim, { body: chat({ model: "x", max_tokens: undefined }) });
    expect(answer.headers["x-sim-name"]).toBe("n");
    expect(JSON.parse(answer.body).usage.completion_tokens).toBe(2);
  } finally {
    await sim.stop();
  }
});

test.each([
  ["--listen=8000", "--listen"],
  ["--listen=127.0.0.1:70000", "--listen"],
  ["--max-running=0", "--max-running"],
  ["--blocks=many", "--blocks"],
  ["--decode-slowdown=1", "--decode-slowdown"],
  ["--prefill-tokens-per-s=-3", "--prefill-tokens-per-s"],
])("%s is refused by name", async (argument, name) => {
  await expect(runSim(valuesOf(argument))).rejects.toThrow(name);
});

test("a port in use is said in a sentence", async () => {
  const sim = await runSim(valuesOf("--listen=127.0.0.1:0"));
  try {
    const listen = `127.0.0.1:${sim.address.port}`;
    await expect(runSim(valuesOf(`--listen=${listen}`))).rejects.toThrow(`--listen ${listen}: the port is in use`);
  } finally {
    await sim.stop();
  }
});
