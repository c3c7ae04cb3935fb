/**
 * dpkg's database: `var/lib/dpkg/status` (deb822 paragraphs) with the file lists in `info/`, and the `status.d/` of
 * images that have no dpkg, a file a package with an `.md5sums` beside it.
 */
import type { ByteString } from '../../layers/tar/byte-string.ts';
import type { ImageTree } from '../tree.ts';
import {
  type InstalledPackage,
  linesOf,
  MAX_PACKAGES,
  type Note,
  type PackageDatabase,
  readText,
  relativePath,
  word,
} from './installed.ts';

const DATABASE = 'var/lib/dpkg';
const MAX_PARAGRAPH_BYTES = 1024 * 1024;

/** Undefined where the tree has none of both. */
export function readDpkg(tree: ImageTree, note: Note): PackageDatabase | undefined {
  const packages: InstalledPackage[] = [];
  /** Packages of status.d: the name of the file that each was read from. */
  const single = new Map<InstalledPackage, string>();
  const add = (paragraph: ReadonlyMap<string, string>): InstalledPackage | undefined => {
    const entry = toPackage(paragraph);
    if (entry === undefined || packages.length >= MAX_PACKAGES) return undefined;
    packages.push(entry);
    return entry;
  };
  const status = readText(tree, `${DATABASE}/status`, note);
  if (status !== undefined) for (const paragraph of paragraphs(status)) add(paragraph);
  const names = tree.names(`${DATABASE}/status.d` as ByteString);
  for (const name of (names ?? []).slice(0, MAX_PACKAGES)) {
    if (name.endsWith('.md5sums')) continue;
    const text = readText(tree, `${DATABASE}/status.d/${name}`, note, MAX_PARAGRAPH_BYTES) ?? '';
    for (const paragraph of paragraphs(text)) {
      const entry = add(paragraph);
      if (entry !== undefined) single.set(entry, name);
    }
  }
  if (packages.length >= MAX_PACKAGES)
    note(`dpkg: of more than ${MAX_PACKAGES} packages the rest was not read`);
  if (status === undefined && names === undefined) return undefined;
  return { manager: 'dpkg', packages, filesOf: (wanted) => filesOf(tree, wanted, single, note) };
}

/** Fields by their name in lower case; lines that go on are left out: none of them matters here. */
function* paragraphs(text: string): Generator<Map<string, string>, void, undefined> {
  let fields = new Map<string, string>();
  for (const line of linesOf(text)) {
    if (line.trim() === '') {
      if (fields.size > 0) yield fields;
      fields = new Map();
      continue;
    }
    const colon = line.indexOf(':');
    if (colon <= 0 || line.startsWith(' ') || line.startsWith('\t')) continue;
    const name = line.slice(0, colon).toLowerCase();
    if (FIELDS.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  if (fields.size > 0) yield fields;
}

const FIELDS = new Set(['package', 'version', 'architecture', 'status']);

/** Undefined for packages that are removed, of which only the configuration is left. */
function toPackage(fields: ReadonlyMap<string, string>): InstalledPackage | undefined {
  const name = word(fields.get('package') ?? '');
  // `want flag status`; without one (status.d) it is installed.
  const state = fields.get('status')?.split(/\s+/)[2] ?? 'installed';
  if (name === '' || state === 'not-installed' || state === 'config-files') return undefined;
  return {
    name,
    version: word(fields.get('version') ?? ''),
    architecture: word(fields.get('architecture') ?? ''),
    state: state === 'installed' ? '' : word(state),
  };
}

function* filesOf(
  tree: ImageTree,
  wanted: ReadonlySet<InstalledPackage>,
  single: ReadonlyMap<InstalledPackage, string>,
  note: Note,
): Generator<[InstalledPackage, ByteString], void, undefined> {
  for (const entry of wanted) {
    const record = single.get(entry);
    if (record !== undefined) {
      yield [entry, `${DATABASE}/status.d/${record}` as ByteString];
      yield [entry, `${DATABASE}/status.d/${record}.md5sums` as ByteString];
      const sums = readText(tree, `${DATABASE}/status.d/${record}.md5sums`, note) ?? '';
      // `hash  path`
      for (const line of linesOf(sums)) yield [entry, relativePath(line.replace(/^\S+\s+/, ''))];
      continue;
    }
    // A slash would lead to another folder: no package has one in its name.
    if (`${entry.name}${entry.architecture}`.includes('/')) continue;
    const list =
      readText(tree, `${DATABASE}/info/${entry.name}:${entry.architecture}.list`, note) ??
      readText(tree, `${DATABASE}/info/${entry.name}.list`, note) ??
      '';
    for (const line of linesOf(list)) yield [entry, relativePath(line)];
  }
}
