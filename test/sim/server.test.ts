import { createHash } from "node:crypto";
import { Agent, get } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type Sim, type SimOptions, startSim } from "../../src/sim/server.ts";
import { type Answer, call, chat, until } from "./calls.ts";

const sims: Sim[] = [];

afterEach(async () => {
  await Promise.all(sims.splice(0).map((sim) => sim.stop()));
});

/** Answers at once unless told otherwise. */
async function sim(options: SimOptions = {}): Promise<Sim> {
  const infinite = Number.POSITIVE_INFINITY;
  const started = await startSim({ prefillTokensPerS: infinite, decodeTokensPerS: infinite, ...options });
  sims.push(started);
  return started;
}

/** A request whose answer takes for ever: resolves once the engine has it. */
async function hold(server: Sim, fields: Readonly<Record<string, unknown>> = {}): Promise<AbortController> {
  const controller = new AbortController();
  const { received } = server.stats();
  const body = chat({ stream: true, ...fields });
  void call(server, { body, signal: controller.signal }).catch(() => {});
  await until(() => server.stats().received === received + 1);
  return controller;
}

function eventsOf(answer: Answer): string[] {
  const events = answer.body.split("\n\n");
  expect(events.pop()).toBe("");
  return events.map((event) => event.slice("data: ".length));
}

describe("answers", () => {
  test("chat: the asked number of tokens, usage with what the prefix cache held", async () => {
    const server = await sim();
    const body = chat({ messages: [{ role: "user", content: "a".repeat(400) }] });
    await call(server, { body });
    const answer = JSON.parse((await call(server, { body, headers: { "x-request-id": "r1" } })).body);
    expect(answer).toMatchObject({ id: "chatcmpl-r1", object: "chat.completion", model: "sim" });
    expect(answer.choices).toMatchObject([{ message: { role: "assistant" }, finish_reason: "length" }]);
    // 400 bytes and two role marks are 106 tokens: six full blocks of 16 without the last token.
    expect(answer.usage).toEqual({
      prompt_tokens: 106,
      total_tokens: 109,
      completion_tokens: 3,
      prompt_tokens_details: { cached_tokens: 96 },
    });
  });

  test("a conversation finds all that was said so far, answers too", async () => {
    const server = await sim();
    const messages = [{ role: "user", content: "a".repeat(403) }];
    const turn = async () => JSON.parse((await call(server, { body: chat({ messages, max_tokens: 40 }) })).body);
    const first = await turn();
    messages.push(first.choices[0].message, { role: "user", content: "b".repeat(200) });
    const { usage } = await turn();
    const reusable = Math.floor((first.usage.total_tokens - 1) / 16) * 16;
    expect(usage.prompt_tokens_details.cached_tokens).toBe(reusable);
    expect(server.stats()).toMatchObject({ prefixHitTokens: reusable });
  });

  test("adapters and cache salts share no prefix", async () => {
    const server = await sim({ loras: ["x"] });
    const messages = [{ role: "user", content: "a".repeat(400) }];
    const cached = async (fields: Readonly<Record<string, unknown>>) => {
      const { usage } = JSON.parse((await call(server, { body: chat({ messages, ...fields }) })).body);
      return usage.prompt_tokens_details.cached_tokens;
    };
    for (const fields of [{}, { model: "x" }, { cache_salt: "s" }, { model: "x", cache_salt: "s" }]) {
      expect(await cached(fields)).toBe(0);
      expect(await cached(fields)).toBe(96);
    }
  });

  test("chat stream: role, a chunk per token, usage when asked for, end mark", async () => {
    const server = await sim();
    const answer = await call(server, { body: chat({ stream: true, stream_options: { include_usage: true } }) });
    expect(answer.headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    const events = eventsOf(answer);
    expect(events.pop()).toBe("[DONE]");
    const chunks = events.map((event) => JSON.parse(event));
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 3 } });
    expect(chunks[0].choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.slice(1, -1).map((chunk) => chunk.choices[0].finish_reason)).toEqual([null, null, "length"]);
    expect(chunks.slice(1, -1).every((chunk) => chunk.choices[0].delta.content.length === 4)).toBe(true);
  });

  test("completions: text, a choice per prompt, token ids, streaming without usage", async () => {
    const server = await sim({ answerTokens: 5 });
    const path = "/v1/completions";
    const batch = JSON.parse((await call(server, { path, body: { prompt: ["a", "b"] } })).body);
    expect(batch.choices).toMatchObject([
      { index: 0, finish_reason: "stop" },
      { index: 1, finish_reason: "stop" },
    ]);
    expect(batch).toMatchObject({ object: "text_completion", usage: { completion_tokens: 10 } });
    const ids = JSON.parse((await call(server, { path, body: { prompt: [7, 8, 9] } })).body);
    expect(ids.usage.prompt_tokens).toBe(3);
    const streamed = eventsOf(await call(server, { path, body: { prompt: "a", max_tokens: 2, stream: true } }));
    expect(streamed).toHaveLength(3);
    expect(JSON.parse(streamed[0]!).choices[0]).toMatchObject({ text: expect.any(String), finish_reason: null });
  });

  test("models: the base model, and adapters with their parent", async () => {
    const server = await sim({ model: "base", loras: ["x"], blocks: 65 });
    const { data } = JSON.parse((await call(server, { path: "/v1/models" })).body);
    expect(data).toMatchObject([
      { id: "base", parent: null, max_model_len: 1024 },
      { id: "x", parent: "base" },
    ]);
    expect((await call(server, { path: "/health" })).status).toBe(200);
  });

  test.each([
    ["an unknown model", chat({ model: "nope" }), 404, "NotFoundError", "model"],
    ["no JSON", '{"model":', 400, "Bad Request", "body"],
    ["no object", "[]", 400, "Bad Request", "body"],
    ["no messages", { model: "sim" }, 400, "Bad Request", "body.messages"],
    ["a limit that is no number", chat({ max_tokens: "x" }), 400, "Bad Request", "body.max_tokens"],
    ["a limit below 1", chat({ max_tokens: -1 }), 400, "BadRequestError", "max_tokens"],
    ["a limit above the model's", chat({ max_tokens: 5000 }), 400, "BadRequestError", "max_tokens"],
    ["too long a prompt", chat({ messages: [{ content: "a".repeat(5000) }] }), 400, "BadRequestError", "input_tokens"],
  ])("%s is refused as vLLM does", async (_what, body, status, type, param) => {
    const server = await sim({ blocks: 65 });
    const answer = await call(server, { body });
    expect(answer.status).toBe(status);
    const { error } = JSON.parse(answer.body);
    expect(error).toEqual({ message: expect.any(String), type, param, code: status });
  });

  test("wrong methods, paths and content types are refused; a missing model is the base model", async () => {
    const server = await sim();
    const wrongMethod = await call(server, {});
    expect([wrongMethod.status, wrongMethod.headers.allow]).toEqual([405, "POST"]);
    expect((await call(server, { path: "/v1/embeddings", body: {} })).status).toBe(404);
    const plain = { "content-type": "text/plain" };
    expect((await call(server, { body: chat(), headers: plain })).status).toBe(400);
    const unnamed = await call(server, { body: { messages: [] } });
    expect(JSON.parse(unnamed.body).model).toBe("sim");
  });

  test("every answer names the server and says what was received", async () => {
    const server = await sim({ name: "one" });
    const body = `not JSON ${"é".repeat(100_000)}`;
    const { headers } = await call(server, { body });
    expect(headers["x-sim-name"]).toBe("one");
    expect(headers["x-sim-body-bytes"]).toBe(String(Buffer.byteLength(body)));
    expect(headers["x-sim-body-sha256"]).toBe(createHash("sha256").update(body).digest("hex"));
    const echo = await call(server, { path: "/sim/echo?q=1", body: "abc", headers: { "x-some": "thing" } });
    expect(JSON.parse(echo.body)).toMatchObject({ method: "POST", url: "/sim/echo?q=1", bytes: 3 });
    expect(JSON.parse(echo.body).headers["x-some"]).toBe("thing");
  });
});

describe("metrics", () => {
  /** Value of the one line that begins with `start`. */
  async function metric(server: Sim, start: string): Promise<number> {
    const page = await call(server, { path: "/metrics" });
    const lines = page.body.split("\n").filter((line) => line.startsWith(start));
    expect(lines).toHaveLength(1);
    return Number(lines[0]!.split(" ").at(-1));
  }

  test("queue, running and KV use are those of the engine, under vLLM's names", async () => {
    const server = await sim({ maxRunning: 1, blocks: 101, decodeTokensPerS: 1 });
    await hold(server, { max_tokens: 100 });
    await hold(server);
    await hold(server);
    const labels = '{engine="0",model_name="sim"} ';
    expect(await metric(server, `vllm:num_requests_running${labels}`)).toBe(1);
    expect(await metric(server, `vllm:num_requests_waiting${labels}`)).toBe(2);
    // 11 tokens of prompt and 100 of answer in blocks of 16, of 100.
    expect(await metric(server, `vllm:kv_cache_usage_perc${labels}`)).toBe(0.07);
    expect(await metric(server, `vllm:prefix_cache_queries_total${labels}`)).toBe(11);
    const page = (await call(server, { path: "/metrics" })).body;
    expect(page).toMatch(/^vllm:cache_config_info\{block_size="16",.*num_gpu_blocks="101",.*\} 1\.0$/m);
    expect(page).not.toContain("lora_requests_info");
  });

  test("a client that leaves frees its slot at once", async () => {
    const server = await sim({ maxRunning: 1, decodeTokensPerS: 1 });
    const first = await hold(server, { max_tokens: 1000 });
    await hold(server);
    first.abort();
    await until(() => server.stats().waiting === 0);
    expect(server.stats()).toMatchObject({ running: 1, cancelled: 1 });
  });

  test("adapter sets are kept with the time they were last seen; the newest is the present", async () => {
    const server = await sim({ loras: ["x", "y"], decodeTokensPerS: 1 });
    const infos = async () => {
      const page = (await call(server, { path: "/metrics" })).body;
      const line =
        /^vllm:lora_requests_info\{max_lora="4",running_lora_adapters="(.*)",waiting_lora_adapters="\1"\} (.*)$/;
      const found = page.split("\n").flatMap((text) => line.exec(text)?.slice(1) ?? []);
      const sets = found.flatMap((text, i) => (i % 2 === 0 ? [{ set: text, seenS: Number(found[i + 1]) }] : []));
      return sets.sort((a, b) => b.seenS - a.seenS).map(({ set }) => set);
    };
    expect(await infos()).toEqual([]);
    const one = await hold(server, { model: "x" });
    await hold(server, { model: "y" });
    expect((await infos())[0]).toBe("x,y");
    one.abort();
    await until(() => server.stats().running === 1);
    expect(await infos()).toEqual(["y", "x,y", "x"]);
  });
});

describe("connections", () => {
  test("an idle one is closed after the given time, without a Keep-Alive header", async () => {
    const server = await sim({ idleCloseMs: 50 });
    const agent = new Agent({ keepAlive: true });
    const { host, port } = server.address;
    const closed = new Promise<void>((resolve, reject) => {
      get({ host, port, path: "/health", agent }, (res) => {
        expect(res.headers["keep-alive"]).toBeUndefined();
        res.socket.once("close", () => resolve());
        res.resume();
      }).on("error", reject);
    });
    await closed;
    agent.destroy();
    await until(() => server.stats().connections === 0);
  });

  test("one with a request under way is not idle", async () => {
    const server = await sim({ idleCloseMs: 30, decodeTokensPerS: 10 });
    const answer = await call(server, { body: chat({ stream: true, max_tokens: 3 }) });
    expect(eventsOf(answer)).toHaveLength(5);
  });

  test("HTTP/2 with prior knowledge: body, streaming, reset", async () => {
    const server = await sim({ http2: true, decodeTokensPerS: 100 });
    const session = connectHttp2(server.url);
    const headers = { ":method": "POST", ":path": "/v1/chat/completions", "content-type": "application/json" };
    const stream = session.request(headers);
    stream.end(JSON.stringify(chat({ stream: true })));
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += chunk;
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    const left = session.request(headers);
    left.on("error", () => {});
    left.end(JSON.stringify(chat({ max_tokens: 10_000 })));
    await until(() => server.stats().running === 1);
    left.close();
    await until(() => server.stats().cancelled === 1);
    expect(server.stats().running).toBe(0);
    session.destroy();
    await until(() => server.stats().connections === 0);
  });

  test("a WebSocket gets its frames back", async () => {
    const server = await sim();
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/realtime`);
    const long = "x".repeat(70_000);
    const got: string[] = [];
    socket.onopen = () => {
      socket.send("short");
      socket.send(long);
    };
    socket.onmessage = ({ data }) => {
      got.push(data as string);
      if (got.length === 2) socket.close(1000, "bye");
    };
    socket.onclose = ({ reason }) => resolve(reason);
    socket.onerror = () => reject(new Error("no WebSocket"));
    expect(await promise).toBe("bye");
    expect(got).toEqual(["short", long]);
  });
});

describe("failures on purpose", () => {
  test("refused connections, and the same port afterwards; live requests go on", async () => {
    const server = await sim({ decodeTokensPerS: 20, idleCloseMs: 0 });
    const { host, port } = server.address;
    const body = JSON.stringify(chat({ stream: true, max_tokens: 4 }));
    const kept = connect(port, host, () => {
      kept.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    });
    const idle = connect(port, host);
    let text = "";
    kept.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
    const ended = [kept, idle].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    await until(() => server.stats().running === 1 && server.stats().connections === 2);

    await server.setFailure({ refuse: true });
    await ended[1];
    await expect(call(server, { path: "/health" })).rejects.toMatchObject({ code: "ECONNREFUSED" });
    // The client keeps its connection: the server ends it, after the answer.
    await ended[0];
    expect(text).toContain("data: [DONE]");
    await server.setFailure({});
    expect((await call(server, { path: "/health" })).status).toBe(200);
  });

  test("a status, a cut connection, silent metrics", async () => {
    const server = await sim();
    await server.setFailure({ status: 503 });
    expect((await call(server, { body: chat() })).status).toBe(503);
    await server.setFailure({ reset: true });
    await expect(call(server, { body: chat() })).rejects.toMatchObject({ code: "ECONNRESET" });
    await server.setFailure({ hangMetrics: true });
    const signal = AbortSignal.timeout(50);
    await expect(call(server, { path: "/metrics", signal })).rejects.toMatchObject({ code: "ABORT_ERR" });
    expect((await call(server, { body: chat() })).status).toBe(200);
    expect(server.stats()).toMatchObject({ received: 3, finished: 1, failed: 2, scrapes: 1 });
  });

  test("an address in use rejects with the system's error", async () => {
    const server = await sim();
    await expect(startSim({ listen: server.address })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  test("a request that is no HTTP ends its own connection only", async () => {
    const server = await sim();
    const { host, port } = server.address;
    const socket = connect(port, host, () => socket.write("\x00\x01nonsense\r\n\r\n"));
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("close", resolve));
    expect((await call(server, { path: "/health" })).status).toBe(200);
  });
});
