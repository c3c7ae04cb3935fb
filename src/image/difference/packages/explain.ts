/**
 * Says which of the changed files belong to a changed package, so that what no package explains stands out. A folder
 * that many packages share explains nothing by itself: only folders that came or went belong to a package.
 */
import type { PackageManager } from '../../../api/image-difference.ts';
import type { ByteString } from '../../layers/tar/byte-string.ts';
import type { FoundChange } from '../compare-files.ts';
import type { ImageTree } from '../tree.ts';
import type { FoundPackageChange } from './compare-packages.ts';
import type { InstalledPackage } from './installed.ts';
import { npmFolder } from './language-packages.ts';

/** A manager's own records, which change with every package. What stands in dpkg's `info/` is each package's own. */
const RECORDS: Readonly<Partial<Record<PackageManager, RegExp>>> = {
  dpkg: /^var\/lib\/dpkg(?:$|\/(?!info\/|status\.d\/))/,
  apk: /^(?:usr\/)?lib\/apk\/db(?:$|\/)/,
  rpm: /^(?:var\/lib\/rpm|usr\/lib\/sysimage\/rpm|usr\/share\/rpm)(?:$|\/)/,
};
const DPKG_INFO = /^var\/lib\/dpkg\/info\/([^/]+?)\.[a-z0-9]+$/;

export interface ChangedPackages {
  manager: PackageManager;
  changes: readonly FoundPackageChange[];
  /** Of packages of one side: what a database lists. */
  filesOf(
    side: 'from' | 'to',
    wanted: ReadonlySet<InstalledPackage>,
  ): Iterable<[InstalledPackage, ByteString]>;
}

export class Explanation {
  readonly #open = new Map<string, FoundChange>();
  readonly #links: ReadonlyMap<string, string>;

  /** `links`: see `topLinks`. */
  constructor(changes: readonly FoundChange[], links: ReadonlyMap<string, string>) {
    for (const found of changes) this.#open.set(found.path, found);
    this.#links = links;
  }

  explain(packages: ChangedPackages): void {
    const { manager, changes } = packages;
    if (changes.length === 0) return;
    for (const side of ['from', 'to'] as const) {
      const owners = new Map(changes.flatMap((found) => ownerOf(found, side)));
      for (const [entry, path] of packages.filesOf(side, new Set(owners.keys()))) {
        const owner = owners.get(entry);
        const found = this.#open.get(path) ?? this.#open.get(this.#overLink(path));
        if (owner !== undefined && found !== undefined) this.#assign(owner, found);
      }
    }
    if (manager === 'npm') this.#byFolder(changes);
    if (manager === 'dpkg') this.#byRecord(changes);
    const records = RECORDS[manager];
    if (records === undefined) return;
    for (const [path, found] of this.#open) {
      if (!records.test(path)) continue;
      found.change.Package = manager;
      this.#open.delete(path);
    }
  }

  /** Packages name /bin/ls where /bin is a link to usr/bin by now. */
  #overLink(path: string): string {
    const end = path.indexOf('/');
    const target = end < 0 ? undefined : this.#links.get(path.slice(0, end));
    return target === undefined ? '' : `${target}${path.slice(end)}`;
  }

  #assign({ change }: FoundPackageChange, { path, change: file }: FoundChange): void {
    const isFolder =
      (file.From ?? file.To)?.Type === 'directory' && (file.To ?? file.From)?.Type === 'directory';
    if (isFolder && file.Kind === 'changed') return;
    file.Package = `${change.Manager}:${change.Name}`;
    if (file.Kind === 'added') change.Files.Added++;
    else if (file.Kind === 'removed') change.Files.Removed++;
    else change.Files.Changed++;
    change.Files.SizeChange += (file.To?.Size ?? 0) - (file.From?.Size ?? 0);
    this.#open.delete(path);
  }

  #byFolder(changes: readonly FoundPackageChange[]): void {
    const folders = new Map(
      changes.map((found) => [Buffer.from((found.change.Path ?? '').slice(1)).toString('latin1'), found]),
    );
    for (const found of this.#open.values()) {
      const folder = npmFolder(found.path);
      const owner = folder === undefined ? undefined : folders.get(folder);
      if (owner !== undefined) this.#assign(owner, found);
    }
  }

  #byRecord(changes: readonly FoundPackageChange[]): void {
    const owners = new Map<string, FoundPackageChange>();
    for (const found of changes) {
      const { Name, FromArchitecture, ToArchitecture } = found.change;
      for (const name of [Name, `${Name}:${FromArchitecture}`, `${Name}:${ToArchitecture}`])
        owners.set(name, found);
    }
    for (const found of this.#open.values()) {
      const owner = owners.get(DPKG_INFO.exec(found.path)?.[1] ?? '');
      if (owner !== undefined) this.#assign(owner, found);
    }
  }
}

function ownerOf(found: FoundPackageChange, side: 'from' | 'to'): [InstalledPackage, FoundPackageChange][] {
  const entry = found[side];
  return entry === undefined ? [] : [[entry, found]];
}

/** The links in a tree's root that lead to folders of the same tree: `bin` to `usr/bin`. */
export function topLinks(tree: ImageTree): Map<string, string> {
  const links = new Map<string, string>();
  for (const { name, link } of tree.list('' as ByteString) ?? []) {
    const target = link.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');
    if (target !== '' && !target.split('/').includes('..')) links.set(name, target);
  }
  return links;
}
