/**
 * rpm's database, at the places and in the formats that distributions have: SQLite, rpm's own ndb, Berkeley DB. All
 * of them hold headers (rpm-header.ts), which are read one after the other: a database may be larger than memory
 * should be for it.
 */
import { EngineError } from '../../../base/errors.ts';
import type { ByteString } from '../../layers/tar/byte-string.ts';
import type { ImageTree, TreeFile } from '../tree.ts';
import { berkeleyBlobs } from './berkeley-packages.ts';
import {
  type InstalledPackage,
  MAX_PACKAGES,
  type Note,
  type PackageDatabase,
  relativePath,
  word,
} from './installed.ts';
import { ndbBlobs } from './ndb-packages.ts';
import { RpmHeader } from './rpm-header.ts';
import { SqliteTable } from './sqlite-table.ts';

const FOLDERS = ['usr/lib/sysimage/rpm', 'var/lib/rpm', 'usr/share/rpm'];
/** The kernel's package with its tens of thousands of files has some megabytes. */
const MAX_HEADER_BYTES = 32 * 1024 * 1024;
const LIMITS = { maxValueBytes: MAX_HEADER_BYTES, maxPages: 262_144 };

interface Format {
  file: string;
  blobs(file: TreeFile, tree: ImageTree, path: string): Generator<Buffer, void, undefined>;
}

const FORMATS: readonly Format[] = [
  { file: 'rpmdb.sqlite', blobs: sqliteBlobs },
  { file: 'Packages.db', blobs: (file) => ndbBlobs(file, MAX_HEADER_BYTES) },
  { file: 'Packages', blobs: (file) => berkeleyBlobs(file, MAX_HEADER_BYTES) },
];

/** The first database that is there. One that cannot be read to its end is noted, with what was read of it. */
export function readRpm(tree: ImageTree, note: Note): PackageDatabase | undefined {
  for (const folder of FOLDERS) {
    for (const format of FORMATS) {
      const path = `${folder}/${format.file}`;
      const headers = headersOf(tree, path, format);
      if (headers === undefined) continue;
      const packages: InstalledPackage[] = [];
      reading(path, note, () => {
        for (const header of headers()) {
          if (packages.length >= MAX_PACKAGES) {
            note(`rpm: of more than ${MAX_PACKAGES} packages the rest was not read`);
            break;
          }
          packages.push(toPackage(header));
        }
      });
      return {
        manager: 'rpm',
        packages,
        filesOf: (wanted) => filesOf(headers, packages, wanted, path, note),
      };
    }
  }
  return undefined;
}

/** Undefined where there is no such file. */
function headersOf(
  tree: ImageTree,
  path: string,
  format: Format,
): (() => Generator<RpmHeader, void, undefined>) | undefined {
  const there = tree.find(path as ByteString);
  if (there === undefined) return undefined;
  there.close();
  return function* headers() {
    const file = tree.find(path as ByteString);
    if (file === undefined) return;
    try {
      for (const blob of format.blobs(file, tree, path)) {
        const header = RpmHeader.parse(blob);
        if (header !== undefined && header.name !== '') yield header;
      }
    } finally {
      file.close();
    }
  };
}

function* sqliteBlobs(file: TreeFile, tree: ImageTree, path: string): Generator<Buffer, void, undefined> {
  const wal = tree.find(`${path}-wal` as ByteString);
  try {
    yield* new SqliteTable(file, wal, LIMITS).blobs('Packages');
  } finally {
    wal?.close();
  }
}

function toPackage(header: RpmHeader): InstalledPackage {
  return {
    name: word(header.name),
    version: word(header.version),
    architecture: word(header.architecture),
    state: '',
  };
}

function* filesOf(
  headers: () => Generator<RpmHeader, void, undefined>,
  packages: readonly InstalledPackage[],
  wanted: ReadonlySet<InstalledPackage>,
  path: string,
  note: Note,
): Generator<[InstalledPackage, ByteString], void, undefined> {
  if (wanted.size === 0) return;
  let at = 0;
  try {
    for (const header of headers()) {
      const entry = packages[at++];
      if (entry === undefined) return;
      if (!wanted.has(entry)) continue;
      for (const file of header.files()) yield [entry, relativePath(file)];
    }
  } catch (error) {
    noteUnreadable(error, path, note);
  }
}

function reading(path: string, note: Note, read: () => void): void {
  try {
    read();
  } catch (error) {
    noteUnreadable(error, path, note);
  }
}

function noteUnreadable(error: unknown, path: string, note: Note): void {
  if (!(error instanceof EngineError)) throw error;
  note(`/${path} was not read to its end: ${error.message}`);
}
