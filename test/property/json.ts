// Generated request bodies: JSON in every spelling, and what becomes of it when bytes are lost or changed.

import fc from "fast-check";

const whitespace = fc.constantFrom("", "", "", " ", "\n", "\t \r\n", "  ");

const escaped = fc.constantFrom(
  '\\"',
  "\\\\",
  "\\/",
  "\\b",
  "\\f",
  "\\n",
  "\\r",
  "\\t",
  "\\u0041",
  "\\u00e9",
  "\\u20AC",
  "\\uFFFF",
  "\\u0000",
  "\\uD83D\\uDE00", // pairs
  "\\uD800\\uDC00",
  "\\uDBFF\\uDFFF",
  "\\ud83d", // halves
  "\\ude00",
  "\\udbff",
  "\\udc00",
  "\\ud83d\\ud83d\\ude00",
);
const plain = fc.constantFrom("a", "model", "{", "}", "[", ",", ":", " ", "true", "0123456789abcdefghij");
const wide = fc.constantFrom("é", "ж", "߿", "ࠀ", "漢字", "퟿", "", "€", "😀", "\u{10FFFF}", "\u007f", " ");
const text = fc.oneof(
  fc.array(fc.oneof(plain, escaped, wide), { maxLength: 6 }),
  fc.array(fc.oneof({ weight: 4, arbitrary: plain }, escaped, wide), { maxLength: 40 }),
);
const string = text.map((parts) => `"${parts.join("")}"`);

const digits = fc.stringMatching(/^[0-9]{1,12}$/);
const whole = fc.oneof(
  fc.constantFrom("0", "1", "256", "4096", "2147483647", "2147483648", "9999999999"),
  digits.map((text) => text.replace(/^0+(?=.)/, "")),
);
const number = fc
  .tuple(
    fc.constantFrom("", "", "-"),
    whole,
    fc.oneof(
      fc.constant(""),
      digits.map((text) => `.${text.slice(0, 4)}`),
      fc.constantFrom(".0", ".50"),
    ),
    fc.constantFrom("", "", "e0", "E2", "e+3", "e-2", "E-1", "e10", "e99"),
  )
  .map((parts) => parts.join(""));

const literal = fc.constantFrom("true", "false", "null");

/** A member's name as written: some of its letters may be spelt \uXXXX. */
function spelt(name: string): fc.Arbitrary<string> {
  const letters = [...name].map((letter) =>
    fc.oneof(
      { weight: 12, arbitrary: fc.constant(letter) },
      fc.constant(`\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`),
      fc.constant(`\\u${letter.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`),
    ),
  );
  return fc.tuple(...letters).map((parts) => `"${parts.join("")}"`);
}

const otherName = fc.constantFrom(
  '"temperature"',
  '"mode"',
  '"models"',
  '"Model"',
  '"model "',
  '"__proto__"',
  '""',
  '"max_tokens_and_more_than_thirty_two_bytes"',
  '"messages\\u0000"',
);
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("model", "stream", "max_tokens", "max_completion_tokens").chain(spelt) },
  fc.constantFrom("messages", "prompt").chain(spelt),
  otherName,
  string,
);

const between = fc.tuple(whitespace, whitespace).map(([before, after]) => `${before},${after}`);

function listOf(items: readonly string[], open: string, close: string, commas: readonly string[]): string {
  return open + items.map((item, index) => (index === 0 ? "" : (commas[index] ?? ",")) + item).join("") + close;
}

const { value, member } = fc.letrec<{ value: string; member: string; array: string; object: string }>((tie) => ({
  value: fc.oneof({ depthSize: "small", withCrossShrink: true }, literal, number, string, tie("array"), tie("object")),
  array: fc
    .tuple(fc.array(tie("value"), { maxLength: 4 }), fc.array(between, { maxLength: 4 }), whitespace)
    .map(([items, commas, end]) => listOf(items, `[${end}`, `${end}]`, commas)),
  object: fc
    .tuple(fc.array(tie("member"), { maxLength: 4 }), fc.array(between, { maxLength: 4 }), whitespace)
    .map(([items, commas, end]) => listOf(items, `{${end}`, `${end}}`, commas)),
  member: fc.tuple(name, whitespace, whitespace, tie("value")).map(([key, a, b, held]) => `${key}${a}:${b}${held}`),
}));

function topMember(names: readonly string[], held: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom(...names).chain(spelt), whitespace, whitespace, held)
    .map(([key, a, b, text]) => `${key}${a}:${b}${text}`);
}

const modelName = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('"meta-llama/Llama-3.1-8B"', '"m"', '""') },
  { weight: 4, arbitrary: string },
  fc.constantFrom(256, 257, 600).map((length) => `"${"n".repeat(length)}"`),
);
const part = fc
  .tuple(fc.constantFrom("text", "image_url", "image", "tool_result"), value)
  .map(([type, held]) => `{"text":${held},"type":"${type}","image_url":{"url":${held}},"content":${held}}`);
const message = fc.oneof(
  fc.tuple(string, string).map(([role, said]) => `{"role":${role},"model":"inner","content":${said}}`),
  fc.tuple(part, value).map(([said, role]) => `{"content":[${said}],"role":${role}}`),
);
const messages = fc.array(message, { maxLength: 3 }).map((list) => `[${list.join(", ")}]`);

const top: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: topMember(["model"], fc.oneof({ weight: 5, arbitrary: modelName }, value)) },
  { weight: 2, arbitrary: topMember(["stream"], fc.oneof({ weight: 2, arbitrary: literal }, value)) },
  {
    weight: 2,
    arbitrary: topMember(
      ["max_tokens", "max_completion_tokens"],
      fc.oneof({ weight: 3, arbitrary: whole }, number, value),
    ),
  },
  { weight: 2, arbitrary: topMember(["messages", "prompt"], fc.oneof(messages, value)) },
  { weight: 2, arbitrary: topMember(["tools", "input", "instructions", "items", "system", "token_ids"], value) },
  fc.tuple(otherName, whitespace, value).map(([key, space, held]) => `${key}:${space}${held}`),
);

/** A whole JSON object as clients send it, and stranger ones. */
export const object: fc.Arbitrary<Buffer> = fc
  .tuple(fc.array(top, { maxLength: 8 }), fc.array(between, { maxLength: 8 }), whitespace, whitespace)
  .map(([members, commas, before, after]) =>
    Buffer.from(listOf(members, `${before}{${after}`, `${before}}${after}`, commas)),
  );

const anyValue: fc.Arbitrary<Buffer> = fc
  .tuple(whitespace, fc.oneof(value, member), whitespace)
  .map((parts) => Buffer.from(parts.join("")));

/** Nested just below, at and above the limit of depth, closed and cut short. */
export const deep: fc.Arbitrary<Buffer> = fc
  .tuple(fc.integer({ min: 500, max: 520 }), fc.constantFrom("[", '{"a":', '{"model":'), fc.constantFrom(0, 1, 2))
  .map(([depth, opening, how]) => {
    const closing = opening === "[" ? "]" : "}";
    const inner = `${opening.repeat(depth)}1${how === 0 ? "" : closing.repeat(depth)}`;
    const tail = how === 2 ? "}" : "";
    return Buffer.from(`{"model":"m","tools":${inner}${tail}`);
  });

const badUtf8 = fc.constantFrom(
  "80",
  "bf",
  "c0af",
  "c1bf",
  "c3",
  "e08080",
  "e282",
  "eda080",
  "f0808080",
  "f4908080",
  "ff",
);
const oddBytes = fc.oneof(
  badUtf8.map((hex) => Buffer.from(hex, "hex")),
  fc.constantFrom('"', "\\", "{", "}", "[", "]", ",", ":", "0", "-", "e", "\u0000", "\u001f", "\ufeff").map(toBytes),
  fc.integer({ min: 0, max: 255 }).map((byte) => Buffer.from([byte])),
);

function toBytes(part: string): Buffer {
  return Buffer.from(part);
}

/** A body that lost its end, or whose bytes were replaced, put in or taken out at one place or two. */
const damaged: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.oneof(object, object, anyValue),
    fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 }), oddBytes), { minLength: 1, maxLength: 2 }),
    fc.option(fc.nat(), { freq: 3 }),
  )
  .map(([body, changes, cut]) => {
    let bytes = body;
    for (const [place, removed, added] of changes) {
      const at = place % (bytes.length + 1);
      bytes = Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + removed)]);
    }
    if (cut !== null) bytes = bytes.subarray(0, cut % (bytes.length + 1));
    return bytes;
  });

export const body: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 6, arbitrary: object },
  { weight: 5, arbitrary: damaged },
  { weight: 2, arbitrary: anyValue },
);
