// Chat requests of an exact size, of the kind real clients send: several turns of prose, code and
// quotes, some of it not ASCII, `model` first or after the messages. Same seed, same bytes.

const WORDS =
  "the of and a to in is that for it as was with be by on not this are or his from at which but have an had they " +
  "you were their one all we can her has there been if more when will would who so no said what up its about into " +
  "than them only other time new some could these two may first then do any like my now over such our man me even " +
  "most made after also did many off before must through back years where much your way well down should because " +
  "each just state people those too mister how little good world make very year still see own work long here get " +
  "between both life being under never day same another know while last might us great old against go came right " +
  "used take three token latency request server schedule memory attention decode prefill throughput naïve façade";

const LINES = [
  "if (queue.length > 0 && running < maxRunning) {\n    start(queue.shift()!);\n}",
  "SELECT id, \"name\" FROM models WHERE path LIKE 'C:\\\\models\\\\%' ORDER BY id;",
  "> Es läuft schon länger als üblich … 他说“没关系”。 👩‍🚀",
  '{"role": "user", "content": "quoted JSON, as tool results have it", "model": "not-this-one"}',
];

/** Deterministic numbers in 0…1 (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function prose(random: () => number, words: readonly string[], count: number): string {
  const parts: string[] = [];
  for (let i = 0; i < count; i++) {
    const word = words[Math.floor(random() * words.length)] ?? "the";
    const roll = random();
    parts.push(roll < 0.06 ? `${word}.\n` : roll < 0.14 ? `${word},` : word);
    if (roll > 0.995) parts.push(`\n${LINES[Math.floor(random() * LINES.length)]}\n`);
  }
  return parts.join(" ");
}

/** Blocks of the system prompt that all requests of a mix may have in common, of 64 pseudo-tokens each. */
export const SYSTEM_BLOCKS = 32;
const BLOCK_BYTES = 256;
/** In its place in the first block of a prompt, a number makes the prompt a new one: markFresh(). */
const FRESH_MARK = "Session 0000000000000000.";
const FRESH_DIGITS = 16;

const SHORT_SYSTEM = `${FRESH_MARK} You are a helpful assistant. Answer briefly.`;

/** SYSTEM_BLOCKS of text. What follows it in a prompt begins in a later block. */
export const LONG_SYSTEM = cut(prose(randomFrom(32), WORDS.split(" "), 2_000), SYSTEM_BLOCKS * BLOCK_BYTES);

/** The beginning of a text, of exactly that many bytes as UTF-8. */
function cut(text: string, bytes: number): string {
  const kept = Buffer.from(text)
    .subarray(0, bytes)
    .toString()
    .replace(/\ufffd$/, "");
  return kept.padEnd(kept.length + bytes - Buffer.byteLength(kept), ".");
}

/** Bytes of the JSON document around the messages, and of one message around its content. */
const ENVELOPE_BYTES = 200;
const MESSAGE_BYTES = 32;
const TURN_WORDS_MAX = 400;

/** A chat completion request of exactly `bytes` bytes (at least 400 more than `system`), as UTF-8. */
export function chatBody(bytes: number, seed: number, system = SHORT_SYSTEM): Buffer {
  const random = randomFrom(seed);
  const words = WORDS.split(" ");
  const messages = [{ role: "system", content: system }];
  let left = bytes - ENVELOPE_BYTES - Buffer.byteLength(JSON.stringify(messages));
  while (left > MESSAGE_BYTES + 64) {
    const count = Math.min(TURN_WORDS_MAX, Math.max(4, Math.floor(left / 8)));
    const message = { role: messages.length % 2 === 1 ? "user" : "assistant", content: prose(random, words, count) };
    const size = Buffer.byteLength(JSON.stringify(message)) + 1;
    if (size > left) break;
    messages.push(message);
    left -= size;
  }
  const last = { role: "user", content: "Why? " };
  messages.push(last);
  const model = { model: "meta-llama/Llama-3.3-70B-Instruct" };
  const rest = { temperature: 0.7, max_tokens: 256, stream: false, user: "bench" };
  const whole = seed % 2 === 0 ? { ...model, messages, ...rest } : { messages, ...model, ...rest };
  last.content += "x".repeat(bytes - Buffer.byteLength(JSON.stringify(whole)));
  return Buffer.from(JSON.stringify(whole));
}

/** The same of one message without an escape or a letter beyond ASCII: the easiest to read. */
export function plainBody(bytes: number): Buffer {
  const whole = { model: "meta-llama/Llama-3.3-70B-Instruct", messages: [{ role: "user", content: "" }] };
  const words = WORDS.split(" ").filter((word) => /^[a-z]+$/.test(word));
  const random = randomFrom(bytes);
  const text = Array.from({ length: bytes / 2 }, () => words[Math.floor(random() * words.length)]).join(" ");
  const messages = [{ role: "user", content: text.slice(0, bytes - JSON.stringify(whole).length) }];
  return Buffer.from(JSON.stringify({ ...whole, messages }));
}

/** Where markFresh() writes: in a body, or a request that has one, with the short system prompt. */
export function freshMarkIn(bytes: Buffer): number {
  const at = bytes.indexOf(FRESH_MARK);
  if (at < 0) throw new Error("this body has no place for a number");
  return at + FRESH_MARK.indexOf("0");
}

/** Makes the prompt one that nobody has seen, from its first block on. */
export function markFresh(bytes: Buffer, at: number, number: number): void {
  bytes.write(number.toString(16).padStart(FRESH_DIGITS, "0"), at, "latin1");
}

/** The body in an HTTP/1.1 request, ready to be written to a connection in one call. */
export function chatRequest(body: Buffer): Buffer {
  const head =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: models.example\r\naccept: application/json\r\n" +
    "accept-encoding: gzip, deflate\r\nuser-agent: OpenAI/Python 2.8.1\r\n" +
    "authorization: Bearer sk-0123456789abcdef\r\n" +
    `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}
