// HTTP/1.1 byte by byte, for what no client library would send.

import { connect } from "node:net";
import { setImmediate as breathe } from "node:timers/promises";
import type { Address } from "../../../src/envoy/address.ts";
import type { Answer } from "./client.ts";

/** Writes the text in pieces of `pieceBytes` and reads `count` answers, each of which must tell its length. */
export async function raw(
  to: Address,
  text: string,
  { count = 1, pieceBytes = text.length } = {},
): Promise<readonly Answer[]> {
  const socket = connect(to.port, to.host).setNoDelay(true).setEncoding("utf8");
  const writing = (async () => {
    for (let at = 0; at < text.length && !socket.destroyed; at += pieceBytes) {
      socket.write(text.slice(at, at + pieceBytes));
      await breathe();
    }
  })();
  const answers: Answer[] = [];
  let unread = "";
  for await (const piece of socket) {
    unread += String(piece);
    for (let taken = takeAnswer(unread); taken !== undefined; taken = takeAnswer(unread)) {
      answers.push(taken.answer);
      unread = taken.rest;
    }
    if (answers.length >= count) break;
  }
  await writing;
  return answers;
}

/** The first answer of the text, if it is whole, and what follows. */
function takeAnswer(text: string): { readonly answer: Answer; readonly rest: string } | undefined {
  const [, head = "", rest] = /^(.*?)\r\n\r\n(.*)$/s.exec(text) ?? [];
  if (rest === undefined) return undefined;
  const [first = "", ...lines] = head.split("\r\n");
  const headers = Object.fromEntries(lines.map((line) => line.split(": ", 2) as [string, string]));
  const length = Number(headers["content-length"] ?? 0);
  if (rest.length < length) return undefined;
  const body = rest.slice(0, length);
  const status = Number(first.split(" ")[1]);
  const answer = { status, headers, body: Buffer.from(body), json: () => JSON.parse(body) };
  return { answer, rest: rest.slice(length) };
}
