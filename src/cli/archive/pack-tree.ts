/** A local file or tree as a tar stream, with owners, modes and times; what `cp` sends to a container. */
import type { BigIntStats } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Header, type Pack, pack } from 'tar-stream';
import { appendFile, fillArchive } from './file-entry.ts';

/** `path` and all below it, its own entry called `name` (`.` for the content of a folder). Links are kept as links. */
export function packTree(path: string, name: string): AsyncIterable<Uint8Array> {
  const archive = pack();
  const walker = new TreeWalker(archive);
  return fillArchive(archive, () => walker.add(path, name));
}

class TreeWalker {
  readonly #archive: Pack;
  /** The first name of each file that has several. */
  readonly #links = new Map<string, string>();

  constructor(archive: Pack) {
    this.#archive = archive;
  }

  async add(full: string, name: string): Promise<void> {
    const stats = await lstat(full, { bigint: true });
    const header = entryHeader(name, stats);
    if (stats.isDirectory()) {
      this.#archive.entry({ ...header, name: `${name}/`, type: 'directory' });
      for (const child of (await readdir(full)).toSorted())
        await this.add(join(full, child), `${name}/${child}`);
    } else if (stats.isFile()) await this.#file(full, header, stats);
    else if (stats.isSymbolicLink()) {
      this.#archive.entry({ ...header, type: 'symlink', linkname: await readlink(full) });
    } else if (stats.isFIFO()) this.#archive.entry({ ...header, type: 'fifo' });
    else if (stats.isBlockDevice() || stats.isCharacterDevice()) {
      const type = stats.isBlockDevice() ? 'block-device' : 'character-device';
      this.#archive.entry({ ...header, type, ...deviceNumbers(stats.rdev) });
    }
    // A socket cannot be archived: it is nothing without its server.
  }

  async #file(full: string, header: Partial<Header> & { name: string }, stats: BigIntStats): Promise<void> {
    const identity = `${stats.dev}:${stats.ino}`;
    const first = this.#links.get(identity);
    if (first !== undefined) {
      this.#archive.entry({ ...header, type: 'link', linkname: first });
      return;
    }
    if (stats.nlink > 1n) this.#links.set(identity, header.name);
    await appendFile(this.#archive, { ...header, size: Number(stats.size) }, full);
  }
}

function entryHeader(name: string, stats: BigIntStats): Partial<Header> & { name: string } {
  return {
    name,
    mode: Number(stats.mode) & 0o7777,
    mtime: new Date(Number(stats.mtimeMs)),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  };
}

/** makedev(3)'s layout: the low 8 and the bits from 20 on are the minor number. */
function deviceNumbers(device: bigint): { devmajor: number; devminor: number } {
  return {
    devmajor: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    devminor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}
