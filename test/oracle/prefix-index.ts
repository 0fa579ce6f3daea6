// What the filter's prefix index should answer, the slow and obvious way: a set of hashes per endpoint.
// No bounds: what is forgotten, and when, is the tests' matter.

export class Holdings {
  private readonly held = new Map<number, Set<bigint>>();

  insert(id: number, hashes: readonly bigint[]): void {
    const set = this.held.get(id) ?? new Set();
    for (const hash of hashes) set.add(hash);
    this.held.set(id, set);
  }

  forget(id: number): void {
    this.held.delete(id);
  }

  /** Consecutive blocks from the start of each prompt, added up. */
  matched(id: number, prompts: readonly (readonly bigint[])[]): number {
    const set = this.held.get(id);
    if (set === undefined) return 0;
    const blocks = prompts.map((hashes) => {
      const gap = hashes.findIndex((hash) => !set.has(hash));
      return gap < 0 ? hashes.length : gap;
    });
    return blocks.reduce((sum, n) => sum + n, 0);
  }

  pairs(): number {
    return [...this.held.values()].reduce((sum, set) => sum + set.size, 0);
  }
}
