// The linear memory of one module, as the host reads and fills it.

import { STATUS_INVALID_MEMORY_ACCESS, STATUS_OK } from "./abi.ts";

/** A pointer or length of the module reaches outside its memory. */
export class InvalidMemoryAccess extends Error {}

export class GuestMemory {
  private readonly memory: WebAssembly.Memory;
  private readonly allocate: (size: number) => number;
  private bytes: Buffer = Buffer.alloc(0);

  constructor(memory: WebAssembly.Memory, allocate: (size: number) => number) {
    this.memory = memory;
    this.allocate = allocate;
  }

  get byteLength(): number {
    return this.memory.buffer.byteLength;
  }

  /** The bytes of memory; growing it detaches what was handed out before. */
  private whole(): Buffer {
    if (this.bytes.buffer !== this.memory.buffer) this.bytes = Buffer.from(this.memory.buffer);
    return this.bytes;
  }

  private range(pointer: number, length: number): Buffer {
    const whole = this.whole();
    const start = pointer >>> 0;
    const size = length >>> 0;
    if (start + size > whole.length) throw new InvalidMemoryAccess(`${start}+${size} of ${whole.length}`);
    return whole.subarray(start, start + size);
  }

  /** One character per byte. */
  text(pointer: number, length: number): string {
    return this.range(pointer, length).toString("latin1");
  }

  copy(pointer: number, length: number): Uint8Array {
    return Uint8Array.prototype.slice.call(this.range(pointer, length));
  }

  setU32(pointer: number, value: number): void {
    this.range(pointer, 4).writeUInt32LE(value >>> 0);
  }

  setU64(pointer: number, value: bigint): void {
    this.range(pointer, 8).writeBigUInt64LE(BigInt.asUintN(64, value));
  }

  fill(pointer: number, bytes: Uint8Array): void {
    this.range(pointer, bytes.length).set(bytes);
  }

  /**
   * Copies bytes into memory got from the module's own allocator and says where they are.
   * Nothing is allocated for no bytes: pointer and size are then 0.
   */
  give(bytes: Uint8Array, pointerAt: number, sizeAt: number): number {
    let pointer = 0;
    if (bytes.length > 0) {
      pointer = this.allocate(bytes.length) >>> 0;
      if (pointer === 0) return STATUS_INVALID_MEMORY_ACCESS;
      this.fill(pointer, bytes);
    }
    this.setU32(pointerAt, pointer);
    this.setU32(sizeAt, bytes.length);
    return STATUS_OK;
  }
}
