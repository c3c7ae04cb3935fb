/**
 * npm's and Python's packages, which have no database: a file in each package's own folder says what it is. Only
 * those whose file is different between two trees are read; of all the others the version is the same.
 */
import { posix } from 'node:path';
import type { PackageManager } from '../../../api/image-difference.ts';
import type { ByteString } from '../../layers/tar/byte-string.ts';
import type { FoundChange } from '../compare-files.ts';
import type { ImageTree } from '../tree.ts';
import { type InstalledPackage, linesOf, type Note, readText, relativePath, word } from './installed.ts';

/** The file of a package's that says what it is. */
interface Description {
  manager: Extract<PackageManager, 'npm' | 'pip'>;
  path: ByteString;
  /** npm: the package's own folder. pip: the folder that it was installed into. */
  folder: string;
}

export interface LanguagePackages {
  from: Map<InstalledPackage, Description>;
  to: Map<InstalledPackage, Description>;
}

const NPM = /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/@][^/]*)\/package\.json$/s;
const PIP =
  /^((?:.*\/)?(?:site|dist)-packages)\/[^/]+\.(?:dist-info\/METADATA|egg-info\/PKG-INFO|egg-info)$/s;
const MAX_DESCRIPTION_BYTES = 1024 * 1024;
const MAX_RECORD_BYTES = 16 * 1024 * 1024;

/** The packages that the changes add, remove or change, on each side. */
export function readLanguagePackages(
  changes: readonly FoundChange[],
  from: ImageTree,
  to: ImageTree,
  note: Note,
): LanguagePackages {
  const packages: LanguagePackages = { from: new Map(), to: new Map() };
  for (const { path, change } of changes) {
    const description = describe(path);
    if (description === undefined) continue;
    if (change.From?.Type === 'file') add(packages.from, from, description, note);
    if (change.To?.Type === 'file') add(packages.to, to, description, note);
  }
  return packages;
}

function describe(path: ByteString): Description | undefined {
  const npm = NPM.exec(path)?.[1];
  if (npm !== undefined) return { manager: 'npm', path, folder: npm };
  const pip = PIP.exec(path)?.[1];
  return pip === undefined ? undefined : { manager: 'pip', path, folder: pip };
}

function add(
  packages: Map<InstalledPackage, Description>,
  tree: ImageTree,
  description: Description,
  note: Note,
): void {
  const text = readText(tree, description.path, note, MAX_DESCRIPTION_BYTES);
  if (text === undefined) return;
  const found = description.manager === 'npm' ? readPackageJson(text) : readMetadata(text);
  if (found === undefined) return;
  const path = `/${word(description.folder)}`;
  packages.set({ ...found, architecture: '', state: '', path }, description);
}

type NameAndVersion = Pick<InstalledPackage, 'name' | 'version'>;

/** Undefined for what is no package: a file that only sets a module type, broken JSON. */
function readPackageJson(text: string): NameAndVersion | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'latin1').toString('utf8'));
  } catch {
    // npm does not take it for a package either.
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('name' in value) || !('version' in value))
    return undefined;
  const { name, version } = value;
  if (typeof name !== 'string' || typeof version !== 'string') return undefined;
  return { name: name.slice(0, 512), version: version.slice(0, 512) };
}

/** The head of a mail-like file. Names are spelled in one way: lower case, runs of `-_.` as one `-`. */
function readMetadata(text: string): NameAndVersion | undefined {
  let name = '';
  let version = '';
  for (const line of linesOf(text)) {
    if (line.trim() === '') break;
    const [, field = '', value = ''] = /^([A-Za-z-]+):\s*(.*)$/.exec(line) ?? [];
    if (field.toLowerCase() === 'name') name ||= word(value);
    if (field.toLowerCase() === 'version') version ||= word(value);
  }
  if (name === '') return undefined;
  return { name: name.toLowerCase().replace(/[-_.]+/g, '-'), version };
}

/** The folder of an npm package that a path lies in, or is: the innermost. */
export function npmFolder(path: string): string | undefined {
  const start = path.lastIndexOf('node_modules/');
  if (start < 0 || (start > 0 && path[start - 1] !== '/')) return undefined;
  const [first = '', second = ''] = path.slice(start + 'node_modules/'.length).split('/', 2);
  const name = first.startsWith('@') ? `${first}/${second}` : first;
  return `${path.slice(0, start)}node_modules/${name}`;
}

/** Files of Python packages: their own folder of facts, and what its RECORD names. */
export function* pipFiles(
  tree: ImageTree,
  packages: ReadonlyMap<InstalledPackage, Description>,
  wanted: ReadonlySet<InstalledPackage>,
  note: Note,
): Generator<[InstalledPackage, ByteString], void, undefined> {
  for (const [entry, { manager, path, folder }] of packages) {
    if (manager !== 'pip' || !wanted.has(entry)) continue;
    yield [entry, path];
    const own = posix.dirname(path);
    if (own === folder) continue;
    yield [entry, own as ByteString];
    for (const name of tree.names(own as ByteString) ?? []) yield [entry, `${own}/${name}` as ByteString];
    const record = readText(tree, `${own}/RECORD`, note, MAX_RECORD_BYTES) ?? '';
    for (const line of linesOf(record)) {
      const file = recordPath(line);
      if (file !== '') yield [entry, relativePath(file.startsWith('/') ? file : posix.join(folder, file))];
    }
    const installed = readText(tree, `${own}/installed-files.txt`, note, MAX_RECORD_BYTES) ?? '';
    for (const line of linesOf(installed)) {
      if (line !== '') yield [entry, relativePath(posix.join(own, line))];
    }
  }
}

/** The first field of a line of CSV. */
function recordPath(line: string): string {
  const quoted = /^"((?:[^"]|"")*)"/.exec(line)?.[1];
  return quoted === undefined ? (line.split(',', 1)[0] ?? '').trim() : quoted.replaceAll('""', '"');
}
