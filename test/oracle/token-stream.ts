// Pseudo-tokens: text four bytes at a time, and images, videos and sounds as many equal tokens.

import { xxh64 } from "./xxh64.ts";

const TOKEN_BYTES = 4;

export class TokenStream {
  private readonly parts: Buffer[] = [];
  private length = 0;

  text(text: string): void {
    this.add(Buffer.from(text));
  }

  /** `count` tokens that stand for this content, from the next whole token on. */
  asset(content: string, count: number): void {
    this.align();
    const token = Buffer.alloc(TOKEN_BYTES);
    token.writeUInt32LE(Number(xxh64(Buffer.from(content)) & 0xffff_ffffn));
    this.add(Buffer.alloc(count * TOKEN_BYTES, token));
  }

  tokens(): Buffer {
    this.align();
    return Buffer.concat(this.parts);
  }

  private align(): void {
    this.add(Buffer.alloc((TOKEN_BYTES - (this.length % TOKEN_BYTES)) % TOKEN_BYTES));
  }

  private add(bytes: Buffer): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }
}

/** The tokens of a text alone. */
export function tokensOf(text: string): Buffer {
  const stream = new TokenStream();
  stream.text(text);
  return stream.tokens();
}
