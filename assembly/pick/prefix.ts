// How much of the prompt each candidate holds. Endpoints cut a prompt in blocks of their own size: one hash
// chain and one walk of the index for each size that the pool has.

import { BLOCK_SIZES_MAX } from "../../src/wire/limits";
import * as chain from "../prefix/chain";
import * as index from "../prefix/index";
import * as model from "../request/model";
import * as prompt from "../request/prompt";
import * as blocks from "../state/blocks";
import * as programs from "../state/program";
import * as candidates from "./candidates";

/** Size class whose chain is the last made; NO_CLASS before. */
let hashed: u32 = blocks.NO_CLASS;
let seed: u64 = 0;

/** Fills in matched, blocks and blockTokens of every candidate. */
export function match(program: programs.Program): void {
  hashed = blocks.NO_CLASS;
  if (prompt.count == 0 || !blocks.isOpen) return;
  seed = chain.seed(model.target, model.targetLength, prompt.salt(), prompt.saltLength);
  const row = candidates.row(0);
  hash(0, program);
  if (blocks.classesBeside(row) == 1) {
    candidates.setUniform(chain.count, blocks.tokensOf(row));
    matchAll();
    return;
  }
  candidates.setMixed();
  if (!matchClass(0)) return;
  const first = blocks.classOf(row);
  for (let size: u32 = 0; size < BLOCK_SIZES_MAX; ++size) {
    const n = firstOf(size);
    if (size == first || n == candidates.count) continue;
    hash(n, program);
    matchClass(n);
  }
}

/** Hashes the prompts in blocks of candidate n's size. */
function hash(n: u32, program: programs.Program): void {
  const row = candidates.row(n);
  const tokens = blocks.tokensOf(row);
  const bound = program.maxBlocks == 0 ? u32.MAX_VALUE : program.maxBlocks;
  const most = program.maxTokens != 0 ? program.maxTokens / tokens : bound;
  chain.begin();
  for (let i: u32 = 0; i < prompt.count; ++i) chain.add(prompt.at(i), prompt.bytes(i), tokens, seed, most);
  hashed = blocks.classOf(row);
}

/** Looks up the chain for all candidates. */
function matchAll(): void {
  index.match();
  if (!index.isHeld) return;
  candidates.beginMatched();
  for (let n: u32 = 0; n < candidates.count; ++n) candidates.setMatched(n, index.matched(candidates.id(n)));
}

/** Looks up the chain for the candidates of one's class. Answers whether there are candidates of other classes. */
function matchClass(one: u32): bool {
  index.match();
  candidates.beginMatched();
  const size = blocks.classOf(candidates.row(one));
  const tokens = blocks.tokensOf(candidates.row(one));
  const all = chain.count;
  let others: bool = false;
  for (let n: u32 = 0; n < candidates.count; ++n) {
    if (blocks.classOf(candidates.row(n)) != size) {
      others = true;
      continue;
    }
    candidates.setBlocks(n, all, tokens);
    candidates.setMatched(n, index.matched(candidates.id(n)));
  }
  return others;
}

/** The first candidate of that class; candidates.count if there is none. */
function firstOf(size: u32): u32 {
  let n: u32 = 0;
  while (n < candidates.count && blocks.classOf(candidates.row(n)) != size) ++n;
  return n;
}

/** Notes that candidate n holds the prompt from here on. Answers how many hashes are news to other workers. */
export function learn(n: u32, program: programs.Program): u32 {
  if (hashed == blocks.NO_CLASS) return 0;
  if (blocks.classOf(candidates.row(n)) != hashed) hash(n, program);
  return index.insert(candidates.id(n));
}
