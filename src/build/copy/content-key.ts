/**
 * One digest of all that a copy takes: names, types, modes, links, attributes, content; owners and times of trees in
 * which they are results of the build. Two copies with the same key and definition upon the same root are the same.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Turns } from '../../base/turns.ts';
import { TREE_FIELDS } from '../../native/tree.ts';
import { digestOf } from './content-digests.ts';
import type { FileTable } from './file-table.ts';
import { forEachChild, type Match, type SelectedNode } from './selection.ts';
import type { FileEntry } from './tree-files.ts';

/** What a source came to. */
export type SelectedSource =
  | { kind: 'matches'; matches: readonly Match[] }
  | { kind: 'inline'; name: string; content: Buffer };

const GATHERED_BYTES = 64 * 1024;
const FILES_AT_ONCE = 1000;

/** The digests of all files are known (ContentDigests.complete). */
export async function contentKeyOf(sources: readonly SelectedSource[], turns: Turns): Promise<string> {
  const hash = createHash('sha256');
  for (const source of sources) {
    if (source.kind === 'inline') {
      hash.update(`inline\0${source.name}\0${source.content.length}\0`).update(source.content);
      continue;
    }
    hash.update('source\0');
    for (const match of source.matches) {
      /* The name is of no matter where a directory's content is copied. */
      const out = new KeyBytes(hash);
      out.text(`match\0${match.kind === 'directory' ? '' : match.name}\0`);
      await new KeyWriter(out, match).write(match, turns);
      out.flush();
    }
  }
  return `sha256:${hash.digest('hex')}`;
}

/** Gathers what is hashed: a call for each of many short texts would cost more than the hashing. */
class KeyBytes {
  readonly #hash: Hash;
  readonly #buffer = Buffer.allocUnsafe(GATHERED_BYTES);
  #used = 0;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  /** Bytes, in a string of one char each. */
  text(text: string): void {
    if (!this.#hasRoom(text.length)) this.#hash.update(text, 'latin1');
    else this.#used += this.#buffer.write(text, this.#used, 'latin1');
  }

  bytes(bytes: Uint8Array): void {
    if (!this.#hasRoom(bytes.length)) {
      this.#hash.update(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  #hasRoom(length: number): boolean {
    if (this.#used + length > GATHERED_BYTES) this.flush();
    return length <= GATHERED_BYTES;
  }

  flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}

class KeyWriter {
  readonly #out: KeyBytes;
  readonly #kept: boolean;
  /** Numbers of files of which several names are copied. */
  readonly #files: ReadonlyMap<string, number>;

  constructor(out: KeyBytes, match: Match) {
    this.#out = out;
    this.#kept = match.tree.times === 'kept';
    this.#files = match.kind === 'directory' ? numberFiles(match.node) : new Map();
  }

  /** Every field ends in NUL or has a fixed length, and a directory in `end`, so that no two trees read the same. */
  async write(match: Match, turns: Turns): Promise<void> {
    await turns.take();
    if (match.kind === 'file') {
      this.#file(match.file, 0, '');
      return;
    }
    this.#directory(match.node, '');
    await this.#children(match.node, turns);
  }

  async #children(node: SelectedNode, turns: Turns): Promise<void> {
    await turns.take();
    const { files, folders } = node;
    if (node.implied) this.#out.text('implied\0');
    let next = 0;
    for (const folder of folders) {
      const { name } = folder.entry;
      while (next < files.count && files.name(next) < name) this.#file(files, next, files.name(next++));
      this.#directory(folder, name);
      await this.#children(folder, turns);
    }
    for (; next < files.count; next++) {
      if (next % FILES_AT_ONCE === 0) await turns.take();
      this.#file(files, next, files.name(next));
    }
    this.#out.text('end\0');
  }

  #directory({ entry }: SelectedNode, name: string): void {
    let text = `\0${name}\0${entry.field(TREE_FIELDS.mode)}\0`;
    if (this.#kept) {
      const { uid, gid, seconds, nanoseconds } = TREE_FIELDS;
      text += `\0${[uid, gid, seconds, nanoseconds].map((field) => entry.field(field)).join('\0')}`;
    }
    this.#out.text(`${this.#kept ? 7 : 3}${text}\0`);
    this.#xattrs(entry.xattrs);
  }

  #file(files: FileTable, index: number, name: string): void {
    let count = 3;
    let text = `\0${name}\0${files.mode(index)}\0${files.link(index)}`;
    if (this.#kept) {
      count += 4;
      text += `\0${files.uid(index)}\0${files.gid(index)}\0${files.seconds(index)}\0${files.nanoseconds(index)}`;
    }
    const isFile = files.isFile(index);
    if (!isFile) {
      count += 2;
      text += `\0${files.major(index)}\0${files.minor(index)}`;
    }
    if (files.links(index) > 1) {
      count++;
      text += `\0${this.#files.get(files.identity(index)) ?? ''}`;
    }
    this.#out.text(`${count}${text}\0`);
    this.#xattrs(files.xattrs(index));
    if (isFile) this.#out.bytes(digestOf(files, index));
  }

  #xattrs(xattrs: FileEntry['xattrs']): void {
    this.#out.text(`${xattrs.length}\0`);
    for (const { name, value } of xattrs) {
      this.#out.text(`${name}\0${value.length}\0`);
      this.#out.bytes(value);
    }
  }
}

/** By identity, which is itself of chance, in the order of the names. */
function numberFiles(top: SelectedNode): Map<string, number> {
  const names = new Map<string, number>();
  const count = (node: SelectedNode): void => {
    const { files } = node;
    const add = (index: number): void => {
      if (files.links(index) < 2) return;
      const identity = files.identity(index);
      names.set(identity, (names.get(identity) ?? 0) + 1);
    };
    forEachChild(node, add, count);
  };
  count(top);
  const several = [...names].filter(([, times]) => times > 1);
  return new Map(several.map(([identity], index) => [identity, index]));
}
