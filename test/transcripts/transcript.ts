// A transcript: a Markdown section that holds what happens to a filter (```events) and every host call
// it makes (```calls). README.md says how they are written.

import { STATUS_OK } from "../host/abi.ts";
import type { LogEntry } from "../host/call-log.ts";
import { Control } from "../host/control.ts";
import { drive } from "../host/drive.ts";
import type { HeaderList } from "../host/header-map.ts";
import type { ModelsSpec } from "../host/models.ts";
import { Process } from "../host/process.ts";
import type { ProgramSpec } from "../host/program.ts";
import type { Root } from "../host/root.ts";
import type { RowSpec } from "../host/snapshot.ts";
import type { Stream } from "../host/stream.ts";
import type { Vm } from "../host/vm.ts";

export interface Transcript {
  readonly title: string;
  readonly setup: readonly string[];
  readonly events: readonly string[];
  readonly calls: string;
}

const STATUSES = ["ok", "not found", "bad argument", "", "", "", "no memory", "empty", "changed meanwhile"];
/** After `warm`: the worker has told all it knows, and its next heartbeat is not soon. */
const WARM_MS = 20;
const POOL = "default/llama";

/** All sections of a file that have events. Throws on a section without calls. */
export function parseTranscripts(markdown: string): Transcript[] {
  const [preamble, ...sections] = markdown.split(/^## /m);
  const shared = fence(preamble!, "setup") ?? "";
  return sections.flatMap((section) => {
    const events = fence(section, "events");
    if (events === undefined) return [];
    const title = section.split("\n", 1)[0]!;
    const calls = fence(section, "calls");
    if (calls === undefined) throw new Error(`"${title}" has events but no calls`);
    const setup = `${shared}\n${fence(section, "setup") ?? ""}`;
    return [{ title, setup: setup.split("\n"), events: events.split("\n"), calls }];
  });
}

/** The file with the calls of one section replaced. */
export function withCalls(markdown: string, title: string, calls: string): string {
  const start = markdown.indexOf(`## ${title}\n`);
  const open = markdown.indexOf("```calls\n", start) + "```calls\n".length;
  return markdown.slice(0, open) + calls + markdown.slice(markdown.indexOf("\n```", open));
}

function fence(text: string, name: string): string | undefined {
  return new RegExp(`^\`\`\`${name}\\n([^]*?)\\n\`\`\`$`, "m").exec(text)?.[1];
}

/** Plays a transcript; returns what it should have as its calls. */
export function play(transcript: Transcript): string {
  const stage = new Stage();
  for (const [line, indented] of steps(transcript.setup)) stage.step(line, indented);
  stage.record();
  for (const [line, indented] of steps(transcript.events)) stage.step(line, indented);
  return stage.said();
}

/** A line with the indented ones below it. */
function steps(lines: readonly string[]): [line: string, indented: string[]][] {
  const found: [string, string[]][] = [];
  for (const line of lines) {
    if (line.startsWith("  ")) found.at(-1)?.[1].push(line.slice(2));
    else if (line !== "") found.push([line, []]);
  }
  return found;
}

class Stage {
  private readonly process = new Process();
  private readonly control = new Control(this.process);
  private readonly vm = this.process.newVm();
  private root: Root | undefined;
  private program: ProgramSpec | undefined;
  private models: ModelsSpec | undefined;
  /** By the names that `stream` gives them. */
  private readonly streams = new Map<string, Stream>();
  private current = "";
  private recorded: Vm = this.vm;

  record(): void {
    this.recorded.log.recording = true;
  }

  said(): string {
    const entries = this.recorded.log.take();
    const total = entries.filter((entry) => entry.kind === "call").length;
    return [...entries.map(shown), `= ${total} host calls`].join("\n");
  }

  step(line: string, indented: readonly string[]): void {
    const [verb, ...words] = line.split(" ");
    const rest = words.join(" ");
    const text = indented.join("\n");
    if (verb === "config") this.root = this.vm.root(rest);
    else if (verb === "program") this.program = JSON.parse(rest) as ProgramSpec;
    else if (verb === "models") this.models = JSON.parse(rest) as ModelsSpec;
    else if (verb === "control") this.recorded = this.control.vm;
    else if (verb === "topology") {
      const program = this.program === undefined ? {} : { program: this.program };
      const models = this.models === undefined ? {} : { models: this.models };
      this.control.topology([{ name: POOL, endpoints: words.map((address) => ({ address })), ...program, ...models }]);
    } else if (verb === "metrics") this.control.metrics(indented.map(row));
    else if (verb === "advance") this.process.advanceMs(Number.parseFloat(rest));
    else if (verb === "tick") this.root!.tick();
    else if (verb === "stream") this.current = rest;
    else if (verb === "put") this.control.exchange("PUT", rest, Buffer.from(text));
    else if (verb === "get") this.control.exchange("GET", rest);
    else if (verb === "warm") {
      drive(this.vm, this.root!, { body: '{"model":"m"}' });
      this.process.advanceMs(WARM_MS);
    } else this.streamStep(verb!, rest, text, headersOf(indented));
  }

  private streamStep(verb: string, rest: string, text: string, headers: HeaderList): void {
    const stream = this.streams.get(this.current) ?? this.vm.stream(this.root!);
    this.streams.set(this.current, stream);
    const end = rest.endsWith("end");
    const from = /from (\S+)/.exec(rest)?.[1];
    const flags = /flags (\d+)/.exec(rest)?.[1];
    const times = Number(/x(\d+)/.exec(rest)?.[1] ?? 1);
    if (from !== undefined) stream.setProperty("upstream.address", from);
    if (flags !== undefined) stream.setProperty("response.flags", u64(Number(flags)));
    if (verb === "request-headers") stream.requestHeaders(headers, end);
    else if (verb === "request-body") stream.requestBody(text.repeat(times), end);
    else if (verb === "response-headers") stream.responseHeaders(headers, end);
    else if (verb === "response-body") stream.responseBody(text, end);
    else if (verb === "end" || verb === "reset") {
      stream.end();
      this.streams.delete(this.current);
    } else throw new Error(`unknown event "${verb} ${rest}"`);
  }
}

function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** "waiting=3 kv=0.5" */
function row(text: string): RowSpec {
  const values = Object.fromEntries(text.split(" ").map((pair) => pair.split("=")));
  return { waiting: Number(values.waiting ?? 0), running: 0, kvUsage: Number(values.kv ?? 0) };
}

function headersOf(lines: readonly string[]): HeaderList {
  return lines.map((line) => {
    const [, name, value] = /^(:?[^:]+): ?(.*)$/.exec(line) ?? [];
    return [name ?? "", value ?? ""] as const;
  });
}

function shown(entry: LogEntry): string {
  const name = entry.name.replace(/^proxy_(on_)?/, "");
  if (entry.kind === "callback") {
    const result = entry.result === undefined ? "" : ` → ${resultOf(entry.name, entry.result)}`;
    const rest = entry.args.slice(1);
    if (/_(headers|body)$/.test(name)) {
      const [count, end] = rest;
      const size = name.endsWith("body") ? `${count} bytes` : `${count} headers`;
      return `${name}: ${size}${end === 1 ? ", end" : ""}${result}`;
    }
    return `${name}${result}`;
  }
  const status = entry.status === STATUS_OK ? "" : ` ✗ ${STATUSES[entry.status] ?? entry.status}`;
  const value = entry.value === undefined || status !== "" ? "" : ` → ${entry.value}`;
  return `  ${name}(${entry.args.join(", ")})${value}${status}`;
}

function resultOf(callback: string, result: number): string {
  if (!/_(headers|body|trailers)$/.test(callback)) return String(result);
  if (result === 0) return "continue";
  if (result === 1) return callback.endsWith("body") ? "stop and buffer" : "stop";
  return "stop, drop";
}
