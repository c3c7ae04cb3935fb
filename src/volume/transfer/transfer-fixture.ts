/** For tests of transfers: volumes in a temporary folder, trees with all kinds of files, and what they look like. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '../../base/database.ts';
import { EventBus } from '../../events/event-bus.ts';
import { addon } from '../../native/addon.ts';
import { VolumeStore } from '../volume-store.ts';
import { VOLUME_MIGRATIONS } from '../volume-table.ts';
import { VolumeSnapshots } from './volume-snapshots.ts';
import { VolumeTransfers } from './volume-transfers.ts';

export const NEVER = new AbortController().signal;

export interface Fixture {
  base: string;
  root: string;
  store: VolumeStore;
  transfers: VolumeTransfers;
  snapshots: VolumeSnapshots;
  events: EventBus;
  /** IDs that count as running users of every volume. */
  running: string[];
}

/** Opens the same volumes again, as the next daemon does, where `base` is given. */
export async function openVolumes(base = mkdtempSync(join(tmpdir(), 'mydock-transfer-'))): Promise<Fixture> {
  const root = join(base, 'volumes');
  const events = new EventBus();
  const running: string[] = [];
  const database = openDatabase(join(base, 'db'), [VOLUME_MIGRATIONS]);
  const store = new VolumeStore({ database, root, events });
  const transfers = new VolumeTransfers({ store, root, events });
  const snapshots = new VolumeSnapshots({ store, events, runningUsers: () => running });
  await store.sweep();
  await transfers.sweep();
  return { base, root, store, transfers, snapshots, events, running };
}

/** Every kind of file that a volume may hold, with attributes, times before 1970 and a name that is no UTF-8. */
export function makeTree(path: string): void {
  mkdirSync(join(path, 'deep/er'), { recursive: true });
  writeFileSync(join(path, 'plain'), 'content of a file\n');
  chownSync(join(path, 'plain'), 1000, 2000);
  chmodSync(join(path, 'plain'), 0o4751);
  linkSync(join(path, 'plain'), join(path, 'deep/er/again'));
  writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0x62, 0xff, 0x61])]), 'odd name');
  symlinkSync('/etc/passwd', join(path, 'absolute'));
  symlinkSync('../plain', join(path, 'deep/up'));
  lchownSync(join(path, 'absolute'), 5, 6);
  writeFileSync(join(path, 'large'), Buffer.alloc(700_000, 'abc'));
  const holes = join(path, 'holes');
  const fd = openSync(holes, 'w');
  writeSync(fd, 'begin', 4096);
  writeSync(fd, 'end', 50_000_000);
  closeSync(fd);
  truncateSync(holes, 100_000_000);
  addon().mknod(join(path, 'fifo'), 0o010640, 0, 0);
  addon().mknod(join(path, 'device'), 0o020600, 1, 3);
  addon().setXattr(join(path, 'plain'), 'user.note', Buffer.from([0, 255, 10]));
  addon().setXattr(join(path, 'deep'), 'user.folder', Buffer.from('x'));
  chmodSync(join(path, 'deep'), 0o1777);
  chownSync(path, 33, 34);
  chmodSync(path, 0o2770);
  addon().setTimes(join(path, 'plain'), -5, 123_456_789);
  addon().setTimes(join(path, 'deep/er'), 1_000_000_000, 1);
  addon().setTimes(join(path, 'deep'), 1_000_000_001, 999_999_999);
  addon().setTimes(path, 1_000_000_002, 0);
}

/** One line for everything in a tree, its root included: all that must outlive a transfer. */
export function describeTree(path: string): string[] {
  const lines: string[] = [];
  const links = new Map<bigint, string>();
  const visit = (at: Buffer, shown: string): void => {
    const stat = lstatSync(at, { bigint: true });
    const words = [shown, stat.mode.toString(8), `${stat.uid}:${stat.gid}`, String(stat.mtimeNs)];
    if (stat.isSymbolicLink()) words.push(readlinkSync(at));
    else if (stat.isFile())
      words.push(String(stat.size), createHash('sha256').update(readFileSync(at)).digest('hex'));
    else if (!stat.isDirectory()) words.push(String(stat.rdev));
    if (!stat.isDirectory() && stat.nlink > 1n) words.push(links.get(stat.ino) ?? 'first');
    links.set(stat.ino, shown);
    for (const { name, value } of addon().listXattrs(at)) words.push(`${name}=${value.toString('hex')}`);
    lines.push(words.join(' '));
    if (!stat.isDirectory()) return;
    const names = readdirSync(at, { encoding: 'buffer' }).sort(Buffer.compare);
    for (const name of names) {
      visit(Buffer.concat([at, Buffer.from('/'), name]), `${shown}/${name.toString('latin1')}`);
    }
  };
  visit(Buffer.from(path), '.');
  return lines;
}

/** The whole export of a volume. */
export async function exported(
  { transfers }: Fixture,
  name: string,
  compression: 'none' | 'gzip' | 'zstd' = 'none',
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const take = async (chunk: Buffer) => {
    chunks.push(Buffer.from(chunk));
  };
  await transfers.export(name, compression, () => take, NEVER);
  return Buffer.concat(chunks);
}

/** What a request's body would be, in pieces of odd sizes. */
export async function* pieces(data: Buffer, size = 60_001): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}
