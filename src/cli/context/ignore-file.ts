/** Which ignore file counts for a build context of this machine, and what it leaves out. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errnoCode, errorMessage } from '../../base/errors.ts';
import { IgnoreRules, parseIgnoreFile } from '../../base/ignore/ignore-rules.ts';
import { CliError } from '../cli-error.ts';

export interface IgnoreFile {
  /** As parseIgnoreFile gives them; none without a file. */
  patterns: readonly string[];
  content: string;
  /** Relative to the context, or absolute; undefined where there is none. */
  file?: string;
}

/**
 * `<Dockerfile>.dockerignore`, which lies beside a Dockerfile outside of the context too, goes before `.dockerignore`. Throws
 * CliError, naming the file, for a pattern that cannot be read.
 */
export async function readIgnoreFile(root: string, dockerfile: string): Promise<IgnoreFile> {
  for (const file of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    try {
      const content = await readFile(resolve(root, file), 'utf8');
      return { patterns: checkedPatterns(content, join(root, file)), content, file };
    } catch (error) {
      const code = errnoCode(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
  }
  return { patterns: [], content: '' };
}

function checkedPatterns(content: string, path: string): readonly string[] {
  try {
    const patterns = parseIgnoreFile(content);
    return new IgnoreRules(patterns).isEmpty ? [] : patterns;
  } catch (error) {
    throw new CliError(`error checking context: failed parsing ${path}: ${errorMessage(error)}`);
  }
}
