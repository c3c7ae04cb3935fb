/**
 * The path rules of `cp`, which are Docker's: a trailing `/` says "a directory", a trailing `/.` means the content
 * of a directory, and whether the destination exists decides whether what is copied keeps its name.
 */
import { posix } from 'node:path';
import { CliError } from '../cli-error.ts';

/** One end of a copy, as far as it is known. */
export interface CopyEnd {
  readonly path: string;
  readonly exists: boolean;
  readonly isDirectory: boolean;
}

export interface CopySource {
  readonly path: string;
  readonly isDirectory: boolean;
  /** The name to use for the source's last component, where a link was followed. */
  readonly rebaseName?: string | undefined;
}

/** Where an archive is unpacked, and under which name its root stands there; `.` unpacks the root's content. */
export interface CopyPlan {
  readonly folder: string;
  readonly name: string;
}

/** `container:path`; a path with a leading `/` or `.` is local, whatever follows. */
export function splitCopyArgument(argument: string): { container: string; path: string } {
  const colon = argument.indexOf(':');
  if (colon < 0 || /^[./]/.test(argument)) return { container: '', path: argument };
  return { container: argument.slice(0, colon), path: argument.slice(colon + 1) };
}

/** Absolute, without `.` and `..`, and still ending in `/` or `/.` where `path` does. */
export function absolutePath(path: string, cwd: string): string {
  return withEnding(clean(posix.resolve(cwd, path)), path);
}

/** The parent and the last component; the component is `.` for a path that ends in `/.`. */
export function splitEntry(path: string): { parent: string; base: string } {
  const cleaned = clean(path) + (meansContent(path) && clean(path) !== '.' ? '/.' : '');
  const slash = cleaned.lastIndexOf('/');
  if (cleaned === '/') return { parent: '/', base: '/' };
  return {
    parent: cleaned.slice(0, Math.max(slash, 0)) || (slash === 0 ? '/' : '.'),
    base: cleaned.slice(slash + 1),
  };
}

export function meansDirectory(path: string): boolean {
  return path.endsWith('/') || meansContent(path);
}

function meansContent(path: string): boolean {
  return path === '' || path === '.' || path.endsWith('/.');
}

/**
 * The link's target as a path, with the ending of the path that named the link, and the name that the copy keeps
 * where the target is called otherwise.
 */
export function followedPath(
  path: string,
  target: string,
): { path: string; rebaseName?: string | undefined } {
  const followed = withEnding(target, path);
  const name = posix.basename(path.replace(/\/+$/, ''));
  const other = !meansContent(path) && name !== posix.basename(followed.replace(/\/+$/, ''));
  return { path: followed, rebaseName: other ? name : undefined };
}

/** The target of the link at `path`, taken from the link's folder where it is relative. */
export function linkedPath(path: string, target: string): string {
  return posix.isAbsolute(target) ? target : posix.join(splitEntry(path).parent, target);
}

/** Throws `CliError` with Docker's words where source and destination do not fit. */
export function planCopy(source: CopySource, destination: CopyEnd): CopyPlan {
  const own = source.rebaseName ?? splitEntry(source.path).base;
  if (destination.exists && destination.isDirectory) return { folder: destination.path, name: own };
  if (destination.exists && source.isDirectory) throw new CliError('cannot copy directory');
  if (!destination.exists && !source.isDirectory && meansDirectory(destination.path)) {
    throw new CliError('no such directory');
  }
  const { parent, base } = splitEntry(destination.path.replace(/\/\.?$/, '') || '/');
  return { folder: parent, name: base };
}

function withEnding(cleaned: string, like: string): string {
  if (meansContent(like)) return cleaned.endsWith('/') ? `${cleaned}.` : `${cleaned}/.`;
  return like.endsWith('/') && !cleaned.endsWith('/') ? `${cleaned}/` : cleaned;
}

function clean(path: string): string {
  const normal = posix.normalize(path === '' ? '.' : path);
  return normal.length > 1 ? normal.replace(/\/$/, '') : normal;
}
