/**
 * Unpacks an archive that a container or a daemon made into a local folder. Nothing in it is trusted: a name never
 * leads out of the folder, no link is ever followed, hard links only go to files of the same archive, and without
 * `keepOwners` no file gets set-user-ID bits.
 */
import { spawnSync } from 'node:child_process';
import { constants, type Stats } from 'node:fs';
import { chmod, lchown, link, lstat, lutimes, mkdir, open, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type Header, extract as tarReader } from 'tar-stream';
import { errnoCode } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';

export interface ExtractOptions {
  /** The name that the archive's root must have; `.` or `/` for an archive of a folder's content. */
  readonly rootName: string;
  /** What the root is called here; `.` for "content right into the folder". */
  readonly newName: string;
  /** Set owners and keep set-ID bits. */
  readonly keepOwners: boolean;
}

/** `folder` must exist. Rejects with `CliError` at the first entry that cannot or must not be made. */
export async function extractArchive(
  archive: AsyncIterable<Uint8Array>,
  folder: string,
  options: ExtractOptions,
): Promise<void> {
  const reader = tarReader();
  const feeding = feed(archive, reader as unknown as Writable);
  feeding.catch((error: Error) => reader.destroy(error));
  const extraction = new Extraction(folder, options);
  for await (const entry of reader) {
    const content = entry as unknown as Readable;
    await extraction.add(entry.header, content);
    content.resume();
  }
  await feeding;
  await extraction.finish();
}

async function feed(archive: AsyncIterable<Uint8Array>, reader: Writable): Promise<void> {
  for await (const chunk of archive) {
    if (reader.destroyed) return;
    if (!reader.write(chunk)) await room(reader);
  }
  reader.end();
}

function room(reader: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      reader.off('drain', done);
      reader.off('close', done);
      resolve();
    };
    reader.on('drain', done);
    reader.on('close', done);
  });
}

class Extraction {
  readonly #folder: string;
  readonly #options: ExtractOptions;
  readonly #files = new Set<string>();
  /** Folders get mode and time last: making what is in them needs write permission, and changes the time. */
  readonly #folders = new Map<string, Header>();

  constructor(folder: string, options: ExtractOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  async add(header: Header, content: Readable): Promise<void> {
    const parts = this.#place(header.name);
    const path = join(this.#folder, ...parts);
    await this.#requireParents(parts);
    if (header.type === 'directory') {
      await this.#directory(path, header);
      return;
    }
    if (parts.length === 0) throw new CliError(`the archive has an entry without a name: "${header.name}"`);
    await this.#clear(path);
    await this.#make(path, header, content);
  }

  /** Deepest first, so that a folder without write permission does not keep its content from being finished. */
  async finish(): Promise<void> {
    for (const [path, header] of [...this.#folders].reverse()) await this.#finishEntry(path, header);
  }

  /** The entry's place as components below the folder. */
  #place(name: string): string[] {
    const parts = components(name);
    const root = components(this.#options.rootName);
    const fits = root.every((part, index) => parts[index] === part);
    if (!fits || parts.includes('..')) {
      throw new CliError(`the archive has an entry that was not asked for: "${name}"`);
    }
    return [...components(this.#options.newName), ...parts.slice(root.length)];
  }

  async #requireParents(parts: readonly string[]): Promise<void> {
    let path = this.#folder;
    for (const part of parts.slice(0, -1)) {
      path = join(path, part);
      const stats = await statOrNone(path);
      if (stats === undefined) await mkdir(path);
      else if (!stats.isDirectory())
        throw new CliError(`cannot copy through "${path}": it is not a directory`);
    }
  }

  async #directory(path: string, header: Header): Promise<void> {
    const stats = await statOrNone(path);
    // The folder itself was chosen by the user, and may be a link.
    if (path === this.#folder || stats?.isDirectory()) {
      this.#folders.set(path, header);
      return;
    }
    if (stats !== undefined) {
      throw new CliError(`cannot overwrite non-directory "${path}" with directory "${dirname(path)}"`);
    }
    await mkdir(path, { mode: 0o700 });
    this.#folders.set(path, header);
  }

  async #clear(path: string): Promise<void> {
    const stats = await statOrNone(path);
    if (stats?.isDirectory()) {
      throw new CliError(`cannot overwrite directory "${path}" with non-directory "${dirname(path)}"`);
    }
    if (stats !== undefined) await rm(path);
  }

  async #make(path: string, header: Header, content: Readable): Promise<void> {
    switch (header.type) {
      case 'symlink':
        await symlink(header.linkname ?? '', path);
        break;
      case 'link':
        await this.#hardLink(path, header);
        return;
      case 'file':
      case 'contiguous-file':
        await writeContent(path, content);
        this.#files.add(path);
        break;
      case 'fifo':
      case 'block-device':
      case 'character-device':
        makeNode(path, header);
        break;
      default:
        throw new CliError(`the archive has an entry of an unknown kind: "${header.name}"`);
    }
    await this.#finishEntry(path, header);
  }

  /** The file has its mode and owner already, by its first name. */
  async #hardLink(path: string, header: Header): Promise<void> {
    const target = join(this.#folder, ...this.#place(header.linkname ?? ''));
    if (!this.#files.has(target)) {
      throw new CliError(`the archive has a link to a file that is not in it: "${header.linkname}"`);
    }
    await link(target, path);
    this.#files.add(path);
  }

  async #finishEntry(path: string, header: Header): Promise<void> {
    const { keepOwners } = this.#options;
    // Before the mode: a change of owner takes set-ID bits away.
    if (keepOwners) await lchown(path, header.uid ?? 0, header.gid ?? 0);
    if (header.type !== 'symlink') await chmod(path, (header.mode ?? 0o644) & (keepOwners ? 0o7777 : 0o1777));
    const mtime = header.mtime ?? new Date(0);
    await lutimes(path, mtime, mtime);
  }
}

function components(name: string): string[] {
  return name.split('/').filter((part) => part !== '' && part !== '.');
}

async function statOrNone(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeContent(path: string, content: Readable): Promise<void> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
  const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    for await (const chunk of content) await file.writeFile(chunk as Buffer);
  } finally {
    await file.close();
  }
}

/** mknod(1): Node has no call for it. */
function makeNode(path: string, header: Header): void {
  const kind = { fifo: ['p'], 'block-device': ['b'], 'character-device': ['c'] }[header.type as 'fifo'];
  const numbers = header.type === 'fifo' ? [] : [String(header.devmajor ?? 0), String(header.devminor ?? 0)];
  const { status, stderr } = spawnSync('mknod', ['-m', '600', path, ...kind, ...numbers]);
  if (status !== 0)
    throw new CliError(`cannot make "${path}": ${String(stderr ?? '').trim() || 'mknod failed'}`);
}
