/**
 * What a package manager has installed in a tree. Databases come out of images, so they are hostile: readers bound
 * what they read, leave out what makes no sense, and say so through `note`.
 */
import type { PackageManager } from '../../../api/image-difference.ts';
import { type ByteString, printable } from '../../layers/tar/byte-string.ts';
import { type ImageTree, readBounded } from '../tree.ts';

export interface InstalledPackage {
  name: string;
  version: string;
  /** Empty where the manager does not say. */
  architecture: string;
  /** What is not as it should be with the package, in dpkg's words: `unpacked`, `half-configured`; else empty. */
  state: string;
  /** Where it is installed, for managers that have a package at several places: absolute. */
  path?: string;
}

export interface PackageDatabase {
  manager: PackageManager;
  packages: InstalledPackage[];
  /**
   * The files of some of its packages, as paths relative to the root, as the manager spells them: they may lead over
   * links and name what is not there. Reads the database again where it has to.
   */
  filesOf(wanted: ReadonlySet<InstalledPackage>): Iterable<[InstalledPackage, ByteString]>;
}

export type Note = (text: string) => void;

/** Largest database of text that is read: ten times that of a full desktop. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024;
export const MAX_PACKAGES = 200_000;
/** Of a name or version: more is no such thing. */
const MAX_WORD_LENGTH = 512;

/** A text file of the tree, one char a byte, cut at `limitBytes`, which is noted. Undefined where there is none. */
export function readText(
  tree: ImageTree,
  path: string,
  note: Note,
  limitBytes: number = MAX_TEXT_BYTES,
): string | undefined {
  const file = tree.find(path as ByteString);
  if (file === undefined) return undefined;
  const { data, cut } = readBounded(file, limitBytes);
  if (cut)
    note(`${printable(path as ByteString)} is larger than ${limitBytes} bytes: the rest of it was not read`);
  return data.toString('latin1');
}

/** A name or version in UTF-8 out of Latin-1 text; too long ones are cut. */
export function word(text: string): string {
  return Buffer.from(text.trim().slice(0, MAX_WORD_LENGTH), 'latin1').toString('utf8');
}

/** `path` without its leading `/` or `./`. */
export function relativePath(path: string): ByteString {
  return path.replace(/^(?:\.?\/)+/, '') as ByteString;
}

/** The lines of a text, without copying it into a list. */
export function* linesOf(text: string): Generator<string, void, undefined> {
  for (let start = 0; start < text.length; ) {
    const found = text.indexOf('\n', start);
    const end = found < 0 ? text.length : found;
    yield text.slice(start, end);
    start = end + 1;
  }
}
