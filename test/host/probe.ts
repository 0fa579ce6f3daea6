// A module that says every callback it gets, compiled from AssemblyScript for the tests of the host.
// The first part of the path tells it what to do.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { main } from "assemblyscript/asc";

const ROOT = new URL("../..", import.meta.url).pathname;

const SOURCE = `
import {
  proxy_log, proxy_send_local_response, proxy_get_header_map_value, proxy_get_buffer_bytes,
  proxy_replace_header_map_value, proxy_remove_header_map_value, proxy_get_property,
  proxy_set_effective_context, proxy_continue_stream, proxy_close_stream, proxy_set_tick_period_milliseconds,
} from "@gcoredev/proxy-wasm-sdk-as/assembly/imports";

const outPointer = memory.data(4, 4);
const outSize = memory.data(4, 4);
let mode = "";
/** The stream that the next tick does something with, 0 = none; and what. */
let parked: u32 = 0;
let plan = "";

export function abort(message: string | null, file: string | null, line: u32, column: u32): void { unreachable(); }
export function proxy_abi_version_0_2_1(): void {}
export function proxy_on_memory_allocate(size: usize): usize { return heap.alloc(size); }

function say(text: string): void {
  const bytes = String.UTF8.encode("probe: " + text);
  proxy_log(2, changetype<usize>(bytes), bytes.byteLength);
}

function taken(status: u32): string {
  if (status != 0) return "status " + status.toString();
  return String.UTF8.decodeUnsafe(load<u32>(outPointer), load<u32>(outSize));
}

function header(map: i32, name: string): string {
  const key = String.UTF8.encode(name);
  return taken(proxy_get_header_map_value(map, changetype<usize>(key), key.byteLength, outPointer, outSize));
}

function set(map: i32, name: string, value: string): u32 {
  const key = String.UTF8.encode(name);
  const text = String.UTF8.encode(value);
  return proxy_replace_header_map_value(
    map, changetype<usize>(key), key.byteLength, changetype<usize>(text), text.byteLength);
}

function bytes(type: i32, start: u32, length: u32): string {
  store<u32>(outPointer, 0);
  store<u32>(outSize, 0);
  const status = proxy_get_buffer_bytes(type, start, length, outPointer, outSize);
  return status != 0 ? "status " + status.toString() : load<u32>(outSize).toString() + " bytes";
}

function reply(code: u32): u32 {
  const body = String.UTF8.encode("no");
  const pairs = memory.data<u8>([1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 120, 45, 97, 0, 98, 0]);
  return proxy_send_local_response(code, 0, 0, changetype<usize>(body), body.byteLength, pairs, 18, -1);
}

export function proxy_on_context_create(id: u32, parent: u32): void {
  say("create " + (parent == 0 ? "root" : "stream"));
}
export function proxy_on_vm_start(root: u32, size: u32): u32 { say("vm_start " + size.toString()); return 1; }
export function proxy_on_configure(root: u32, size: u32): u32 {
  say("configure " + size.toString() + ", " + bytes(7, 0, 100) + ", " + bytes(6, 0, 100));
  proxy_set_tick_period_milliseconds(100);
  return 1;
}
export function proxy_on_tick(root: u32): void {
  if (parked == 0) return;
  const id = parked;
  parked = 0;
  say("tick path: " + header(0, ":path").split("?")[0] + " nobody: " + proxy_set_effective_context(9999).toString());
  say("effective " + proxy_set_effective_context(id).toString() + " path: " + header(0, ":path").split("?")[0]
    + " all: " + bytes(0, 0, 1000000) + " set: " + set(0, "x-probe", "ticked").toString());
  if (plan == "park-reply") say("reply " + reply(403).toString());
  else if (plan == "park-close") say("close " + proxy_close_stream(0).toString());
  else {
    say("continue " + proxy_continue_stream(0).toString() + " all: " + bytes(0, 0, 1000000)
      + " set: " + set(0, "x-late", "1").toString());
  }
}
export function proxy_on_request_headers(id: u32, count: u32, end: u32): i32 {
  mode = header(0, ":path").split("/")[1];
  say("request_headers end=" + end.toString() + " x-none: " + header(0, "x-none"));
  if (mode == "reply") { say("reply " + reply(403).toString() + ", again " + reply(404).toString()); return 1; }
  if (mode == "trap") unreachable();
  return mode == "pass" ? 0 : 1;
}
export function proxy_on_request_body(id: u32, size: u32, end: u32): i32 {
  say("request_body size=" + size.toString() + " end=" + end.toString()
    + " path: " + header(0, ":path").split("?")[0]
    + " all: " + bytes(0, 0, 1000000) + " middle: " + bytes(0, 1, 2)
    + " at end: " + bytes(0, size, 10));
  if (mode == "pass" || mode == "stream") return 0;
  if (mode == "reply-body") { reply(403); return 1; }
  if (mode.startsWith("park-early")) {
    if (plan == mode) return 0;
    parked = id;
    plan = mode;
    return mode == "park-early-watermark" ? 2 : mode == "park-early-dropped" ? 3 : 1;
  }
  if (mode.startsWith("park") && end == 1) {
    parked = id;
    plan = mode;
    return 1;
  }
  if (end == 0) return 1;
  set(0, "x-probe", "held");
  return 0;
}
export function proxy_on_request_trailers(id: u32, count: u32): i32 { say("request_trailers"); return 0; }
export function proxy_on_response_headers(id: u32, count: u32, end: u32): i32 {
  const upstream = String.UTF8.encode("upstream\\0address");
  const status = proxy_get_property(changetype<usize>(upstream), upstream.byteLength, outPointer, outSize);
  say("response_headers " + header(2, ":status") + " end=" + end.toString() + " x-a: " + header(2, "x-a")
    + " upstream: " + (status == 0 ? "known" : "status " + status.toString())
    + " path: " + header(0, ":path").split("?")[0]
    + " set late: " + set(0, "x-late", "1").toString());
  if (mode == "reply-response") reply(502);
  return 0;
}
export function proxy_on_response_body(id: u32, size: u32, end: u32): i32 {
  say("response_body size=" + size.toString() + " end=" + end.toString() + " status: " + header(2, ":status"));
  return 0;
}
export function proxy_on_log(id: u32): void {
  say("log path: " + header(0, ":path").split("?")[0] + " status: " + header(2, ":status"));
}
export function proxy_on_done(id: u32): u32 { say("done"); return 1; }
export function proxy_on_delete(id: u32): void { say("delete"); }
`;

/** Compiles the probe into that file. */
export async function buildProbe(outFile: string): Promise<void> {
  const options = ["probe.ts", "--outFile", outFile, "--runtime", "stub", "--exportStart", "_initialize"];
  const { error, stderr } = await main([...options, "--use", "abort=probe/abort", "--baseDir", ROOT], {
    readFile(name: string, baseDir: string): string | null {
      if (name === "probe.ts") return SOURCE;
      if (name === "asconfig.json") return null; // the filter's own
      try {
        return readFileSync(join(baseDir, name), "utf8");
      } catch {
        return null;
      }
    },
  });
  if (error !== null) throw new Error(stderr.toString());
}
