/**
 * Carries a copy out upon a destination, in memory: which entry each file becomes, with whose owner, mode and time, as
 * BuildKit has it. The top directory of a source is merged into the destination and keeps nothing of its own but, in
 * trees that keep times, its time; everything below is copied as it is.
 */
import { closeSync } from 'node:fs';
import { InvalidParameterError } from '../../base/errors.ts';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from '../../image/layers/native-archive.ts';
import type { LayerContent, LayerEntry } from '../../image/layers/snapshotter.ts';
import { type ByteString, byteString, bytesOf } from '../../image/layers/tar/byte-string.ts';
import type { TarType } from '../../image/layers/tar/tar-format.ts';
import { TREE_FIELDS, treeAddon } from '../../native/tree.ts';
import type { SourceTree } from '../source/source-tree.ts';
import { isArchive } from './archive-file.ts';
import type { Owner } from './copy-owner.ts';
import { type Attributes, below, type Destination, parentOf } from './destination.ts';
import type { ModeChange } from './mode-change.ts';
import type { Match, SelectedNode } from './selection.ts';
import { type FileEntry, utf8 } from './tree-files.ts';
import type { Turns } from './turns.ts';

export interface WriterOptions {
  /** Absolute, cleaned but for what stands at its end. */
  destination: ByteString;
  /** It ends in a slash, or in `/.`: a directory in any case. */
  isDirectory: boolean;
  owner: Owner | undefined;
  mode: ModeChange | undefined;
  epochSeconds: number;
  unpack: boolean;
  /** Shows the files of an archive; see LayerTrees.openArchive. */
  openArchive(path: string, title: string): Promise<SourceTree>;
  /** Selects all of a tree. */
  selectAll(tree: SourceTree): Promise<SelectedNode>;
  turns: Turns;
  /** The open root of a tree, until the layer is written. */
  rootOf(tree: SourceTree): number;
}

const TYPES = new Map<number, TarType>([
  [S_IFREG, 'file'],
  [S_IFLNK, 'symlink'],
  [S_IFCHR, 'character'],
  [S_IFBLK, 'block'],
  [S_IFIFO, 'fifo'],
]);
const DIRECTORY_MODE = 0o755;
const INLINE_MODE = 0o644;

export class CopyWriter {
  readonly #destination: Destination;
  readonly #options: WriterOptions;

  constructor(destination: Destination, options: WriterOptions) {
    this.#destination = destination;
    this.#options = options;
  }

  async copyMatch(match: Match): Promise<void> {
    const { entry } = match.node;
    if (this.#options.unpack && entry.isFile && (await this.#unpack(match))) return;
    const target = this.#target(match.name, entry.isDirectory);
    const writer = new TreeWriter(this.#destination, this.#options, match.tree);
    if (entry.isDirectory) await writer.top(match.node, target.path, target.made);
    else writer.leaf(entry, target.path);
  }

  copyInline(name: string, content: Buffer): void {
    const { path } = this.#target(byteString(name.slice(name.lastIndexOf('/') + 1)), false);
    const { owner, mode, epochSeconds } = this.#options;
    const entry = {
      type: 'file' as const,
      mode: mode?.apply(INLINE_MODE, false) ?? INLINE_MODE,
      uid: owner?.uid ?? 0,
      gid: owner?.gid ?? 0,
      mtimeSec: epochSeconds,
    };
    this.#destination.putLeaf(path, entry, { content });
  }

  /** Where a source goes, the directories above it made. */
  #target(name: ByteString, isDirectory: boolean): { path: ByteString; made: boolean } {
    const { destination, isDirectory: slash } = this.#options;
    const made = slash ? this.#makeDirectories(this.#destination.resolve(destination)) : false;
    const path = this.#destination.resolve(destination);
    if (isDirectory) {
      const place = this.#destination.place(path);
      if (place?.isDirectory === false) {
        throw new InvalidParameterError(`cannot copy to non-directory: /${utf8(path)}`);
      }
      return { path, made: place === undefined ? this.#makeDirectories(path) : made };
    }
    if (this.#destination.place(path)?.isDirectory === true) {
      if (name === '') throw new InvalidParameterError('cannot copy a file without a name');
      return { path: below(path, name), made: false };
    }
    this.#makeDirectories(parentOf(path));
    return { path, made: false };
  }

  #makeDirectories(path: ByteString): boolean {
    const { owner, mode, epochSeconds } = this.#options;
    return this.#destination.makeDirectories(path, {
      mode: mode?.absolute ?? DIRECTORY_MODE,
      uid: 0,
      ...owner,
      mtimeSec: epochSeconds,
    });
  }

  async #unpack(match: Match): Promise<boolean> {
    const { entry } = match.node;
    const fd = treeAddon().treeOpen(this.#options.rootOf(match.tree), bytesOf(entry.path), entry.state);
    try {
      if (!(await isArchive(fd))) return false;
      const archive = await this.#options.openArchive(`/proc/self/fd/${fd}`, utf8(entry.path));
      const node = await this.#options.selectAll(archive);
      if (!treeAddon().treeUnchanged(fd, entry.state)) {
        throw new InvalidParameterError(`${utf8(entry.path)} was changed while it was read`);
      }
      const { owner, epochSeconds } = this.#options;
      const path = this.#destination.resolve(this.#options.destination);
      this.#destination.makeDirectories(path, {
        mode: DIRECTORY_MODE,
        uid: 0,
        ...owner,
        mtimeSec: epochSeconds,
      });
      /* What an archive says of its files is its content: their times and owners are kept. */
      const options = { ...this.#options, mode: undefined };
      const writer = new TreeWriter(this.#destination, options, { ...archive, times: 'kept' }, true);
      await writer.unpacked(node, path);
      return true;
    } finally {
      closeSync(fd);
    }
  }
}

/** Puts one matched tree. */
class TreeWriter {
  readonly #destination: Destination;
  readonly #options: WriterOptions;
  readonly #tree: SourceTree;
  readonly #force: boolean;
  /** One object for all names of a file. */
  readonly #files = new Map<string, object>();

  constructor(destination: Destination, options: WriterOptions, tree: SourceTree, force = false) {
    this.#destination = destination;
    this.#options = options;
    this.#tree = tree;
    this.#force = force;
  }

  /** `made`: the directory at `path` is new, and gets the time of the source's. */
  async top(node: SelectedNode, path: ByteString, made: boolean): Promise<void> {
    if (made && this.#tree.times === 'kept') {
      this.#destination.setAttributes(path, timeOf(node.entry));
    }
    await this.#putAll(node, path);
  }

  /** Links that stand where an archive has a directory are followed by what lies below them, as tar does it. */
  async unpacked(node: SelectedNode, path: ByteString): Promise<void> {
    await this.#options.turns.take();
    for (const child of node.children ?? []) {
      const at = below(path, child.entry.name);
      if (child.children === undefined) {
        this.leaf(child.entry, at);
        continue;
      }
      const resolved = this.#destination.follow(at);
      if (this.#destination.place(resolved)?.isDirectory !== true) {
        this.#destination.putDirectory(at, this.#attributes(child.entry), true);
        await this.unpacked(child, at);
        continue;
      }
      if (resolved === at && !isImplied(child.entry)) {
        this.#destination.setAttributes(at, this.#attributes(child.entry));
      }
      await this.unpacked(child, resolved);
    }
  }

  async #putAll(node: SelectedNode, path: ByteString): Promise<void> {
    await this.#options.turns.take();
    for (const child of node.children ?? []) {
      const at = below(path, child.entry.name);
      if (child.entry.isDirectory) await this.#putDirectory(child, at);
      else this.leaf(child.entry, at);
    }
  }

  async #putDirectory(node: SelectedNode, path: ByteString): Promise<void> {
    const { entry } = node;
    const attributes = this.#attributes(entry);
    const made = this.#destination.putDirectory(path, attributes, this.#force);
    if (!made) this.#destination.setAttributes(path, node.implied ? { mode: entry.mode } : attributes);
    await this.#putAll(node, path);
  }

  leaf(entry: FileEntry, path: ByteString): void {
    const type = TYPES.get(entry.format);
    /* A socket is nothing without whoever listens: it becomes an empty file. */
    if (type === undefined && entry.format !== S_IFSOCK) {
      throw new InvalidParameterError(`/${utf8(entry.path)}: files of this type cannot be copied`);
    }
    const layerEntry: Omit<LayerEntry, 'name'> = { ...this.#attributes(entry), type: type ?? 'file' };
    let content: LayerContent | undefined;
    if (type === 'symlink') layerEntry.linkName = bytesOf(entry.link);
    if (type === 'character' || type === 'block') {
      layerEntry.deviceMajor = entry.field(TREE_FIELDS.major);
      layerEntry.deviceMinor = entry.field(TREE_FIELDS.minor);
    }
    if (type === 'file' && entry.sizeBytes > 0) {
      content = { file: { rootFd: this.#options.rootOf(this.#tree), path: entry.path, state: entry.state } };
    }
    this.#destination.putLeaf(path, layerEntry, { content, file: this.#file(entry), force: this.#force });
  }

  #file(entry: FileEntry): object | undefined {
    if (entry.field(TREE_FIELDS.links) < 2) return undefined;
    const known = this.#files.get(entry.identity) ?? {};
    this.#files.set(entry.identity, known);
    return known;
  }

  #attributes(entry: FileEntry): Attributes {
    const { owner, mode, epochSeconds } = this.#options;
    const kept = this.#tree.times === 'kept';
    return {
      mode: entry.isLink ? 0o777 : (mode?.apply(entry.mode, entry.isDirectory) ?? entry.mode),
      uid: owner?.uid ?? (kept ? entry.field(TREE_FIELDS.uid) : 0),
      gid: owner?.gid ?? (kept ? entry.field(TREE_FIELDS.gid) : 0),
      ...(kept ? timeOf(entry) : { mtimeSec: epochSeconds, mtimeNsec: 0 }),
      ...(entry.xattrs.length === 0
        ? {}
        : { xattrs: entry.xattrs.map(({ name, value }) => ({ name: utf8(name as ByteString), value })) }),
    };
  }
}

/** What a directory looks like that an archive names only as a part of other names. */
function isImplied(entry: FileEntry): boolean {
  const { uid, gid, seconds } = TREE_FIELDS;
  return entry.mode === DIRECTORY_MODE && [uid, gid, seconds].every((field) => entry.field(field) === 0);
}

function timeOf(entry: FileEntry): Attributes {
  return { mtimeSec: entry.field(TREE_FIELDS.seconds), mtimeNsec: entry.field(TREE_FIELDS.nanoseconds) };
}
