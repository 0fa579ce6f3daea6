// The bytes of one direction of a stream that a module may look at: what Envoy buffered for it, or
// the chunk at hand.

import { STATUS_BAD_ARGUMENT, STATUS_OK } from "./abi.ts";

export class BodyBuffer {
  private bytes: Buffer = Buffer.alloc(0);

  get size(): number {
    return this.bytes.length;
  }

  append(chunk: Uint8Array): void {
    if (this.bytes.length === 0) this.bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    else this.bytes = Buffer.concat([this.bytes, chunk]);
  }

  view(start: number, length: number): Uint8Array {
    return this.bytes.subarray(start, start + length);
  }

  /** All bytes, which the buffer then no longer holds. */
  drain(): Uint8Array {
    const all = this.bytes;
    this.bytes = Buffer.alloc(0);
    return all;
  }

  /**
   * proxy_set_buffer_bytes as Envoy's Buffer::copyFrom: from 0 on it takes `length` bytes off the front and puts
   * the new ones there; from the end on it appends; nothing else.
   */
  set(start: number, length: number, bytes: Uint8Array): number {
    const copy = Buffer.from(bytes);
    if (start === 0) this.bytes = Buffer.concat([copy, this.bytes.subarray(length)]);
    else if (start >= this.bytes.length) this.bytes = Buffer.concat([this.bytes, copy]);
    else return STATUS_BAD_ARGUMENT;
    return STATUS_OK;
  }
}
