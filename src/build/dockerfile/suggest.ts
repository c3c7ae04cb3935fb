/** "Did you mean": the known word that a misspelt one is closest to. */

/** Further away than that, a word is another word. */
const DISTANCE_MAX = 2;
/** Nobody misspells a longer word by two letters. */
const LENGTH_MAX = 200;

/** Undefined where none is near, and where the word is known, so that it is not what was wrong. */
export function nearestWord(word: string, known: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let least = DISTANCE_MAX + 1;
  for (const option of known) {
    if (option === word) return undefined;
    const distance = editDistance(word, option);
    if (distance < least) {
      nearest = option;
      least = distance;
    }
  }
  return nearest;
}

/** ` (did you mean COPY?)`, or nothing. */
export function didYouMean(word: string, known: Iterable<string>, prefix = ''): string {
  const nearest = nearestWord(word, known);
  return nearest === undefined ? '' : ` (did you mean ${prefix}${nearest}?)`;
}

/** Letters put in, taken out, exchanged for others or with their neighbour. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > DISTANCE_MAX || a.length > LENGTH_MAX) return DISTANCE_MAX + 1;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const exchanged = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const turned = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = turned ? (before[j - 2] ?? 0) + 1 : exchanged;
      next.push(Math.min(exchanged, swapped, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
