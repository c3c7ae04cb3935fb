/** .dockerignore as the trees of a build have it: read inside of a context, and turned into its IgnoreRules. */
import { posix } from 'node:path';
import { errorMessage, InvalidParameterError } from '../../base/errors.ts';
import { IgnoreRules as Patterns, parseIgnoreFile } from '../../base/ignore/ignore-rules.ts';
import { readInside } from './inside-file.ts';
import type { IgnoreRules } from './source-tree.ts';

export const IGNORE_FILE = '.dockerignore';

export interface IgnoreText {
  /** As errors name it. */
  name: string;
  content: string;
}

/** `<Dockerfile>.dockerignore` before `.dockerignore`; undefined where there is neither. */
export function readIgnoreFile(root: string, dockerfile: string | undefined): IgnoreText | undefined {
  const names = dockerfile === undefined ? [IGNORE_FILE] : [`${dockerfile}${IGNORE_FILE}`, IGNORE_FILE];
  for (const name of names) {
    const content = readInside(root, name);
    if (content !== undefined) return { name, content };
  }
  return undefined;
}

/** The patterns of an ignore file. Throws InvalidParameter, naming the file, where one cannot be read. */
export function ignorePatterns({ name, content }: IgnoreText): string[] {
  try {
    const patterns = parseIgnoreFile(content);
    // Patterns are judged before anything is asked of a client or a disk.
    return new Patterns(patterns).isEmpty ? [] : patterns;
  } catch (error) {
    throw new InvalidParameterError(`failed parsing ${name}: ${errorMessage(error)}`);
  }
}

/** Undefined where nothing is left out. */
export function ignoreRules(ignore: IgnoreText | undefined): IgnoreRules | undefined {
  const patterns = ignore === undefined ? [] : ignorePatterns(ignore);
  return patterns.length === 0 ? undefined : new Patterns(patterns);
}

/**
 * For contexts that a client has packed: what is ignored was left out, but for the Dockerfile and the ignore file, which it
 * always sends. COPY must not see those two where they are ignored.
 */
export function packedIgnoreRules(
  ignore: IgnoreText | undefined,
  dockerfile: string,
): IgnoreRules | undefined {
  const rules = ignoreRules(ignore);
  if (rules === undefined) return undefined;
  const sent = [dockerfile, `${dockerfile}${IGNORE_FILE}`, IGNORE_FILE].map((name) => posix.normalize(name));
  const hidden = new Set(sent.filter((name) => rules.excludes(name, false)));
  if (hidden.size === 0) return undefined;
  return { excludes: (path) => hidden.has(path), mayIncludeBelow: () => false };
}
