// Which of the known words a word that is not known may have meant.

const BEGINNING_MIN = 3;
/** A longer word is no name with a typing error. */
const WORD_MAX = 64;

/** The nearest of `known`, when it is near enough to be a typing error. */
export function suggest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > WORD_MAX) return undefined;
  const most = Math.max(2, Math.floor(word.length / 3));
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const distance = distanceOf(word.toLowerCase(), candidate.toLowerCase());
    if (distance <= most && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** The beginning of a word is as near as one mistake. */
function distanceOf(word: string, candidate: string): number {
  const isBeginning = word.length >= BEGINNING_MIN && candidate.startsWith(word);
  return isBeginning ? 1 : editDistance(word, candidate);
}

/** How many characters have to be put in, left out or changed to make `b` of `a`. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; ++i) {
    const row = [i];
    for (let j = 1; j <= b.length; ++j) {
      const changed = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(changed, previous[j]! + 1, row[j - 1]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}
