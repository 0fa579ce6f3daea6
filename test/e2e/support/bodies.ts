// Request bodies of the tests.

import { hash, randomBytes } from "node:crypto";

/** A chat body that is unlike every other. */
export function chat(more: object = {}): string {
  const messages = [{ role: "user", content: randomBytes(12).toString("hex") }];
  return JSON.stringify({ model: "m", messages, ...more });
}

/** A chat body of exactly `bytes` bytes, with escapes and letters of every UTF-8 length in it. */
export function chatOfBytes(bytes: number): Buffer {
  const head = `{"model":"m","messages":[{"role":"user","content":"`;
  const tail = `"}],"stream":false}`;
  const spice = 'a\\"\\\\\\u00e9é€😀\\n';
  const room = bytes - head.length - tail.length;
  const text = spice.repeat(Math.floor(room / 4 / Buffer.byteLength(spice)));
  const noise = randomBytes(room)
    .toString("base64")
    .slice(0, room - Buffer.byteLength(text));
  return Buffer.from(head + text + noise + tail);
}

export function sha256(bytes: Buffer | string): string {
  return hash("sha256", bytes);
}
