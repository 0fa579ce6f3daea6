// Asking for usage in the caller's place: whatever the request looks like nothing but one member is added, and
// however the answer is cut the caller gets it without the event that tells the usage.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Gateway } from "../filter/gateway.ts";
import { usageFilterPath } from "../host/process.ts";
import { Members, type Spellable, spell } from "./spelling.ts";

const SERVER = "10.0.0.1:8000";

const gateway = new Gateway({ injectUsage: true }, usageFilterPath());
gateway.serve([SERVER]);

const anything: fc.Arbitrary<Spellable> = fc.constantFrom(
  ...[null, true, false, 0, 1.5e3, "", 'a"\\,}', "stream_options"],
  ...[[], [1, [2]], new Members([]), new Members([["include_usage", true]])],
);
const options: fc.Arbitrary<Spellable> = fc.oneof(
  fc
    .array(fc.tuple(fc.constantFrom("include_usage", "continuous_usage_stats", "x"), anything), { maxLength: 3 })
    .map((list) => new Members(list)),
  anything,
);
const member = fc.oneof(
  fc.tuple(fc.constantFrom("stream_options", "x"), options),
  fc.tuple(fc.constantFrom("include_usage", "stream", "messages", "n"), anything),
);
const body = fc
  .tuple(fc.array(member, { maxLength: 5 }), fc.boolean())
  .map(
    ([list, streams]) => new Members([["model", "llama"], ...(streams ? [["stream", true] as const] : []), ...list]),
  );

/** What the server is to be asked, by the slow way. */
function expected(text: string): Record<string, unknown> {
  const asked = JSON.parse(text);
  if (asked.stream !== true) return asked;
  const given = asked.stream_options === undefined ? {} : asked.stream_options;
  if (typeof given !== "object" || given === null || Array.isArray(given) || "include_usage" in given) return asked;
  return { ...asked, stream_options: { ...given, include_usage: true } };
}

/** Whether `longer` is `text` with bytes put in at one place. */
function isInserted(longer: string, text: string): boolean {
  let same = 0;
  while (same < text.length && text[same] === longer[same]) ++same;
  return longer.endsWith(text.slice(same));
}

describe("a request", () => {
  test("says the same and asks for usage, every other byte as it was", () => {
    fc.assert(
      fc.property(body, fc.integer(), (members, seed) => {
        const text = spell(members, seed);
        const sent = Buffer.from(gateway.worker.drive({ body: text }).forwardedBody).toString();
        expect(JSON.parse(sent)).toEqual(expected(text));
        expect(isInserted(sent, text)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

const USAGE = '"usage":{"prompt_tokens":5,"completion_tokens":2,"x":[{"y":"}]"}]}';
/** An event of each kind, and whether it is the one with usage. */
const EVENTS: readonly (readonly [event: string, isUsage: boolean])[] = [
  ['data: {"id":"1","choices":[{"delta":{"content":"\\"choices\\":[],"}}]}', false],
  ['data: {"id":"1","choices":[{}],"usage":{"prompt_tokens":5}}', false],
  ['data: {"choices":[],"usage":null}', false],
  ['data: {"choices":[]}', false],
  [`data: {${USAGE}}`, false],
  [`data: {"x":{"choices":[]},${USAGE}}`, false],
  ['data: {"choices":[],"x":{"usage":{}}}', false],
  ["data: [DONE]", false],
  [": ping", false],
  ["dat", false],
  [`event: x{lf}data: {"choices":[],${USAGE}}`, false],
  [`data: {"choices":[],${USAGE}}`, true],
  [`data:{"id":"\\\\\\"","created":1,"choices" : [ ] , ${USAGE} }`, true],
  [`data: {"object":"x",${USAGE},"choices":[],"z":1}`, true],
];

const stream = fc.array(fc.constantFrom(...EVENTS), { maxLength: 6 });
const cutsOf = fc.array(fc.nat({ max: 500 }), { maxLength: 12 }).map((cuts) => cuts.toSorted((a, b) => a - b));

function answered(text: string, cuts: readonly number[], endsApart: boolean): string {
  const each = gateway.worker.open('{"model":"llama","stream":true}');
  each.setProperty("upstream.address", SERVER);
  each.responseHeaders(
    [
      [":status", "200"],
      ["content-type", "text/event-stream"],
    ],
    false,
  );
  const ends = [...cuts.filter((cut) => cut > 0 && cut < text.length), text.length];
  for (const [n, end] of ends.entries()) {
    each.responseBody(text.slice(n === 0 ? 0 : ends[n - 1], end), !endsApart && n === ends.length - 1);
  }
  if (endsApart) each.responseBody("", true);
  each.end();
  return each.response.sentBody.map(String).join("");
}

describe("an answer", () => {
  test("cut anywhere comes without the event with usage, every other byte as it was", () => {
    fc.assert(
      fc.property(stream, fc.constantFrom("\n", "\r\n", "\r"), cutsOf, fc.boolean(), (events, lf, cuts, endsApart) => {
        const texts = events.map(([event, isUsage]) => [event.replace("{lf}", lf) + lf + lf, isUsage] as const);
        const all = texts.map(([text]) => text).join("");
        const wanted = texts.filter(([, isUsage]) => !isUsage).map(([text]) => text);
        expect(answered(all, cuts, endsApart)).toBe(wanted.join(""));
      }),
      { numRuns: 3_000 },
    );
  });

  test("of any bytes is passed on, but for whole events with usage", () => {
    const noise = fc.array(
      fc.constantFrom("data:", " {", '"choices":[]', ',"usage":{', "}}", "\n", "\r", '"', "\\", "x"),
      {
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(noise, cutsOf, (parts, cuts) => {
        const text = parts.join("");
        expect(answered(text, cuts, true)).toBe(answered(text, [], false));
      }),
      { numRuns: 2_000 },
    );
  });
});
