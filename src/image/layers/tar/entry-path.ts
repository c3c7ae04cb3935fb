/**
 * Names in layers: made relative to the layer's root or refused, and the whiteouts told from the files (OCI
 * image-spec, layer.md, "Whiteouts"). Names are only taken apart here; links on the way are the kernel's matter.
 */
import type { ByteString } from './byte-string.ts';

/** Why a name is refused. */
export interface Refusal {
  refused: string;
}

export type PathMeaning =
  | { kind: 'entry'; path: ByteString }
  /** Hides `path` of the layers below. */
  | { kind: 'whiteout'; path: ByteString }
  /** Hides what the layers below have in the directory `path`. */
  | { kind: 'opaque'; path: ByteString }
  /** A whiteout file system's own bookkeeping (AUFS): no part of the image. */
  | { kind: 'ignored' };

const WHITEOUT_PREFIX = '.wh.';
const WHITEOUT_META_PREFIX = '.wh..wh.';
const OPAQUE_NAME = '.wh..wh..opq';
const NEEDS_CLEANING = /(?:^|\/)\.{0,2}(?:\/|$)/;

/**
 * The path below the root that a name means, without slashes at its ends; the root is ''. Like Go's path.Clean, which
 * other engines use: `a/../b` is `b`, `/a` is `a`, `/../a` is `a`. A relative name that climbs out is undefined.
 */
export function cleanPath(name: ByteString): ByteString | undefined {
  const trimmed = name.endsWith('/') ? name.replace(/\/+$/, '') : name;
  if (!NEEDS_CLEANING.test(trimmed)) return trimmed as ByteString;
  const kept: string[] = [];
  for (const part of trimmed.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.length > 0) kept.pop();
    else if (!trimmed.startsWith('/')) return undefined;
  }
  return kept.join('/') as ByteString;
}

/** What an entry's name says in a layer. */
export function pathMeaning(name: ByteString): PathMeaning | Refusal {
  const path = cleanPath(name);
  if (path === undefined) return { refused: "it would be written outside of the layer's root" };
  if (!path.includes(WHITEOUT_PREFIX)) return { kind: 'entry', path };
  const parts = path.split('/');
  const last = parts.pop() ?? '';
  const parent = parts.join('/') as ByteString;
  if (parts.some((part) => part.startsWith(WHITEOUT_META_PREFIX))) return { kind: 'ignored' };
  if (parts.some((part) => part.startsWith(WHITEOUT_PREFIX)))
    return { refused: 'a whiteout is no directory' };
  if (last === OPAQUE_NAME) return { kind: 'opaque', path: parent };
  if (last.startsWith(WHITEOUT_META_PREFIX)) return { kind: 'ignored' };
  if (!last.startsWith(WHITEOUT_PREFIX)) return { kind: 'entry', path };
  const hidden = last.slice(WHITEOUT_PREFIX.length);
  if (hidden === '' || hidden === '.' || hidden === '..') return { refused: 'a whiteout of no file' };
  return { kind: 'whiteout', path: (parent === '' ? hidden : `${parent}/${hidden}`) as ByteString };
}

/** Whether a file of this name cannot be in a layer, because it would be read as a whiteout. */
export function isReservedName(name: string): boolean {
  return name.startsWith(WHITEOUT_PREFIX);
}

/** The name of the entry that hides `path`. */
export function whiteoutName(path: ByteString): ByteString {
  const slash = path.lastIndexOf('/');
  return `${path.slice(0, slash + 1)}${WHITEOUT_PREFIX}${path.slice(slash + 1)}` as ByteString;
}

/** The name of the entry that makes the directory `path` opaque. */
export function opaqueName(path: ByteString): ByteString {
  return (path === '' ? OPAQUE_NAME : `${path}/${OPAQUE_NAME}`) as ByteString;
}
