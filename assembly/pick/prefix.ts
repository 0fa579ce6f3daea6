// How much of the prompt each candidate holds. Endpoints cut a prompt in blocks of their own size: one hash
// chain and one walk of the index for each size that the pool has.

import * as chain from "../prefix/chain";
import * as index from "../prefix/index";
import * as scanner from "../request/3_scan";
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
  seed = chain.seed(scanner.modelText(), scanner.modelLength, prompt.salt(), prompt.saltLength);
  const first = blocks.classOf(candidates.row(0));
  hash(first, program);
  if (blocks.classes == 1) {
    candidates.setUniform(chain.count, blocks.tokensOf(first));
    matchAll();
    return;
  }
  candidates.setMixed();
  if (!matchClass(first)) return;
  for (let size: u32 = 0; size < blocks.classes; ++size) {
    if (size == first || !hasClass(size)) continue;
    hash(size, program);
    matchClass(size);
  }
}

/** Hashes the prompts in blocks of a size class. */
function hash(size: u32, program: programs.Program): void {
  const tokens = blocks.tokensOf(size);
  const bound = program.maxBlocks == 0 ? u32.MAX_VALUE : program.maxBlocks;
  const most = program.maxTokens != 0 ? program.maxTokens / tokens : bound;
  chain.begin();
  for (let n: u32 = 0; n < prompt.count; ++n) chain.add(prompt.at(n), prompt.bytes(n), tokens, seed, most);
  hashed = size;
}

/** Looks up the chain for all candidates. */
function matchAll(): void {
  index.match();
  if (!index.isHeld) return;
  candidates.beginMatched();
  for (let n: u32 = 0; n < candidates.count; ++n) candidates.setMatched(n, index.matched(candidates.id(n)));
}

/** Looks up the chain of a size class for its candidates. Answers whether there are candidates of other classes. */
function matchClass(size: u32): bool {
  index.match();
  candidates.beginMatched();
  const tokens = blocks.tokensOf(size);
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

function hasClass(size: u32): bool {
  for (let n: u32 = 0; n < candidates.count; ++n) if (blocks.classOf(candidates.row(n)) == size) return true;
  return false;
}

/** Notes that candidate n holds the prompt from here on. Answers how many hashes are news to other workers. */
export function learn(n: u32, program: programs.Program): u32 {
  if (hashed == blocks.NO_CLASS) return 0;
  const size = blocks.classOf(candidates.row(n));
  if (size != hashed) hash(size, program);
  return index.insert(candidates.id(n));
}
