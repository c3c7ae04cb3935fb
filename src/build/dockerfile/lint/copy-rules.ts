/** The check that needs the context's ignore file: COPY and ADD of what it leaves out. */
import { posix } from 'node:path';
import { IgnoreRules } from '../../../base/ignore/ignore-rules.ts';
import type { ContextCopy } from './stage-lint.ts';

/** Patterns that leave all of a context out. */
const WHOLE: ReadonlySet<string> = new Set(['*', '**', '**/*']);

/** Nothing is said of lists with exceptions: which files of a folder they take back is known to the context alone. */
export function lintCopies(copies: readonly ContextCopy[], patterns: readonly string[]): void {
  if (patterns.length === 0 || patterns.some((pattern) => pattern.startsWith('!'))) return;
  const rules = new IgnoreRules(patterns);
  for (const copy of copies) {
    const path = cleaned(copy.source);
    const ignored =
      path === '.' || path === '/' ? patterns.some((one) => WHOLE.has(one)) : rules.excludes(path);
    if (!ignored) continue;
    const message = `Attempting to ${copy.instruction} file ${JSON.stringify(path)} that is excluded by .dockerignore`;
    copy.linter.run('CopyIgnoredFile', copy, message);
  }
}

function cleaned(source: string): string {
  const path = posix.normalize(source);
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}
