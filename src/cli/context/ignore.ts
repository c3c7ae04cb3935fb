/** .dockerignore: which paths of a build context stay behind. */
import { posix } from 'node:path';
import { compilePattern } from './pattern.ts';

interface Rule {
  /** `!pattern`: takes paths back in. */
  readonly exclusion: boolean;
  readonly pattern: RegExp;
  /** The part before the first wildcard, to tell whether it may match below a folder. */
  readonly text: string;
}

export class IgnoreRules {
  readonly #rules: readonly Rule[];
  readonly #exclusions: readonly Rule[];

  /** `text` is the file's content. Throws for a pattern that cannot be read. */
  constructor(text: string) {
    this.#rules = text.split('\n').flatMap(parseLine);
    this.#exclusions = this.#rules.filter((rule) => rule.exclusion);
  }

  /** True where the path (relative, slashes) or one of its folders is ignored; later rules overrule earlier ones. */
  ignores(path: string): boolean {
    let ignored = false;
    const ancestors = pathAndParents(path);
    for (const rule of this.#rules) {
      if (rule.exclusion !== ignored) continue;
      if (ancestors.some((part) => rule.pattern.test(part))) ignored = !rule.exclusion;
    }
    return ignored;
  }

  /** False where nothing below an ignored folder can come back, so that it need not be read. */
  mayReturnBelow(folder: string): boolean {
    return this.#exclusions.some(({ text }) => {
      const fixed = text.split(/[*?[\\]/, 1)[0] ?? '';
      if (fixed.length < text.length && `${folder}/`.startsWith(fixed)) return true;
      return `${text}/`.startsWith(`${folder}/`);
    });
  }
}

function parseLine(line: string, index: number): Rule[] {
  // A byte order mark may precede the first line.
  const bare = (index === 0 ? line.replace(/^\uFEFF/, '') : line).replace(/\r$/, '');
  if (bare.startsWith('#')) return [];
  const trimmed = bare.trim();
  const exclusion = trimmed.startsWith('!');
  const pattern = exclusion ? trimmed.slice(1).trim() : trimmed;
  if (pattern === '') {
    if (exclusion) throw new Error('illegal exclusion pattern: "!"');
    return [];
  }
  const text = posix.normalize(pattern).replace(/^\/+/, '').replace(/\/+$/, '');
  if (text === '' || text === '.') return [];
  return [{ exclusion, pattern: compilePattern(text), text }];
}

/** `a/b/c` gives itself, `a/b` and `a`. */
function pathAndParents(path: string): string[] {
  const parts = path.split('/');
  return parts.map((_, index) => parts.slice(0, parts.length - index).join('/'));
}
