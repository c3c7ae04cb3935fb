/** `--cache-from` and `--cache-to`: an image's name, or `type=registry|local|inline` with attributes. */
import { resolve } from 'node:path';
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

/** Folders as the daemon has to name them. */
export function withAbsoluteFolders({ type, attributes }: CacheFlag, cwd: string): CacheFlag {
  if (type !== 'local') return { type, attributes };
  const absolute = Object.entries(attributes).map(([key, value]) =>
    key === 'src' || key === 'dest' ? [key, resolve(cwd, value)] : [key, value],
  );
  return { type, attributes: Object.fromEntries(absolute) };
}
