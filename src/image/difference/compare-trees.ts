/**
 * Two trees, compared whole: system packages out of the databases, files, packages of languages out of the changed
 * files, and then which changed file belongs to which changed package.
 */
import type { FileDifference, PackageDifference, PackageManager } from '../../api/image-difference.ts';
import { errnoCode } from '../../base/errors.ts';
import { compareFiles, type FoundChange } from './compare-files.ts';
import { readApk } from './packages/apk.ts';
import { comparePackages, type FoundPackageChange } from './packages/compare-packages.ts';
import { readDpkg } from './packages/dpkg.ts';
import { type ChangedPackages, Explanation, topLinks } from './packages/explain.ts';
import type { InstalledPackage, Note, PackageDatabase } from './packages/installed.ts';
import { pipFiles, readLanguagePackages } from './packages/language-packages.ts';
import { readRpm } from './packages/rpm.ts';
import type { ImageTree } from './tree.ts';

export interface CompareTreesOptions {
  packages: boolean;
  files: boolean;
  content: boolean;
  times: boolean;
  /** Called between steps of some milliseconds; what it throws ends the comparison. */
  check(): void;
}

export interface TreeDifference {
  packages?: PackageDifference;
  files?: FileDifference;
  notes: string[];
}

const READERS: readonly [PackageManager, (tree: ImageTree, note: Note) => PackageDatabase | undefined][] = [
  ['dpkg', readDpkg],
  ['apk', readApk],
  ['rpm', readRpm],
];

export function compareTrees(from: ImageTree, to: ImageTree, options: CompareTreesOptions): TreeDifference {
  const notes = new Set<string>();
  const note = (text: string): void => {
    notes.add(text);
  };
  const changed: ChangedPackages[] = [];
  const counts: PackageDifference['Counts'] = [];
  if (options.packages) {
    for (const [manager, read] of READERS) {
      options.check();
      const left = readDatabase(() => read(from, sided('first', note)), manager, note);
      const right = readDatabase(() => read(to, sided('second', note)), manager, note);
      if (left === undefined && right === undefined) continue;
      counts.push({ Manager: manager, From: left?.packages.length ?? 0, To: right?.packages.length ?? 0 });
      changed.push(changedPackages(manager, left, right));
    }
  }
  // Without the files, too: what npm and pip have changed is found by them.
  const { found, difference } = compareFiles(from, to, {
    content: options.content,
    times: options.times,
    check: options.check,
    note,
  });
  if (options.packages) changed.push(...languagePackages(found, from, to, note));
  if (options.packages && options.files) {
    const explanation = new Explanation(found, new Map([...topLinks(from), ...topLinks(to)]));
    for (const packages of changed) {
      options.check();
      explanation.explain(packages);
    }
  }
  if (difference.Cut)
    note(`There are more than ${difference.Changes.length} changed files: the rest is only counted`);
  const changes = changed.flatMap((packages) => packages.changes.map(({ change }) => change));
  return {
    ...(options.packages ? { packages: { Changes: changes, Counts: counts } } : {}),
    ...(options.files ? { files: difference } : {}),
    notes: [...notes],
  };
}

function sided(side: string, note: Note): Note {
  return (text) => note(`In the ${side}: ${text}`);
}

function readDatabase(
  read: () => PackageDatabase | undefined,
  manager: PackageManager,
  note: Note,
): PackageDatabase | undefined {
  try {
    return read();
  } catch (error) {
    const code = errnoCode(error);
    if (code === undefined) throw error;
    note(`The packages of ${manager} could not be read (${code})`);
    return undefined;
  }
}

function changedPackages(
  manager: PackageManager,
  from: PackageDatabase | undefined,
  to: PackageDatabase | undefined,
): ChangedPackages {
  return {
    manager,
    changes: comparePackages(manager, from?.packages ?? [], to?.packages ?? []),
    filesOf: (side, wanted) => (side === 'from' ? from : to)?.filesOf(wanted) ?? [],
  };
}

function languagePackages(
  found: readonly FoundChange[],
  from: ImageTree,
  to: ImageTree,
  note: Note,
): ChangedPackages[] {
  const packages = readLanguagePackages(found, from, to, note);
  return (['npm', 'pip'] as const).map((manager) => {
    const of = (side: 'from' | 'to'): InstalledPackage[] =>
      [...packages[side]]
        .filter(([, description]) => description.manager === manager)
        .map(([entry]) => entry);
    const changes: FoundPackageChange[] = comparePackages(manager, of('from'), of('to'));
    return {
      manager,
      changes,
      filesOf: (side, wanted) => pipFiles(side === 'from' ? from : to, packages[side], wanted, note),
    };
  });
}
