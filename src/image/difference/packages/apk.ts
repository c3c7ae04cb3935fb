/** apk's database of installed packages: one text of paragraphs, whose lines begin with a letter and a colon. */
import type { ByteString } from '../../layers/tar/byte-string.ts';
import type { ImageTree } from '../tree.ts';
import {
  type InstalledPackage,
  linesOf,
  MAX_PACKAGES,
  type Note,
  type PackageDatabase,
  readText,
  word,
} from './installed.ts';

const DATABASES = ['lib/apk/db/installed', 'usr/lib/apk/db/installed'];

export function readApk(tree: ImageTree, note: Note): PackageDatabase | undefined {
  for (const path of DATABASES) {
    const text = readText(tree, path, note);
    if (text === undefined) continue;
    const packages: InstalledPackage[] = [];
    for (const [at, lines] of paragraphs(text)) {
      if (at >= MAX_PACKAGES) {
        note(`apk: of more than ${MAX_PACKAGES} packages the rest was not read`);
        break;
      }
      packages.push(toPackage(lines));
    }
    return { manager: 'apk', packages, filesOf: (wanted) => filesOf(text, packages, wanted) };
  }
  return undefined;
}

/** The lines of every paragraph that names a package, counted. */
function* paragraphs(text: string): Generator<[number, readonly string[]], void, undefined> {
  let lines: string[] = [];
  let count = 0;
  for (const line of linesOf(text)) {
    if (line !== '') {
      lines.push(line);
      continue;
    }
    if (lines.some(isName)) yield [count++, lines];
    lines = [];
  }
  if (lines.some(isName)) yield [count, lines];
}

function isName(line: string): boolean {
  return line.startsWith('P:');
}

function toPackage(lines: readonly string[]): InstalledPackage {
  const field = (letter: string): string =>
    word(lines.find((line) => line.startsWith(`${letter}:`))?.slice(2) ?? '');
  return { name: field('P'), version: field('V'), architecture: field('A'), state: '' };
}

/** `F:` names a directory, `R:` a file in the directory named last. */
function* filesOf(
  text: string,
  packages: readonly InstalledPackage[],
  wanted: ReadonlySet<InstalledPackage>,
): Generator<[InstalledPackage, ByteString], void, undefined> {
  for (const [at, lines] of paragraphs(text)) {
    const entry = packages[at];
    if (entry === undefined || !wanted.has(entry)) continue;
    let folder = '';
    for (const line of lines) {
      if (line.startsWith('F:')) {
        folder = line.slice(2);
        yield [entry, folder as ByteString];
      } else if (line.startsWith('R:')) {
        yield [entry, `${folder === '' ? '' : `${folder}/`}${line.slice(2)}` as ByteString];
      }
    }
  }
}
