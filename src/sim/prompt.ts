// What a prompt weighs and which of its blocks are the same as another's. There is no tokenizer: a token
// is four bytes of UTF-8.

export const BYTES_PER_TOKEN = 4;
/** What an image costs, whatever its size: its bytes are no text. */
const IMAGE_TOKENS = 576;

export interface Prompt {
  readonly tokens: number;
  /** One number per full block, each depending on all before it: equal numbers, equal beginnings. */
  readonly blocks: readonly number[];
}

/** `salt` sets apart what must not share blocks: another adapter, another tenant's cache_salt. */
export function measure(text: string, images: number, salt: string, blockSize: number): Prompt {
  const bytes = Buffer.from(text, "utf8");
  const tokens = Math.max(1, Math.ceil(bytes.length / BYTES_PER_TOKEN) + images * IMAGE_TOKENS);
  return { tokens, blocks: chain(bytes, salt, blockSize * BYTES_PER_TOKEN) };
}

/** The chain's blocks that `answer` completes after this text: a prompt that goes on from it has them. */
export function blocksAfter(text: string, answer: string, salt: string, blockSize: number): readonly number[] {
  const blockBytes = blockSize * BYTES_PER_TOKEN;
  return chain(Buffer.from(text + answer, "utf8"), salt, blockBytes).slice(
    Math.floor(Buffer.byteLength(text) / blockBytes),
  );
}

/** For prompts given as token ids. */
export function measureTokens(ids: readonly number[], salt: string, blockSize: number): Prompt {
  const bytes = Buffer.from(Int32Array.from(ids).buffer);
  return { tokens: Math.max(1, ids.length), blocks: chain(bytes, salt, blockSize * BYTES_PER_TOKEN) };
}

/** Two 32-bit lanes, 53 bits kept: a Map key that is a plain number. Against accidents, not attacks. */
function chain(bytes: Buffer, salt: string, blockBytes: number): number[] {
  const blocks: number[] = [];
  let low = 0x2b7e1516;
  let high = 0x28aed2a6;
  const mix = (word: number) => {
    low = Math.imul(low ^ word, 0x9e3779b1);
    low ^= low >>> 15;
    high = Math.imul(high + word, 0x85ebca6b);
    high ^= high >>> 13;
  };
  for (let i = 0; i < salt.length; i += 1) mix(salt.charCodeAt(i));
  const end = bytes.length - (bytes.length % blockBytes);
  for (let at = 0; at < end; at += 4) {
    mix(bytes.readInt32LE(at));
    if ((at + 4) % blockBytes === 0) blocks.push((high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0));
  }
  return blocks;
}
