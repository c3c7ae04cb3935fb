/**
 * What becomes of the leaves of a source's directory: with whose owner, mode and time they go into the layer, by the
 * options of the copy.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from '../../image/layers/native-archive.ts';
import {
  type LayerContent,
  type LayerEntry,
  type LayerFileRun,
  RUN_NUMBERS,
} from '../../image/layers/snapshotter.ts';
import { type ByteString, bytesOf } from '../../image/layers/tar/byte-string.ts';
import type { TarType, TarXattr } from '../../image/layers/tar/tar-format.ts';
import type { Owner } from './copy-owner.ts';
import type { Attributes } from './destination.ts';
import type { FileTable } from './file-table.ts';
import type { Leaf, LeafBlock } from './leaf-block.ts';
import type { ModeChange } from './mode-change.ts';
import { utf8 } from './tree-files.ts';

/** How the files of one tree are copied. */
export interface CopyRules {
  owner: Owner | undefined;
  mode: ModeChange | undefined;
  epochSeconds: number;
  /** Times and owners are the tree's own. */
  kept: boolean;
  /** The open root of the tree, until the layer is written. */
  rootFd: () => number;
  /** One object for all names of a file, by its identity in the tree. */
  files: Map<string, object>;
}

const TYPES = new Map<number, TarType>([
  [S_IFREG, 'file'],
  [S_IFLNK, 'symlink'],
  [S_IFCHR, 'character'],
  [S_IFBLK, 'block'],
  [S_IFIFO, 'fifo'],
]);
const PERMISSIONS = 0o7777;

/** What stat says of what is copied. */
export interface SourceAttributes {
  /** Type and permission bits. */
  mode: number;
  uid: number;
  gid: number;
  seconds: number;
  nanoseconds: number;
  xattrs: readonly TarXattr[];
}

export function copiedAttributes(source: SourceAttributes, rules: CopyRules): Attributes {
  const { owner, kept, epochSeconds } = rules;
  return {
    mode: copiedMode(source.mode, rules),
    uid: owner?.uid ?? (kept ? source.uid : 0),
    gid: owner?.gid ?? (kept ? source.gid : 0),
    mtimeSec: kept ? source.seconds : epochSeconds,
    mtimeNsec: kept ? source.nanoseconds : 0,
    ...(source.xattrs.length === 0
      ? {}
      : { xattrs: source.xattrs.map(({ name, value }) => ({ name: utf8(name), value })) }),
  };
}

function copiedMode(mode: number, { mode: change }: CopyRules): number {
  const type = mode & S_IFMT;
  if (type === S_IFLNK) return 0o777;
  return change?.apply(mode & PERMISSIONS, type === S_IFDIR) ?? mode & PERMISSIONS;
}

export class CopiedLeaves implements LeafBlock {
  readonly #table: FileTable;
  readonly #rules: CopyRules;

  /** Throws InvalidParameter where one of them cannot be copied. */
  constructor(table: FileTable, rules: CopyRules) {
    this.#table = table;
    this.#rules = rules;
    for (let index = 0; index < table.count; index++) {
      const type = table.mode(index) & S_IFMT;
      /* A socket is nothing without whoever listens: it becomes an empty file. */
      if (TYPES.has(type) || type === S_IFSOCK) continue;
      throw new InvalidParameterError(`/${utf8(table.path(index))}: files of this type cannot be copied`);
    }
  }

  get count(): number {
    return this.#table.count;
  }

  name(index: number): ByteString {
    return this.#table.name(index);
  }

  find(name: ByteString): number {
    return this.#table.find(name);
  }

  isLink(index: number): boolean {
    return this.#table.isLink(index);
  }

  link(index: number): ByteString {
    return this.#table.link(index);
  }

  leaf(index: number): Leaf {
    const table = this.#table;
    const type = TYPES.get(table.mode(index) & S_IFMT);
    const entry: Omit<LayerEntry, 'name'> = { ...this.#attributes(index), type: type ?? 'file' };
    let content: LayerContent | undefined;
    if (type === 'symlink') entry.linkName = bytesOf(table.link(index));
    if (type === 'character' || type === 'block') {
      entry.deviceMajor = table.major(index);
      entry.deviceMinor = table.minor(index);
    }
    if (type === 'file' && table.sizeBytes(index) > 0) {
      const rootFd = this.#rules.rootFd();
      content = { file: { rootFd, path: table.path(index), state: table.state(index) } };
    }
    return { entry, content, file: this.#file(index) };
  }

  #attributes(index: number): Attributes {
    const table = this.#table;
    const source = {
      mode: table.mode(index),
      uid: table.uid(index),
      gid: table.gid(index),
      seconds: table.seconds(index),
      nanoseconds: table.nanoseconds(index),
      xattrs: table.xattrs(index),
    };
    return copiedAttributes(source, this.#rules);
  }

  #file(index: number): object | undefined {
    if (this.#table.links(index) < 2) return undefined;
    const identity = this.#table.identity(index);
    const known = this.#rules.files.get(identity) ?? {};
    this.#rules.files.set(identity, known);
    return known;
  }

  isPlain(index: number): boolean {
    const table = this.#table;
    return table.isFile(index) && table.links(index) < 2 && table.xattrs(index).length === 0;
  }

  run(indexes: Uint32Array, to: ByteString): LayerFileRun {
    const { owner, kept, epochSeconds, rootFd } = this.#rules;
    const table = this.#table;
    const numbers = new Uint32Array(indexes.length * RUN_NUMBERS.count);
    const seconds = new Float64Array(indexes.length);
    for (const [i, index] of indexes.entries()) {
      const at = i * RUN_NUMBERS.count;
      numbers[at + RUN_NUMBERS.mode] = copiedMode(table.mode(index), this.#rules);
      numbers[at + RUN_NUMBERS.uid] = owner?.uid ?? (kept ? table.uid(index) : 0);
      numbers[at + RUN_NUMBERS.gid] = owner?.gid ?? (kept ? table.gid(index) : 0);
      numbers[at + RUN_NUMBERS.nanoseconds] = kept ? table.nanoseconds(index) : 0;
      seconds[i] = kept ? table.seconds(index) : epochSeconds;
    }
    return { rootFd: rootFd(), directory: table.directory, ...table.run(indexes), to, numbers, seconds };
  }
}
