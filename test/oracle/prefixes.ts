// Who holds which prompts, by the text of their blocks: no hashes, no bounds.

import type { Request } from "./candidates.ts";

/** How prompts are cut. */
export interface Cutting {
  /** b */
  readonly blockTokens: number;
  /** Of one prompt, the others do not count. */
  readonly blocksMax: number;
}

export class Prefixes {
  /** Names of chains of blocks: the name of the chain before its last block, and that block. */
  private readonly chains = new Map<string, number>();
  private readonly held = new Map<string, Set<number>>();

  /** Of each prompt: the chain up to each of its blocks. */
  cut(request: Request, { blockTokens, blocksMax }: Cutting): number[][] {
    return request.prompts.map((prompt) => {
      const names: number[] = [];
      let before = `${request.model ?? ""}${request.salt}`;
      for (let at = 0; at < prompt.length && names.length < blocksMax; at += blockTokens * 4) {
        const block = prompt.subarray(at, at + blockTokens * 4).toString("base64");
        const name = this.nameOf(`${before} ${block}`);
        names.push(name);
        before = `#${name}`;
      }
      return names;
    });
  }

  private nameOf(chain: string): number {
    const known = this.chains.get(chain) ?? this.chains.size;
    this.chains.set(chain, known);
    return known;
  }

  /** m: blocks from the start of each prompt that the endpoint holds without a gap. */
  matched(address: string, prompts: readonly (readonly number[])[]): number {
    const held = this.held.get(address) ?? new Set();
    const gaps = prompts.map((chain) => chain.findIndex((name) => !held.has(name)));
    return prompts.reduce((sum, chain, index) => sum + (gaps[index] === -1 ? chain.length : gaps[index]!), 0);
  }

  learn(address: string, prompts: readonly (readonly number[])[]): void {
    const held = this.held.get(address) ?? new Set();
    for (const name of prompts.flat()) held.add(name);
    this.held.set(address, held);
  }
}
