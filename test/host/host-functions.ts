// The functions that a module may import: proxy-wasm ABI 0.2.1 as Envoy answers it, and the two of
// WASI that a module without a standard library needs. Each counts itself and, when asked, logs itself.

import {
  BUFFER_NAMES,
  LOG_LEVELS,
  MAP_NAMES,
  STATUS_BAD_ARGUMENT,
  STATUS_EMPTY,
  STATUS_INVALID_MEMORY_ACCESS,
  STATUS_NOT_FOUND,
  STATUS_OK,
} from "./abi.ts";
import { readable } from "./call-log.ts";
import { decodePairs, encodePairs } from "./header-map.ts";
import { InvalidMemoryAccess } from "./memory.ts";
import type { Vm } from "./vm.ts";

type HostFunction = (...args: never[]) => number;
type Note = (name: string, args: readonly (string | number)[], status: number, value?: string | Uint8Array) => number;

/** The import object for a module: exactly what it asks for. Throws on an import that Envoy does not offer. */
export function importsFor(module: WebAssembly.Module, vm: Vm): WebAssembly.Imports {
  const note: Note = (name, args, status, value) => {
    vm.log.count(name);
    if (vm.log.recording) {
      const text = value instanceof Uint8Array ? readable(value) : value;
      vm.log.entries.push({ kind: "call", name, args, status, value: text });
    }
    return status;
  };
  const env: Record<string, HostFunction> = {
    ...headerFunctions(vm, note),
    ...bufferFunctions(vm, note),
    ...streamFunctions(vm, note),
    ...propertyFunctions(vm, note),
    ...sharedDataFunctions(vm, note),
    ...queueFunctions(vm, note),
    ...metricFunctions(vm, note),
    ...systemFunctions(vm, note),
  };
  const offered: Record<string, Record<string, HostFunction>> = {
    env,
    wasi_snapshot_preview1: wasiFunctions(vm, note),
  };
  const imports: Record<string, Record<string, HostFunction>> = {};
  for (const wanted of WebAssembly.Module.imports(module)) {
    const found = offered[wanted.module]?.[wanted.name];
    if (found === undefined)
      throw new Error(`the module imports ${wanted.module}.${wanted.name}, which no host offers`);
    imports[wanted.module] ??= {};
    imports[wanted.module]![wanted.name] = guarded(found);
  }
  return imports;
}

/** A pointer outside the module's memory is a status, not an exception. */
function guarded(body: HostFunction): HostFunction {
  return (...args) => {
    try {
      return body(...args);
    } catch (error) {
      if (error instanceof InvalidMemoryAccess) return STATUS_INVALID_MEMORY_ACCESS;
      throw error;
    }
  };
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

function headerFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  const mapName = (type: number) => MAP_NAMES[type] ?? type;
  /** The three functions that write one header differ in one word. */
  const writer =
    (verb: "add" | "replace") =>
    (type: number, name: number, nameLength: number, value: number, valueLength: number) => {
      const key = vm.memory.text(name, nameLength);
      const text = vm.memory.text(value, valueLength);
      const map = vm.context?.map(type);
      if (map !== undefined) {
        vm.context?.noteWrite(type);
        map[verb](key, text);
      }
      return note(
        `proxy_${verb}_header_map_value`,
        [mapName(type), key, text],
        map === undefined ? STATUS_BAD_ARGUMENT : STATUS_OK,
      );
    };
  return {
    proxy_add_header_map_value: writer("add"),
    proxy_replace_header_map_value: writer("replace"),
    proxy_remove_header_map_value(type: number, name: number, nameLength: number) {
      const key = vm.memory.text(name, nameLength);
      const map = vm.context?.map(type);
      if (map !== undefined) {
        vm.context?.noteWrite(type);
        map.remove(key);
      }
      const status = map === undefined ? STATUS_BAD_ARGUMENT : STATUS_OK;
      return note("proxy_remove_header_map_value", [mapName(type), key], status);
    },
    proxy_get_header_map_value(type: number, name: number, nameLength: number, pointerAt: number, sizeAt: number) {
      const key = vm.memory.text(name, nameLength);
      const map = vm.context?.map(type);
      const value = map?.get(key);
      let status = map === undefined ? STATUS_BAD_ARGUMENT : STATUS_NOT_FOUND;
      if (value !== undefined) status = vm.memory.give(bytesOf(value), pointerAt, sizeAt);
      return note("proxy_get_header_map_value", [mapName(type), key], status, value);
    },
    proxy_get_header_map_pairs(type: number, pointerAt: number, sizeAt: number) {
      const map = vm.context?.map(type);
      const pairs = map === undefined ? undefined : encodePairs(map.list());
      const status = pairs === undefined ? STATUS_BAD_ARGUMENT : vm.memory.give(pairs, pointerAt, sizeAt);
      return note("proxy_get_header_map_pairs", [mapName(type)], status, `${map?.size ?? 0} pairs`);
    },
    proxy_set_header_map_pairs(type: number, pointer: number, length: number) {
      const list = decodePairs(vm.memory.copy(pointer, length));
      const map = vm.context?.map(type);
      const ok = map !== undefined && list !== undefined;
      if (ok) {
        vm.context?.noteWrite(type);
        for (const [name] of map.list()) map.remove(name);
        for (const [name, value] of list) map.add(name, value);
      }
      const status = ok ? STATUS_OK : STATUS_BAD_ARGUMENT;
      return note("proxy_set_header_map_pairs", [mapName(type), `${list?.length ?? 0} pairs`], status);
    },
    proxy_get_header_map_size(type: number, sizeAt: number) {
      const map = vm.context?.map(type);
      // Envoy's answer is the bytes of all names and values.
      let bytes = 0;
      for (const [name, value] of map?.list() ?? []) bytes += name.length + value.length;
      if (map !== undefined) vm.memory.setU32(sizeAt, bytes);
      const status = map === undefined ? STATUS_BAD_ARGUMENT : STATUS_OK;
      return note("proxy_get_header_map_size", [mapName(type)], status, String(bytes));
    },
  };
}

function bufferFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  const bufferName = (type: number) => BUFFER_NAMES[type] ?? type;
  return {
    proxy_get_buffer_bytes(type: number, start: number, length: number, pointerAt: number, sizeAt: number) {
      const from = start >>> 0;
      const wanted = length >>> 0;
      const buffer = vm.context?.buffer(type);
      let status = STATUS_OK;
      let size = 0;
      if (buffer === undefined) status = STATUS_NOT_FOUND;
      else {
        size = Math.max(0, Math.min(wanted, buffer.size - from));
        // As Envoy: Ok, and nothing is written to the two places, when there is nothing to give.
        if (size > 0) status = vm.memory.give(buffer.view(from, size), pointerAt, sizeAt);
      }
      return note("proxy_get_buffer_bytes", [bufferName(type), from, wanted], status, `<${size} bytes>`);
    },
    proxy_get_buffer_status(type: number, lengthAt: number, flagsAt: number) {
      const buffer = vm.context?.buffer(type);
      if (buffer !== undefined) {
        vm.memory.setU32(lengthAt, buffer.size);
        vm.memory.setU32(flagsAt, 0);
      }
      const status = buffer === undefined ? STATUS_NOT_FOUND : STATUS_OK;
      return note("proxy_get_buffer_status", [bufferName(type)], status, String(buffer?.size ?? 0));
    },
    proxy_set_buffer_bytes(type: number, start: number, length: number, pointer: number, size: number) {
      const buffer = vm.context?.buffer(type);
      const bytes = vm.memory.copy(pointer, size);
      const status = buffer?.set(start >>> 0, length >>> 0, bytes) ?? STATUS_NOT_FOUND;
      return note("proxy_set_buffer_bytes", [bufferName(type), start >>> 0, length >>> 0, readable(bytes)], status);
    },
  };
}

function streamFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  return {
    proxy_send_local_response(
      status: number,
      details: number,
      detailsLength: number,
      body: number,
      bodyLength: number,
      headers: number,
      headersLength: number,
      grpcStatus: number,
    ) {
      const list = decodePairs(vm.memory.copy(headers, headersLength));
      const bytes = vm.memory.copy(body, bodyLength);
      const text = vm.memory.text(details, detailsLength);
      const response = { status: status >>> 0, details: text, headers: list ?? [], body: bytes };
      const ok = list !== undefined && vm.context?.sendLocalResponse(response) === true;
      const shown = (list ?? []).map(([name, value]) => `${name}: ${value}`).join(", ");
      return note(
        "proxy_send_local_response",
        [status, text, readable(bytes), shown, grpcStatus],
        ok ? STATUS_OK : STATUS_BAD_ARGUMENT,
      );
    },
    proxy_continue_stream(type: number) {
      const ok = vm.context?.continueStream(type) === true;
      return note("proxy_continue_stream", [type], ok ? STATUS_OK : STATUS_BAD_ARGUMENT);
    },
    proxy_close_stream(type: number) {
      const ok = vm.context?.closeStream(type) === true;
      return note("proxy_close_stream", [type], ok ? STATUS_OK : STATUS_BAD_ARGUMENT);
    },
    proxy_set_effective_context(id: number) {
      const ok = vm.setEffectiveContext(id);
      return note("proxy_set_effective_context", [id], ok ? STATUS_OK : STATUS_BAD_ARGUMENT);
    },
    proxy_done() {
      return note("proxy_done", [], STATUS_OK);
    },
  };
}

function propertyFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  const shown = (path: string) => path.replaceAll("\0", ".");
  return {
    proxy_get_property(path: number, pathLength: number, pointerAt: number, sizeAt: number) {
      const name = vm.memory.text(path, pathLength);
      const value = vm.context?.property(name);
      const status = value === undefined ? STATUS_NOT_FOUND : vm.memory.give(value, pointerAt, sizeAt);
      return note("proxy_get_property", [shown(name)], status, value);
    },
    proxy_set_property(path: number, pathLength: number, value: number, valueLength: number) {
      const name = vm.memory.text(path, pathLength);
      const bytes = vm.memory.copy(value, valueLength);
      vm.context?.setProperty(name, bytes);
      const status = vm.context === undefined ? STATUS_BAD_ARGUMENT : STATUS_OK;
      return note("proxy_set_property", [shown(name), readable(bytes)], status);
    },
  };
}

function sharedDataFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  return {
    proxy_get_shared_data(key: number, keyLength: number, pointerAt: number, sizeAt: number, casAt: number) {
      const name = vm.memory.text(key, keyLength);
      const value = vm.process.sharedData.get(name);
      let status = STATUS_NOT_FOUND;
      if (value !== undefined) {
        status = vm.memory.give(value.bytes, pointerAt, sizeAt);
        vm.memory.setU32(casAt, value.cas);
      }
      return note("proxy_get_shared_data", [name], status, value?.bytes);
    },
    proxy_set_shared_data(key: number, keyLength: number, value: number, valueLength: number, cas: number) {
      const name = vm.memory.text(key, keyLength);
      const bytes = vm.memory.copy(value, valueLength);
      const status = vm.process.sharedData.set(name, bytes, cas >>> 0);
      return note("proxy_set_shared_data", [name, readable(bytes), cas >>> 0], status);
    },
  };
}

function queueFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  const queues = vm.process.queues;
  return {
    proxy_register_shared_queue(name: number, nameLength: number, tokenAt: number) {
      const text = vm.memory.text(name, nameLength);
      const token = queues.register(text, vm, vm.context?.rootId ?? 0);
      vm.memory.setU32(tokenAt, token);
      return note("proxy_register_shared_queue", [text], STATUS_OK, String(token));
    },
    proxy_resolve_shared_queue(_id: number, _idLength: number, name: number, nameLength: number, tokenAt: number) {
      const text = vm.memory.text(name, nameLength);
      const token = queues.resolve(text);
      if (token !== undefined) vm.memory.setU32(tokenAt, token);
      const status = token === undefined ? STATUS_NOT_FOUND : STATUS_OK;
      return note("proxy_resolve_shared_queue", [text], status, String(token));
    },
    proxy_dequeue_shared_queue(token: number, pointerAt: number, sizeAt: number) {
      const message = queues.dequeue(token);
      let status = message === undefined ? STATUS_NOT_FOUND : STATUS_EMPTY;
      if (message instanceof Uint8Array) status = vm.memory.give(message, pointerAt, sizeAt);
      return note("proxy_dequeue_shared_queue", [token], status, message);
    },
    proxy_enqueue_shared_queue(token: number, pointer: number, length: number) {
      const bytes = vm.memory.copy(pointer, length);
      const status = queues.enqueue(token, bytes) ? STATUS_OK : STATUS_NOT_FOUND;
      return note("proxy_enqueue_shared_queue", [token, readable(bytes)], status);
    },
  };
}

function metricFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  const metrics = vm.process.metrics;
  const nameOf = (id: number) => metrics.byId(id)?.name ?? id;
  return {
    proxy_define_metric(type: number, name: number, nameLength: number, idAt: number) {
      const text = vm.memory.text(name, nameLength);
      const id = metrics.define(type, text);
      if (id !== undefined) vm.memory.setU32(idAt, id);
      return note("proxy_define_metric", [type, text], id === undefined ? STATUS_BAD_ARGUMENT : STATUS_OK, String(id));
    },
    proxy_increment_metric(id: number, offset: bigint) {
      return note("proxy_increment_metric", [nameOf(id), Number(offset)], metrics.increment(id, offset));
    },
    proxy_record_metric(id: number, value: bigint) {
      return note("proxy_record_metric", [nameOf(id), Number(value)], metrics.record(id, value));
    },
    proxy_get_metric(id: number, valueAt: number) {
      const metric = metrics.byId(id);
      if (metric !== undefined) vm.memory.setU64(valueAt, metric.value);
      const status = metric === undefined ? STATUS_NOT_FOUND : STATUS_OK;
      return note("proxy_get_metric", [nameOf(id)], status, String(metric?.value));
    },
  };
}

function systemFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  return {
    proxy_log(level: number, message: number, length: number) {
      const text = Buffer.from(vm.memory.copy(message, length)).toString("utf8");
      vm.process.logLines.push({ level: LOG_LEVELS[level] ?? String(level), text });
      return note("proxy_log", [LOG_LEVELS[level] ?? level, text], STATUS_OK);
    },
    proxy_get_log_level(levelAt: number) {
      vm.memory.setU32(levelAt, vm.process.logLevel);
      return note("proxy_get_log_level", [], STATUS_OK, LOG_LEVELS[vm.process.logLevel]);
    },
    proxy_set_tick_period_milliseconds(ms: number) {
      vm.setTickPeriod(vm.context?.rootId ?? 0, ms >>> 0);
      return note("proxy_set_tick_period_milliseconds", [ms >>> 0], STATUS_OK);
    },
    proxy_get_current_time_nanoseconds(at: number) {
      vm.memory.setU64(at, vm.process.clock.wallNs);
      return note("proxy_get_current_time_nanoseconds", [], STATUS_OK);
    },
    proxy_call_foreign_function(name: number, nameLength: number, args: number, argsLength: number) {
      const text = vm.memory.text(name, nameLength);
      const given = readable(vm.memory.copy(args, argsLength));
      const status = text === "clear_route_cache" ? STATUS_OK : STATUS_NOT_FOUND;
      return note("proxy_call_foreign_function", [text, given], status);
    },
  };
}

function wasiFunctions(vm: Vm, note: Note): Record<string, HostFunction> {
  return {
    clock_time_get(clock: number, _precision: bigint, at: number) {
      vm.memory.setU64(at, clock === 1 ? vm.process.clock.monotonicNs : vm.process.clock.wallNs);
      return note("clock_time_get", [clock === 1 ? "monotonic" : "wall"], STATUS_OK);
    },
    random_get(pointer: number, length: number) {
      vm.memory.fill(pointer, vm.process.randomBytes(length >>> 0));
      return note("random_get", [length >>> 0], STATUS_OK);
    },
  };
}
