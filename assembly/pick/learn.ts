// After a pick: what it changes. The endpoint has one more request in flight, it holds the prompt's blocks
// from here on, the session belongs to it.

import {
  ADD_OUTPUT_TOKENS,
  NEEDS_ADAPTERS,
  NEEDS_COLD,
  NEEDS_PREFIX,
  NEEDS_SESSIONS,
  NEEDS_TOKENS,
} from "../../src/wire/program";
import * as prompt from "../request/prompt";
import * as broadcast from "../share/broadcast";
import * as column from "../share/column";
import * as adapters from "../state/adapters";
import * as cold from "../state/cold";
import * as endpoints from "../state/endpoints";
import { Program } from "../state/program";
import * as snapshot from "../state/snapshot";
import * as streams from "../state/streams";
import * as candidates from "./candidates";
import * as prefix from "./prefix";
import * as request from "./request";
import * as noHitLru from "./scorers/no_hit_lru";
import * as session from "./session";

/** Candidate n will serve the stream. */
export function learn(stream: streams.Stream, n: u32, program: Program): void {
  const flags = program.flags;
  const id = candidates.id(n);
  stream.counted = <u16>id;
  endpoints.noteSent(endpoints.at(id), request.nowNs);
  if ((flags & NEEDS_TOKENS) != 0) countTokens(stream, n, flags);
  if ((flags & NEEDS_ADAPTERS) != 0) countAdapter(stream, n);
  if ((flags & NEEDS_SESSIONS) != 0 && session.keep(id)) broadcast.tellBinding(session.id, id);
  if ((flags & NEEDS_PREFIX) == 0) return;
  const isCold = (flags & NEEDS_COLD) != 0 && noHitLru.isCold;
  if (isCold) cold.touch(id, program.coldSize);
  // Counted before prefix.learn, which may hash the prompt anew for another block size.
  column.countBlocks(candidates.blocks(n), candidates.matched(n));
  if (prompt.truncated) column.countTruncated();
  const news = prefix.learn(n, program);
  if (news != 0 || isCold) broadcast.tellLearned(id, news, isCold, program.coldSize);
}

function countTokens(stream: streams.Stream, n: u32, flags: u32): void {
  if ((flags & ADD_OUTPUT_TOKENS) != 0) stream.flags |= streams.HOLDS_TOKENS;
  const tokens = <u32>min<f64>(request.tokensToCompute(n), <f64>u32.MAX_VALUE);
  stream.tokens = endpoints.addTokens(endpoints.at(candidates.id(n)), tokens);
}

/** Requests for the base model are for no adapter. */
function countAdapter(stream: streams.Stream, n: u32): void {
  const model = request.modelHash();
  if (model == 0 || model == changetype<snapshot.Metrics>(snapshot.metricsRow(candidates.row(n))).baseModel) return;
  if (adapters.add(candidates.id(n), model)) stream.adapter = model;
}
