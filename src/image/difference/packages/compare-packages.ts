/** Which packages two trees do not have in common: paired by name and place, then by architecture, then by version. */
import type { PackageChange, PackageChangeKind, PackageManager } from '../../../api/image-difference.ts';
import { compareAlpineVersions } from './alpine-version.ts';
import { compareDebianVersions } from './debian-version.ts';
import type { InstalledPackage } from './installed.ts';
import { compareNpmVersions, comparePythonVersions } from './language-version.ts';
import { compareRpmVersions } from './rpm-version.ts';

const ORDERS: Readonly<Record<PackageManager, (a: string, b: string) => number | undefined>> = {
  dpkg: compareDebianVersions,
  apk: compareAlpineVersions,
  rpm: compareRpmVersions,
  npm: compareNpmVersions,
  pip: comparePythonVersions,
};

export interface FoundPackageChange {
  change: PackageChange;
  from: InstalledPackage | undefined;
  to: InstalledPackage | undefined;
}

/** Sorted by name, then by place and architecture. */
export function comparePackages(
  manager: PackageManager,
  from: Iterable<InstalledPackage>,
  to: Iterable<InstalledPackage>,
): FoundPackageChange[] {
  const left = grouped(from);
  const right = grouped(to);
  const changes: FoundPackageChange[] = [];
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    for (const [one, other] of pairs(left.get(key) ?? [], right.get(key) ?? []))
      changes.push({ change: describeChange(manager, one, other), from: one, to: other });
  }
  return changes.sort((a, b) => compareText(sortKey(a.change), sortKey(b.change)));
}

function grouped(packages: Iterable<InstalledPackage>): Map<string, InstalledPackage[]> {
  const groups = new Map<string, InstalledPackage[]>();
  for (const entry of packages) {
    const key = `${entry.name}\0${entry.path ?? ''}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  return groups;
}

type Pair = [InstalledPackage | undefined, InstalledPackage | undefined];

/**
 * Equal ones drop out. Of the rest, versions of one architecture belong together, oldest to oldest as they are
 * listed (several kernels are installed at once), then what is left, whatever its architecture.
 */
function pairs(from: readonly InstalledPackage[], to: readonly InstalledPackage[]): Pair[] {
  const found: Pair[] = [];
  let [left, right] = [[...from], [...to]];
  const matching = [
    (a: InstalledPackage, b: InstalledPackage) =>
      a.architecture === b.architecture && a.version === b.version && a.state === b.state,
    (a: InstalledPackage, b: InstalledPackage) => a.architecture === b.architecture,
    () => true,
  ];
  for (const [round, matches] of matching.entries()) {
    const rest: InstalledPackage[] = [];
    for (const one of left) {
      const at = right.findIndex((other) => matches(one, other));
      if (at < 0) rest.push(one);
      else if (round > 0) found.push([one, right[at]]);
      if (at >= 0) right = right.toSpliced(at, 1);
    }
    left = rest;
  }
  return [
    ...found,
    ...left.map((one): Pair => [one, undefined]),
    ...right.map((one): Pair => [undefined, one]),
  ];
}

function describeChange(
  manager: PackageManager,
  from: InstalledPackage | undefined,
  to: InstalledPackage | undefined,
): PackageChange {
  const path = to?.path ?? from?.path;
  const shown = (entry: InstalledPackage | undefined): string =>
    entry === undefined || entry.state === '' ? (entry?.version ?? '') : `${entry.version} (${entry.state})`;
  return {
    Manager: manager,
    Name: to?.name ?? from?.name ?? '',
    Kind: kindOf(manager, from, to),
    FromVersion: shown(from),
    ToVersion: shown(to),
    ...(from === undefined || from.architecture === '' ? {} : { FromArchitecture: from.architecture }),
    ...(to === undefined || to.architecture === '' ? {} : { ToArchitecture: to.architecture }),
    ...(path === undefined ? {} : { Path: path }),
    Files: { Added: 0, Removed: 0, Changed: 0, SizeChange: 0 },
  };
}

function kindOf(
  manager: PackageManager,
  from: InstalledPackage | undefined,
  to: InstalledPackage | undefined,
): PackageChangeKind {
  if (from === undefined) return 'added';
  if (to === undefined) return 'removed';
  const order = ORDERS[manager](from.version, to.version);
  if (order === undefined || order === 0) return 'changed';
  return order < 0 ? 'upgraded' : 'downgraded';
}

function sortKey({ Name, Path, ToArchitecture, FromArchitecture }: PackageChange): string {
  return `${Name}\0${Path ?? ''}\0${ToArchitecture ?? FromArchitecture ?? ''}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
