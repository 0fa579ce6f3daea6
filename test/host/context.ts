// What a context offers to the host functions: a root context has configuration, a stream has header
// maps and bodies.

import type { BodyBuffer } from "./body-buffer.ts";
import type { HeaderList, HeaderMap } from "./header-map.ts";

export interface LocalResponse {
  readonly status: number;
  readonly details: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

export interface Context {
  readonly id: number;
  readonly rootId: number;
  /** The map to read, undefined when Envoy would not have it at this moment. */
  map(type: number): HeaderMap | undefined;
  /** Called before a write to a map; a write that can no longer reach the wire is remembered. */
  noteWrite(type: number): void;
  buffer(type: number): BodyBuffer | undefined;
  property(path: string): Uint8Array | undefined;
  setProperty(path: string, value: Uint8Array): void;
  /** False when a local response was sent already, or when this context has no stream. */
  sendLocalResponse(response: LocalResponse): boolean;
  continueStream(type: number): boolean;
  closeStream(type: number): boolean;
}
