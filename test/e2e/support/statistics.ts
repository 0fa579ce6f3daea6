// Envoy's statistics page, as Prometheus reads it.

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

export class Statistics {
  readonly samples: readonly Sample[];

  constructor(page: string) {
    this.samples = page.split("\n").flatMap((line) => {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (match === null) return [];
      const [, name = "", labels = "", value = ""] = match;
      return [{ name, labels: labelsOf(labels), value: Number(value) }];
    });
  }

  /** The sum of the samples with these labels and maybe others; 0 when there is none. */
  sum(name: string, labels: Labels = {}): number {
    return this.#matching(name, labels).reduce((sum, sample) => sum + sample.value, 0);
  }

  has(name: string, labels: Labels = {}): boolean {
    return this.#matching(name, labels).length > 0;
  }

  #matching(name: string, labels: Labels): readonly Sample[] {
    const wanted = Object.entries(labels);
    return this.samples.filter(
      (sample) => sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value),
    );
  }
}

function labelsOf(text: string): Labels {
  return Object.fromEntries([...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
}
