/** `--cache-from` and `--cache-to`: an image's name, or `type=registry|local|inline` with attributes. */
import { mkdirSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { errnoCode, errorMessage } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';
import { readAttributes } from './attributes.ts';

export interface CacheFlag {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Types that the daemon does not have are refused there, by name. */
export function parseCache(text: string): CacheFlag {
  if (text === '') throw new Error('it must not be empty');
  // A list of names, as Docker has it, has no "=" before its first comma.
  if (!/^"?[\w-]+=/.test(text)) return { type: 'registry', attributes: { ref: text } };
  const { type, ...attributes } = Object.fromEntries(readAttributes(text));
  if (type === undefined || type === '') throw new Error('type is required');
  if (type === 'registry' && !attributes['ref']) throw new Error('a cache of type registry needs ref=NAME');
  return { type, attributes };
}

/** Folders as the daemon has to name them, with what proves that it sees the same; those that are written to are made. */
export function withAbsoluteFolders({ type, attributes }: CacheFlag, cwd: string): CacheFlag {
  if (type !== 'local') return { type, attributes };
  const name = 'dest' in attributes ? 'dest' : 'src';
  const path = resolve(cwd, attributes[name] ?? '');
  try {
    if (name === 'dest') mkdirSync(path, { recursive: true });
    const { dev, ino } = statSync(path, { bigint: true });
    return { type, attributes: { ...attributes, [name]: path, device: String(dev), inode: String(ino) } };
  } catch (error) {
    // The daemon says of a cache that is not there yet that it is not used.
    if (name === 'src' && errnoCode(error) === 'ENOENT')
      return { type, attributes: { ...attributes, src: path } };
    throw new CliError(`cannot use the cache folder ${path}: ${errorMessage(error)}`);
  }
}
