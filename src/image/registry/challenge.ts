/**
 * Parser for `WWW-Authenticate` (RFC 9110, sections 11.3 and 11.6.1): several challenges in one header, quoted strings
 * with escapes, commas inside quotes, parameters without quotes. Never throws: what makes no sense is skipped.
 */

export interface Challenge {
  /** In lower case. */
  scheme: string;
  /** Names in lower case; the first of a name counts. */
  parameters: ReadonlyMap<string, string>;
}

const MAX_HEADER_LENGTH = 16 << 10;
const TOKEN = /[A-Za-z0-9!#$%&'*+.^_`|~-]+/y;
const SEPARATORS = /[\s,]*/y;
const EQUALS = /\s*=\s*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
/** Some registries leave quotes out around URLs. */
const BARE = /[^\s,"]+/y;

/** The challenges in the order in which they stand. */
export function parseChallenges(header: string): Challenge[] {
  const text = header.slice(0, MAX_HEADER_LENGTH);
  const challenges: Challenge[] = [];
  let position = 0;
  let parameters: Map<string, string> | undefined;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = position;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    position = pattern.lastIndex;
    return match;
  };
  while (position < text.length) {
    take(SEPARATORS);
    const name = take(TOKEN)?.[0].toLowerCase();
    if (name === undefined) {
      position += 1;
    } else if (take(EQUALS) === undefined) {
      parameters = new Map();
      challenges.push({ scheme: name, parameters });
    } else {
      const value = take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') ?? take(BARE)?.[0] ?? '';
      if (parameters !== undefined && !parameters.has(name)) parameters.set(name, value);
    }
  }
  return challenges;
}
