// A gateway over two servers that say of themselves what a test wants, scheduled by documents that the
// test changes while all is running.

import { expect } from "vitest";
import { stringify } from "yaml";
import { decodeSnapshot } from "../../../src/control/decode.ts";
import { HEADER_SERVED, PATH_METRICS } from "../../../src/wire/names.ts";
import { Backend, type Exchange, echo, type Load } from "./backend.ts";
import { chat } from "./bodies.ts";
import type { Answer, Call, Client } from "./client.ts";
import { ConfigMap } from "./config-map.ts";
import { eventually } from "./eventually.ts";
import { type Gateway, type GatewayOptions, POOL, startGateway } from "./gateway.ts";
import { onOnePort } from "./pod-addresses.ts";
import type { Labels } from "./statistics.ts";

/** A plugin of the profile under test. */
export interface Plugin {
  readonly type: string;
  readonly name?: string;
  readonly parameters?: object;
  /** Of scorers only. */
  readonly weight?: number;
}

/** One request that a server has and does not answer. */
export interface Held {
  readonly model?: string;
  readonly contentBytes?: number;
}

/** What is said of one server; what is left out is the same for both. */
export interface State extends Partial<Load> {
  readonly labels?: Labels;
  readonly holds?: readonly Held[];
}

/** Something runs on every server, so all are scraped often. */
const BUSY: Load = { waiting: 0, running: 1, kvUsage: 0 };
/** Of a pod: tells it from the others, and from itself with other labels. */
const SLOT = "slot";
/** Of a request: goes to the server with this slot. With HOLD it is not answered there. */
const STEER = "x-steer";
const HOLD = "x-hold";
const CHAT = "/v1/chat/completions";
/** Of the servers' KV memory, at least. */
const BLOCKS = 10_000;
/** How many picks in a row must agree: that equal candidates do so by chance has odds of 1 in 4096. */
const PICKS = 12;

/** Picks go by the profile under test unless the request asks to be steered. */
const STEERING: readonly Plugin[] = [
  { type: "header-label-affinity-scorer", name: "steer", parameters: { headerName: STEER, labelKey: SLOT } },
];

/** vLLM's metrics, and two more that steps know as the attributes "temperature" and "noise". */
const EXTRACTOR: Plugin = {
  type: "core-metrics-extractor",
  parameters: {
    engineConfigs: [
      {
        name: "vllm",
        queuedRequestsSpec: "vllm:num_requests_waiting",
        runningRequestsSpec: "vllm:num_requests_running",
        kvUsageSpec: "vllm:kv_cache_usage_perc",
        loraSpec: "vllm:lora_requests_info",
        cacheInfoSpec: "vllm:cache_config_info",
        customMetrics: [
          { attributeKey: "temperature", metricSpec: "gpu_temperature_celsius" },
          { attributeKey: "noise", metricSpec: "fan_noise_db" },
        ],
      },
    ],
  },
};

export function document(plugins: readonly object[], profiles: Readonly<Record<string, readonly Plugin[]>>): string {
  const named = Object.entries(profiles).map(([name, refs]) => ({
    name,
    plugins: refs.map(({ name, type, weight }) => ({
      pluginRef: name ?? type,
      ...(weight === undefined ? {} : { weight }),
    })),
  }));
  return stringify({
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    plugins: plugins.map((plugin) => ({ ...plugin, weight: undefined })),
    schedulingProfiles: named,
  });
}

export class Schedule {
  readonly gateway: Gateway;
  readonly servers: readonly Backend[];
  readonly client: Client;
  readonly config: ConfigMap;
  readonly #underHold: Exchange[];
  /** The labels of each server, and its slot. */
  readonly #labels: { readonly text: string; readonly slot: string }[] = [];
  #versions = 0;

  private constructor(gateway: Gateway, servers: readonly Backend[], config: ConfigMap, underHold: Exchange[]) {
    this.gateway = gateway;
    this.servers = servers;
    this.client = gateway.client("h1", 1);
    this.config = config;
    this.#underHold = underHold;
  }

  static async start(options: Omit<GatewayOptions, "servers"> = {}): Promise<Schedule> {
    const underHold: Exchange[] = [];
    const handler = async (exchange: Exchange) => {
      if (exchange.request.headers[HOLD] === undefined) return echo(exchange);
      await exchange.read();
      underHold.push(exchange);
    };
    const servers = await onOnePort(2, (listen) => Backend.start(listen, { handler, load: BUSY }));
    const config = new ConfigMap(document(STEERING, { start: STEERING }));
    const gateway = await startGateway({ servers, configPath: config.path, scrapeIntervalMs: 25, ...options });
    const schedule = new Schedule(gateway, servers, config, underHold);
    await schedule.put([{}, {}]);
    return schedule;
  }

  async stop(): Promise<void> {
    this.#release();
    await this.gateway.stop();
    await Promise.all(this.servers.map((server) => server.stop()));
    this.config.delete();
  }

  /** Puts a profile of these plugins in force; a picker may be among them. */
  async use(...plugins: readonly Plugin[]): Promise<void> {
    const byHeader = { type: "header-profile-handler", parameters: { defaultProfile: this.#nextName() } };
    const all = [byHeader, EXTRACTOR, ...STEERING, ...plugins];
    await this.write(document(all, { [byHeader.parameters.defaultProfile]: plugins, steer: STEERING }));
  }

  /** Puts a whole document in force. */
  async write(text: string): Promise<void> {
    await this.#inForce(() => this.config.replace(text));
  }

  /** Makes the servers be so, and waits until the filter knows it. */
  async put(states: readonly State[]): Promise<void> {
    this.#release();
    for (const [index, { labels = {} }] of states.entries()) await this.#label(index, labels);
    this.#versions += 1;
    const blocks = BLOCKS + this.#versions;
    this.servers.forEach((server, index) => {
      const { more = "" } = states[index] ?? {};
      server.load = { ...BUSY, ...states[index], more: cacheInfo(blocks) + more };
    });
    // What a page says is known as a whole: by its number of blocks, which differs each time.
    await eventually(
      () => this.#blocks(),
      (known) => known.length === this.servers.length && known.every((one) => one === blocks),
    );
    await this.#settled();
    for (const [index, { holds = [] }] of states.entries()) {
      for (const held of holds) await this.#hold(index, held);
    }
  }

  /** Sends a chat that is unlike every other unless `call` says what to send. */
  ask(call: Call = {}): Promise<Answer> {
    return this.client.call({ path: CHAT, body: chat(), ...call });
  }

  /** Sends it to this server whatever the profile under test says. */
  steer(index: number, call: Call = {}): Promise<Answer> {
    return this.ask({ ...call, headers: { ...call.headers, ...this.#steered(index) } });
  }

  /** Which server gets the request; -1 when none does. */
  async pick(call?: Call): Promise<number> {
    const { headers } = await this.ask(call);
    return this.servers.findIndex(({ name }) => name === headers[HEADER_SERVED]);
  }

  async picks(count: number, call?: () => Call): Promise<readonly number[]> {
    const found: number[] = [];
    for (let n = 0; n < count; ++n) found.push(await this.pick(call?.()));
    return found;
  }

  /** Soon the server gets such requests, and from then on all of them. */
  async expectPicks(index: number, call?: () => Call): Promise<void> {
    await eventually(
      () => this.pick(call?.()),
      (picked) => picked === index,
    );
    expect(await this.picks(PICKS, call)).toEqual(Array.from({ length: PICKS }, () => index));
  }

  #nextName(): string {
    this.#versions += 1;
    return `case-${this.#versions}`;
  }

  #steered(index: number): Readonly<Record<string, string>> {
    return { "epp-profile": "steer", [STEER]: this.#labels[index]!.slot };
  }

  /** Makes a change that leads to a new topology, and waits until the filter goes by it. */
  async #inForce(change: () => void): Promise<void> {
    const before = (await this.gateway.snapshot()).epochs.sent;
    change();
    await eventually(
      async () => (await this.gateway.snapshot()).epochs,
      ({ sent, applied }) => sent !== before && applied === sent,
    );
    await this.gateway.measured();
  }

  async #label(index: number, labels: Labels): Promise<void> {
    const text = JSON.stringify(labels);
    if (this.#labels[index]?.text === text) return;
    this.#versions += 1;
    // A topology is new only when a step's view of the labels is: the steering step sees each change.
    const slot = `${index}-${this.#versions}`;
    this.#labels[index] = { text, slot };
    const pod = { name: `pod-${index + 1}`, ip: this.servers[index]!.address.host, pool: POOL };
    await this.#inForce(() => this.gateway.objects.putPod({ ...pod, labels: { ...labels, [SLOT]: slot } }));
  }

  /** Of every endpoint, as the filter knows it. */
  async #blocks(): Promise<readonly unknown[]> {
    const decoded = decodeSnapshot((await this.gateway.control("GET", PATH_METRICS)).body);
    return decoded.ok && decoded.value.kind === "metrics" ? decoded.value.metrics.rows.map((row) => row.blocks) : [];
  }

  /** Nothing is in flight any more. */
  async #settled(): Promise<void> {
    await eventually(
      () => this.gateway.inFlight(),
      (count) => count === 0,
    );
  }

  async #hold(index: number, { model = "m", contentBytes = 16 }: Held): Promise<void> {
    const count = this.#underHold.length + 1;
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "h".repeat(contentBytes) }] });
    const client = this.gateway.client("h1", 1);
    client.begin({ path: CHAT, body, headers: { ...this.#steered(index), [HOLD]: "1" } }).catch(() => {});
    await eventually(
      () => this.#underHold.length,
      (length) => length === count,
    );
    expect(this.#underHold.at(-1)!.backend).toBe(this.servers[index]);
  }

  #release(): void {
    for (const { response } of this.#underHold.splice(0)) response.end();
  }
}

function cacheInfo(blocks: number): string {
  const labels = `block_size="16",num_gpu_blocks="${blocks}"`;
  return `# TYPE vllm:cache_config_info gauge\nvllm:cache_config_info{${labels}} 1\n`;
}
