/**
 * Carries a copy out upon a destination, in memory: which entry each file becomes, with whose owner, mode and time, as
 * BuildKit has it. The top directory of a source is merged into the destination and keeps nothing of its own but, in
 * trees that keep times, its time; everything below is copied as it is.
 */
import { closeSync } from 'node:fs';
import { InvalidParameterError } from '../../base/errors.ts';
import type { Turns } from '../../base/turns.ts';
import { type ByteString, byteString, bytesOf } from '../../image/layers/tar/byte-string.ts';
import { TREE_FIELDS, treeAddon } from '../../native/tree.ts';
import type { SourceTree } from '../source/source-tree.ts';
import { isArchive } from './archive-file.ts';
import { CopiedLeaves, type CopyRules, copiedAttributes } from './copied-leaves.ts';
import type { Owner } from './copy-owner.ts';
import type { Attributes, Destination } from './destination.ts';
import { below, parentOf } from './entry-path.ts';
import type { FileTable } from './file-table.ts';
import type { ModeChange } from './mode-change.ts';
import type { Match, SelectedNode } from './selection.ts';
import { type FileEntry, utf8 } from './tree-files.ts';

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
    if (match.kind === 'file' && this.#options.unpack && match.file.isFile(0)) {
      if (await this.#unpack(match.file, match.tree)) return;
    }
    const target = this.#target(match.name, match.kind === 'directory');
    const writer = new TreeWriter(this.#destination, this.#options, match.tree);
    if (match.kind === 'directory') await writer.top(match.node, target.path, target.made);
    else writer.leaf(match.file, target.path);
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

  async #unpack(file: FileTable, tree: SourceTree): Promise<boolean> {
    const path = file.path(0);
    const state = file.state(0);
    const fd = treeAddon().treeOpen(this.#options.rootOf(tree), bytesOf(path), state);
    try {
      if (!(await isArchive(fd))) return false;
      const archive = await this.#options.openArchive(`/proc/self/fd/${fd}`, utf8(path));
      const node = await this.#options.selectAll(archive);
      if (!treeAddon().treeUnchanged(fd, state)) {
        throw new InvalidParameterError(`${utf8(path)} was changed while it was read`);
      }
      const { owner, epochSeconds } = this.#options;
      const to = this.#destination.resolve(this.#options.destination);
      this.#destination.makeDirectories(to, {
        mode: DIRECTORY_MODE,
        uid: 0,
        ...owner,
        mtimeSec: epochSeconds,
      });
      /* What an archive says of its files is its content: their times and owners are kept. */
      const options = { ...this.#options, mode: undefined };
      const writer = new TreeWriter(this.#destination, options, { ...archive, times: 'kept' }, true);
      await writer.unpacked(node, to);
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
  readonly #force: boolean;
  readonly #rules: CopyRules;

  constructor(destination: Destination, options: WriterOptions, tree: SourceTree, force = false) {
    this.#destination = destination;
    this.#options = options;
    this.#force = force;
    const { owner, mode, epochSeconds, rootOf } = options;
    const kept = tree.times === 'kept';
    this.#rules = { owner, mode, epochSeconds, kept, rootFd: () => rootOf(tree), files: new Map() };
  }

  /** `made`: the directory at `path` is new, and gets the time of the source's. */
  async top(node: SelectedNode, path: ByteString, made: boolean): Promise<void> {
    if (made && this.#rules.kept) {
      this.#destination.setAttributes(path, timeOf(node.entry));
    }
    await this.#putAll(node, path);
  }

  /**
   * Links that stand where an archive has a directory are followed by what lies below them, as tar does it. In a directory
   * that is new there are none but the archive's own, whose names are no directory's.
   */
  async unpacked(node: SelectedNode, path: ByteString): Promise<void> {
    await this.#options.turns.take();
    const { files, folders } = node;
    if (this.#destination.isFresh(path)) {
      this.#leaves(files, path);
      for (const folder of folders) await this.#unpackedFolder(folder, path);
      return;
    }
    const leaves = new CopiedLeaves(files, this.#rules);
    let next = 0;
    const leavesBefore = (end: ByteString | undefined): void => {
      for (; next < files.count; next++) {
        const name = files.name(next);
        if (end !== undefined && name > end) break;
        this.#leaf(leaves, next, below(path, name));
      }
    };
    for (const folder of folders) {
      leavesBefore(folder.entry.name);
      await this.#unpackedFolder(folder, path);
    }
    leavesBefore(undefined);
  }

  async #unpackedFolder(folder: SelectedNode, path: ByteString): Promise<void> {
    const { entry } = folder;
    const at = below(path, entry.name);
    const resolved = this.#destination.follow(at);
    if (this.#destination.place(resolved)?.isDirectory !== true) {
      this.#destination.putDirectory(at, this.#attributes(entry), true);
      await this.unpacked(folder, at);
      return;
    }
    if (resolved === at && !isImplied(entry)) this.#destination.setAttributes(at, this.#attributes(entry));
    await this.unpacked(folder, resolved);
  }

  async #putAll(node: SelectedNode, path: ByteString): Promise<void> {
    await this.#options.turns.take();
    this.#leaves(node.files, path);
    for (const folder of node.folders) await this.#putDirectory(folder, below(path, folder.entry.name));
  }

  async #putDirectory(node: SelectedNode, path: ByteString): Promise<void> {
    const { entry } = node;
    const attributes = this.#attributes(entry);
    const made = this.#destination.putDirectory(path, attributes, this.#force);
    if (!made) this.#destination.setAttributes(path, node.implied ? { mode: entry.mode } : attributes);
    await this.#putAll(node, path);
  }

  /** A file that was matched alone. */
  leaf(file: FileTable, path: ByteString): void {
    this.#leaf(new CopiedLeaves(file, this.#rules), 0, path);
  }

  #leaf(leaves: CopiedLeaves, index: number, path: ByteString): void {
    const { entry, content, file } = leaves.leaf(index);
    this.#destination.putLeaf(path, entry, { content, file, force: this.#force });
  }

  #leaves(files: FileTable, path: ByteString): void {
    this.#destination.putLeaves(path, new CopiedLeaves(files, this.#rules), this.#force);
  }

  #attributes(entry: FileEntry): Attributes {
    const { uid, gid, seconds, nanoseconds, mode } = TREE_FIELDS;
    const source = {
      mode: entry.field(mode),
      uid: entry.field(uid),
      gid: entry.field(gid),
      seconds: entry.field(seconds),
      nanoseconds: entry.field(nanoseconds),
      xattrs: entry.xattrs,
    };
    return copiedAttributes(source, this.#rules);
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
