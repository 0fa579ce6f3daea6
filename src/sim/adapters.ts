// LoRA adapters in GPU memory: a fixed number of places, loaded on demand, the least recently used leaves.

interface Place {
  users: number;
  readyMs: number;
}

export class Adapters {
  readonly #max: number;
  readonly #loadMs: number;
  /** The order of insertion is the order of use. */
  readonly #places = new Map<string, Place>();

  constructor(max: number, loadMs: number) {
    this.#max = max;
    this.#loadMs = loadMs;
  }

  /** When the adapter can compute, in ms on the engine's clock; undefined while every place is in use. */
  acquire(name: string, nowMs: number): number | undefined {
    let place = this.#places.get(name);
    if (place === undefined) {
      if (!this.#makeRoom()) return undefined;
      place = { users: 0, readyMs: nowMs + this.#loadMs };
    }
    place.users += 1;
    this.#places.delete(name);
    this.#places.set(name, place);
    return place.readyMs;
  }

  release(name: string): void {
    this.#places.get(name)!.users -= 1;
  }

  /** Adapters with a started request, sorted. */
  inUse(): string[] {
    const names: string[] = [];
    for (const [name, place] of this.#places) if (place.users > 0) names.push(name);
    return names.sort();
  }

  #makeRoom(): boolean {
    if (this.#places.size < this.#max) return true;
    for (const [name, place] of this.#places) {
      if (place.users === 0) return this.#places.delete(name);
    }
    return false;
  }
}
