// A WebSocket that sends every frame back: enough to see that upgrades pass.

import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** Fixed by RFC 6455. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const FRAME_BYTES_MAX = 1_048_576;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

export function acceptRealtime(req: IncomingMessage, socket: Duplex, name: string): void {
  const key = req.headers["sec-websocket-key"] ?? "";
  const accept = createHash("sha1")
    .update(key + KEY_SUFFIX)
    .digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\nx-sim-name: ${name}\r\n\r\n`,
  );
  let pending = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    for (let frame = readFrame(pending); frame !== undefined; frame = readFrame(pending)) {
      if (frame.payload === undefined) return void socket.destroy();
      pending = pending.subarray(frame.bytes);
      const first = frame.opcode === PING ? (frame.first & 0xf0) | PONG : frame.first;
      socket.write(unmaskedFrame(first, frame.payload));
      if (frame.opcode === CLOSE) return void socket.end();
    }
  });
  socket.on("end", () => socket.end());
}

interface Frame {
  /** FIN bit and opcode. */
  readonly first: number;
  readonly opcode: number;
  /** Undefined: too long, or not masked as a client's must be. */
  readonly payload: Buffer | undefined;
  /** Length of the whole frame. */
  readonly bytes: number;
}

/** Undefined while the frame is not there as a whole. */
function readFrame(data: Buffer): Frame | undefined {
  if (data.length < 2) return undefined;
  const first = data[0]!;
  const opcode = first & 15;
  const short = data[1]! & 127;
  const at = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (data.length < at) return undefined;
  const length = short < 126 ? short : short === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
  const bytes = at + 4 + length;
  if ((data[1]! & 128) === 0 || length > FRAME_BYTES_MAX) return { first, opcode, payload: undefined, bytes };
  if (data.length < bytes) return undefined;
  const payload = Buffer.from(data.subarray(at + 4, bytes));
  for (let i = 0; i < length; i += 1) payload[i]! ^= data[at + (i & 3)]!;
  return { first, opcode, payload, bytes };
}

function unmaskedFrame(first: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = first;
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}
