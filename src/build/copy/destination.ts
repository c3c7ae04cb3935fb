/**
 * Where a copy goes: the parent's root with what the copy has put upon it so far, and in the end the entries of the
 * layer. Which names may stand where is as BuildKit has it: directories merge, files replace files and links, and a
 * file never replaces a directory, nor a directory a file. Nothing is written here but into memory.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { LayerContent, LayerEntry, LayerFileRun, LayerWriter } from '../../image/layers/snapshotter.ts';
import { type ByteString, byteString, bytesOf, EMPTY } from '../../image/layers/tar/byte-string.ts';
import { isReservedName } from '../../image/layers/tar/entry-path.ts';
import { TREE_FIELDS } from '../../native/tree.ts';
import { baseOf, below, parentOf } from './entry-path.ts';
import { type Leaf, type LeafBlock, LeafBlocks, RunGatherer } from './leaf-block.ts';
import { type FileEntry, resolveInside, utf8 } from './tree-files.ts';

const S_ISGID = 0o2000;

/** Looks at what the parent has; undefined where nothing is. Nothing at all with `--link`. */
export type ParentLook = (path: ByteString) => FileEntry | undefined;

export type Attributes = Pick<LayerEntry, 'mode' | 'uid' | 'gid' | 'mtimeSec' | 'mtimeNsec' | 'xattrs'>;

interface DirectoryNode {
  kind: 'directory';
  attributes: Attributes;
  /** `carried`: the parent's own, in the layer only so that what is below it has one. */
  origin: 'carried' | 'changed' | 'made';
  children: Map<string, Node>;
  /** More leaves; where `children` has the same name, that counts. */
  leaves: LeafBlocks;
}

interface LeafNode extends Leaf {
  kind: 'leaf';
}

type Node = DirectoryNode | LeafNode;

/** What is known of a place, whoever put it there. */
interface Place {
  isLink: boolean;
  isDirectory: boolean;
  link: ByteString;
}

/** What a layer gets: an entry, or many files at once. */
export type LayerPart = { entry: LayerEntry; content: LayerContent | undefined } | { run: LayerFileRun };

export class Destination {
  readonly #look: ParentLook;
  readonly #root: DirectoryNode = directoryNode({}, 'carried');

  /** Where something was put last. */
  #last: { path: ByteString; node: DirectoryNode } = { path: EMPTY, node: this.#root };

  constructor(look: ParentLook) {
    this.#look = look;
  }

  /** What stands at a path without links in it. */
  place(path: ByteString): Place | undefined {
    if (path === '') return { isLink: false, isDirectory: true, link: EMPTY };
    const node = this.#known(path);
    if (node === 'hidden') return undefined;
    if (node?.kind === 'directory') return { isLink: false, isDirectory: true, link: EMPTY };
    if (node?.kind === 'leaf') {
      const isLink = node.entry.type === 'symlink';
      return { isLink, isDirectory: false, link: isLink ? byteString(node.entry.linkName ?? '') : EMPTY };
    }
    return this.#look(path);
  }

  /** Follows links inside the root, those that this copy made as well. */
  resolve(path: ByteString): ByteString {
    return resolveInside(path, (at) => this.place(at)).path;
  }

  /** The same for a path of which only the last name may be a link. */
  follow(path: ByteString): ByteString {
    return this.place(path)?.isLink === true ? this.resolve(path) : path;
  }

  /**
   * Makes all directories of a path without links that are not there, as mkdir(2) does below directories with the
   * set-group-ID bit: without a `gid` they get the group above. Tells whether the last one was made.
   */
  makeDirectories(path: ByteString, attributes: Attributes): boolean {
    if (path === '') return false;
    let made = false;
    let walked = EMPTY;
    for (const name of path.split('/')) {
      walked = below(walked, name as ByteString);
      const place = this.place(walked);
      if (place !== undefined && !place.isDirectory) {
        throw new InvalidParameterError(`mkdir /${utf8(walked)}: not a directory`);
      }
      made = place === undefined;
      if (made) {
        const own = inherited(attributes, this.#directory(parentOf(walked)).attributes);
        this.#put(walked, directoryNode(own, 'made'));
      }
    }
    return made;
  }

  /** Of a directory that this copy made. */
  setAttributes(path: ByteString, attributes: Attributes): void {
    const node = this.#directory(path);
    node.attributes = { ...node.attributes, ...attributes };
    if (node.origin === 'carried') node.origin = 'changed';
  }

  /**
   * A directory in a parent that is there: made, or merged with what is there. Tells whether it was made. With `force`
   * it takes the place of whatever stands there, as unpacking does it.
   */
  putDirectory(path: ByteString, attributes: Attributes, force = false): boolean {
    const place = this.place(path);
    if (place !== undefined && !place.isDirectory && !force) {
      throw new InvalidParameterError(`cannot copy to non-directory: /${utf8(path)}`);
    }
    if (place?.isDirectory === true) return false;
    this.#put(path, directoryNode(attributes, 'made'));
    return true;
  }

  /** Anything but a directory. `file`: the same object for all names of one file. `force` as for directories. */
  putLeaf(
    path: ByteString,
    entry: Omit<LayerEntry, 'name'>,
    options: { content?: LayerContent | undefined; file?: object | undefined; force?: boolean } = {},
  ): void {
    if (options.force !== true && this.place(path)?.isDirectory === true) {
      throw new InvalidParameterError(`cannot replace to directory /${utf8(path)} with file`);
    }
    this.#put(path, { kind: 'leaf', entry, content: options.content, file: options.file });
  }

  /** Many leaves for a directory that is there, each as by `putLeaf`. `force` as there. */
  putLeaves(path: ByteString, block: LeafBlock, force = false): void {
    if (block.count === 0) return;
    const node = this.#directory(path);
    for (let index = 0; index < block.count; index++) {
      const name = block.name(index);
      this.#checkName(below(path, name));
      /* In a directory that was just made, nothing is in the way. */
      if (isFresh(node) && node.children.size === 0) continue;
      const at = below(path, name);
      if (!force && this.place(at)?.isDirectory === true) {
        throw new InvalidParameterError(`cannot replace to directory /${utf8(at)} with file`);
      }
      node.children.delete(name);
    }
    node.leaves.add(block);
    /* It may be below what was replaced. */
    this.#last = { path: EMPTY, node: this.#root };
  }

  /** Whether this copy has made the directory, so that nothing of the parent is in it. */
  isFresh(path: ByteString): boolean {
    return isFresh(this.#directory(path));
  }

  /** Whether the layer would say anything that the parent does not. */
  get isEmpty(): boolean {
    return !hasChange(this.#root);
  }

  /** The layer's entries, parents first, sorted by bytes; every one has entries for the directories above it. */
  *entries(): Generator<LayerPart> {
    yield* entriesOf(this.#root, EMPTY, new Map());
  }

  /** Adds the entries to a layer. */
  async write(layer: LayerWriter): Promise<void> {
    for (const part of this.entries()) {
      if ('run' in part) await layer.addFiles(part.run);
      else await layer.add(part.entry, part.content);
    }
  }

  #put(path: ByteString, node: Node): void {
    const name = this.#checkName(path);
    const parent = parentOf(path);
    if (this.#last.path !== parent) this.#last = { path: parent, node: this.#directory(parent) };
    const replaced = this.#last.node.children.get(name);
    this.#last.node.children.set(name, node);
    /* It may be below what was replaced. */
    if (replaced?.kind === 'directory') this.#last = { path: EMPTY, node: this.#root };
  }

  #checkName(path: ByteString): ByteString {
    const name = baseOf(path);
    if (!isReservedName(name)) return name;
    throw new InvalidParameterError(
      `/${utf8(path)} cannot be in a layer: names that begin with .wh. are reserved`,
    );
  }

  /** The node of a directory, carried from the parent where the copy has none yet. */
  #directory(path: ByteString): DirectoryNode {
    let node = this.#root;
    let walked = EMPTY;
    if (path === '') return node;
    for (const name of path.split('/')) {
      walked = below(walked, name as ByteString);
      let child = childOf(node, name);
      if (child?.kind !== 'directory') {
        const entry = child === undefined && !isFresh(node) ? this.#look(walked) : undefined;
        if (entry?.isDirectory !== true)
          throw new InvalidParameterError(`mkdir /${utf8(walked)}: not a directory`);
        child = directoryNode(attributesOf(entry), 'carried');
        node.children.set(name, child);
      }
      node = child;
    }
    return node;
  }

  /** Names of one directory come after each other: it is found once. */
  #known(path: ByteString): Node | 'hidden' | undefined {
    if (this.#last.path !== parentOf(path)) return this.#node(path);
    return childOf(this.#last.node, baseOf(path)) ?? (isFresh(this.#last.node) ? 'hidden' : undefined);
  }

  /** `hidden`: below something that this copy has put there, so that the parent has no say. */
  #node(path: ByteString): Node | 'hidden' | undefined {
    let node: Node = this.#root;
    for (const name of path.split('/')) {
      if (node.kind === 'leaf') return 'hidden';
      const child: Node | undefined = childOf(node, name);
      if (child === undefined) return isFresh(node) ? 'hidden' : undefined;
      node = child;
    }
    return node;
  }
}

function directoryNode(attributes: Attributes, origin: DirectoryNode['origin']): DirectoryNode {
  return { kind: 'directory', attributes, origin, children: new Map(), leaves: new LeafBlocks() };
}

function childOf(node: DirectoryNode, name: string): Node | undefined {
  const child = node.children.get(name);
  if (child !== undefined || node.leaves.isEmpty) return child;
  const found = node.leaves.find(name as ByteString);
  return found === undefined ? undefined : { kind: 'leaf', ...found.block.leaf(found.index) };
}

function inherited(attributes: Attributes, above: Attributes): Attributes {
  const { mode = 0, gid } = attributes;
  if (((above.mode ?? 0) & S_ISGID) === 0) return { ...attributes, gid: gid ?? 0 };
  return { ...attributes, mode: mode | S_ISGID, gid: gid ?? above.gid ?? 0 };
}

/** A directory that was not there: the parent has nothing below it. */
function isFresh(node: DirectoryNode): boolean {
  return node.origin === 'made';
}

function hasChange(node: Node): boolean {
  if (node.kind === 'leaf' || node.origin !== 'carried' || !node.leaves.isEmpty) return true;
  for (const child of node.children.values()) if (hasChange(child)) return true;
  return false;
}

function* entriesOf(
  node: DirectoryNode,
  path: ByteString,
  firstNames: Map<object, ByteString>,
): Generator<LayerPart> {
  if (path !== '') {
    yield {
      entry: { ...node.attributes, name: bytesOf(path), type: 'directory' },
      content: undefined,
    };
  }
  const names = [...node.children.keys()].sort();
  const gatherer = new RunGatherer(path);
  const leaves = node.leaves.visible((name) => node.children.has(name));
  let leaf = leaves.next();
  const leavesBefore = function* (end: string | undefined): Generator<LayerPart> {
    for (; leaf.done !== true; leaf = leaves.next()) {
      const { block, index } = leaf.value;
      const name = block.name(index);
      if (end !== undefined && name > end) break;
      const isPlain = block.isPlain(index);
      if (!isPlain || !gatherer.takes(block)) yield* runPart(gatherer);
      if (isPlain) gatherer.add(block, index);
      else yield leafPart(block.leaf(index), below(path, name), firstNames);
    }
    yield* runPart(gatherer);
  };
  for (const name of names) {
    const child = node.children.get(name);
    if (child === undefined) continue;
    yield* leavesBefore(name);
    const at = below(path, name as ByteString);
    if (child.kind === 'leaf') yield leafPart(child, at, firstNames);
    else if (hasChange(child)) yield* entriesOf(child, at, firstNames);
  }
  yield* leavesBefore(undefined);
}

function* runPart(gatherer: RunGatherer): Generator<LayerPart> {
  const run = gatherer.take();
  if (run !== undefined) yield { run };
}

/** Of a file's names the first one has its content. */
function leafPart(node: Leaf, path: ByteString, firstNames: Map<object, ByteString>): LayerPart {
  const name = bytesOf(path);
  const first = node.file === undefined ? undefined : firstNames.get(node.file);
  if (first !== undefined) {
    const { xattrs: _, size: __, ...entry } = node.entry;
    return { entry: { ...entry, name, type: 'hardlink', linkName: bytesOf(first) }, content: undefined };
  }
  if (node.file !== undefined) firstNames.set(node.file, path);
  return { entry: { ...node.entry, name }, content: node.content };
}

/** A directory as it is in the parent. */
function attributesOf(entry: FileEntry): Attributes {
  return {
    mode: entry.mode,
    uid: entry.field(TREE_FIELDS.uid),
    gid: entry.field(TREE_FIELDS.gid),
    mtimeSec: entry.field(TREE_FIELDS.seconds),
    mtimeNsec: entry.field(TREE_FIELDS.nanoseconds),
    xattrs: entry.xattrs.map(({ name, value }) => ({ name: utf8(name), value })),
  };
}
