// The beginnings of images, as long as it takes to say how large they are.

import { crc32 } from "node:zlib";

export function png(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // bits per colour, RGB
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

export function gif(width: number, height: number): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.write("GIF89a", "latin1");
  bytes.writeUInt16LE(width, 6);
  bytes.writeUInt16LE(height, 8);
  bytes[13] = 0x3b;
  return bytes;
}

/** Baseline or progressive, with segments of `ahead` bytes before the frame header, up to the first scan. */
export function jpeg(width: number, height: number, ahead: readonly number[], isProgressive: boolean): Buffer {
  const app = [
    Buffer.from("JFIF\0\x01\x02\0\0\x01\0\x01\0\0", "latin1"),
    ...ahead.map((bytes) => Buffer.alloc(bytes, 1)),
  ];
  const frame = Buffer.from("0800000000010111000101110001011100", "hex").subarray(0, 9);
  frame.writeUInt16BE(height, 1);
  frame.writeUInt16BE(width, 3);
  return Buffer.concat([
    Buffer.from("ffd8", "hex"),
    ...app.map((bytes, index) => segment(0xe0 + index, bytes)),
    segment(0xdb, Buffer.alloc(65, 1)),
    segment(isProgressive ? 0xc2 : 0xc0, frame),
    segment(0xda, Buffer.from("010100003f00", "hex")),
    Buffer.from("00ffd9", "hex"),
  ]);
}

function chunk(name: string, bytes: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, "latin1"), bytes]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(bytes.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

function segment(marker: number, bytes: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(bytes.length + 2, 2);
  return Buffer.concat([head, bytes]);
}
