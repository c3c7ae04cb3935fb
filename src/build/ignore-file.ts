/**
 * `.dockerignore` inside a context. Clients leave out what it names, but always send the Dockerfile and the
 * `.dockerignore` itself, because the build needs them; where they are excluded, COPY must not see them.
 */
import { closeSync, constants, unlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { compileExpression } from '../base/expression/expression.ts';
import { at, openInRoot } from '../volume/copy-tree.ts';
import { readText } from './context.ts';

interface IgnorePattern {
  matches: (path: string) => boolean;
  negated: boolean;
}

/** Reads the file's text: one pattern a line, `#` comments, `!` exceptions, `**` for any number of folders. */
export function parseIgnoreFile(text: string): IgnorePattern[] {
  return text.split('\n').flatMap((line) => {
    const trimmed = line.startsWith('#') ? '' : line.trim();
    const negated = trimmed.startsWith('!');
    const pattern = negated ? trimmed.slice(1).trim() : trimmed;
    if (pattern === '') return [];
    const clean = posix.normalize(`/${pattern}`).replace(/^\/+|\/+$/g, '');
    return clean === '' ? [] : [{ matches: compileExpression(patternExpression(clean)), negated }];
  });
}

/** A pattern that names a folder holds for all below it; of several that match, the last one counts. */
export function isIgnored(path: string, patterns: readonly IgnorePattern[]): boolean {
  const parts = path.split('/');
  const paths = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  let ignored = false;
  for (const { matches, negated } of patterns) {
    if (paths.some((one) => matches(one))) ignored = !negated;
  }
  return ignored;
}

/** In RE2's syntax, as the client's own matcher has it: its time is bounded, and so is a class that is none. */
function patternExpression(pattern: string): string {
  let source = '';
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] ?? '';
    if (pattern.startsWith('**', i)) {
      i++;
      if (pattern[i + 1] === '/') {
        i++;
        source += '(?:.*/)?';
      } else source += '.*';
    } else if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '\\') source += escaped(pattern[++i] ?? '\\');
    else if (char === '[' && pattern.indexOf(']', i + 2) > 0) {
      const end = pattern.indexOf(']', i + 2);
      source += `[${pattern.slice(i + 1, end).replace(/[[\\]/g, '\\$&')}]`;
      i = end;
    } else source += escaped(char);
  }
  return `(?s)^${source}$`;
}

function escaped(char: string): string {
  return char.replace(/[.+^${}()|[\]\\*?/-]/, '\\$&');
}

/** Takes the Dockerfile and the `.dockerignore` out of a context that excludes them. */
export function removeIgnoredFiles(context: string, dockerfile: string): void {
  const text = readText(context, '.dockerignore');
  if (text === undefined) return;
  const patterns = parseIgnoreFile(text);
  for (const path of ['.dockerignore', posix.normalize(dockerfile === '' ? 'Dockerfile' : dockerfile)]) {
    if (isIgnored(path, patterns)) removeFile(context, path);
  }
}

function removeFile(context: string, path: string): void {
  const folder = openInRoot(context, posix.dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    unlinkSync(at(folder, posix.basename(path)));
  } finally {
    closeSync(folder);
  }
}
