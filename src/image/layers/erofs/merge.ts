/**
 * Many layers' indexes into the one of an image: whiteouts and opaque directories are resolved, so that the image is one
 * plain EROFS file system over all the layers' tars. Directories are merged name by name in their sorted order, the
 * topmost layer first; nothing is looked up.
 *
 * A directory that a layer only implies (format.ts, IMPLIED_MARK) takes its attributes from the layers below; with none
 * there it is root's, 0755, of the epoch. Link counts are those of the layers, also where a merge hides a name.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import { DirectoryCursor } from './directory-cursor.ts';
import {
  DEVICES_MAX,
  IMPLIED_MARK,
  IMPLIED_OFFSET,
  INODE,
  INODE_BYTES,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from './format.ts';
import { IndexImage } from './index-image.ts';
import { IndexTree, type InodeId, ROOT } from './index-tree.ts';
import { writeIndex } from './index-writer.ts';
import { type Reading, ReadingHeap } from './reading-heap.ts';
import { encodeXattrs, xattrCount } from './xattr-body.ts';

/** A merged image beyond this is refused: each entry takes about 200 bytes of memory while merging. */
const ENTRIES_MAX = 8_000_000;
const OPAQUE = 'trusted.overlay.opaque';

/** A device of a merged index: those of the layers in order, the tar before the spill file. */
export interface MergedDevice {
  /** Which layer, from 0. */
  layer: number;
  kind: 'tar' | 'spill';
  blocks: number;
}

export interface MergedIndex {
  index: Buffer;
  devices: MergedDevice[];
  /** Names in the image. */
  entryCount: number;
}

/**
 * Merges the layers' indexes, base first; none at all give an empty root. Throws InternalError for an index that is
 * damaged, calling it by its place in the list or by `names`.
 */
export function mergeIndexes(layers: readonly Uint8Array[], names?: readonly string[]): MergedIndex {
  const images = layers.map((bytes, i) => new IndexImage(bytes, names?.[i] ?? `index of layer ${i + 1}`));
  return new Merger(images).merge();
}

/** One layer's part in what is merged. */
class Layer {
  readonly image: IndexImage;
  /** 0 is the base. */
  readonly number: number;
  /** Its devices in the result begin behind so many. */
  readonly deviceBase: number;
  /** Inodes of several names that are in the result already, by nid. */
  readonly linked = new Map<number, InodeId>();
  /** Directories that were read, by nid: each has one name. */
  readonly #seen: Uint8Array;
  #entries = 0;

  constructor(image: IndexImage, number: number, deviceBase: number) {
    this.image = image;
    this.number = number;
    this.deviceBase = deviceBase;
    this.#seen = new Uint8Array((image.bytes.length >>> 8) + 1);
  }

  /** Goes through a directory, once. */
  open(part: Part): DirectoryCursor {
    const bit = 1 << (part.nid & 7);
    const byte = part.nid >>> 3;
    if ((this.#seen[byte] ?? 0) & bit) throw this.image.damaged(`directory ${part.nid} has several names`);
    this.#seen[byte] = (this.#seen[byte] ?? 0) | bit;
    return new DirectoryCursor(this.image, part.at, part.nid);
  }

  count(): void {
    if (++this.#entries > this.image.entriesMax)
      throw this.image.damaged('more entries than it has room for');
  }
}

/** A directory of one layer: its inode's number and place. */
interface Part {
  layer: Layer;
  nid: number;
  at: number;
}

/** A directory of the result whose names are still to come, and the layers' parts in it, topmost first. */
interface Task {
  inode: InodeId;
  parts: Part[];
}

/** A layer's directory on the way through it. */
interface LayerReading extends Reading {
  layer: Layer;
}

class Merger {
  readonly #layers: Layer[] = [];
  readonly #tree = new IndexTree();
  readonly #devices: MergedDevice[] = [];
  readonly #tasks: Task[] = [];

  constructor(images: readonly IndexImage[]) {
    for (const [number, image] of images.entries()) {
      this.#layers.push(new Layer(image, number, this.#devices.length));
      for (const [i, blocks] of image.deviceBlocks.entries()) {
        this.#devices.push({ layer: number, kind: i === 0 ? 'tar' : 'spill', blocks });
      }
    }
    if (this.#devices.length > DEVICES_MAX) {
      throw new InvalidParameterError(
        `image of ${images.length} layers: no more than ${DEVICES_MAX} can be merged`,
      );
    }
  }

  merge(): MergedIndex {
    const roots = this.#layers.toReversed().map((layer) => {
      const nid = layer.image.rootNid;
      return { layer, nid, at: layer.image.inodeAt(nid) };
    });
    const parts = this.#visibleParts(roots);
    const source = this.#attributeSource(roots);
    if (source !== undefined) this.#copyAttributes(ROOT, source);
    if (parts.length > 0) this.#tasks.push({ inode: ROOT, parts });
    /* In the order of the writer, which goes through directories as they come as well. */
    for (let i = 0; i < this.#tasks.length; i++) {
      const task = this.#tasks[i];
      if (task !== undefined) this.#mergeDirectory(task);
    }
    const index = writeIndex(
      this.#tree,
      this.#devices.map(({ blocks }) => blocks),
    );
    return { index, devices: this.#devices, entryCount: this.#tree.liveNames };
  }

  #mergeDirectory({ inode, parts }: Task): void {
    const heap = new ReadingHeap<LayerReading>();
    for (const part of parts) {
      const { layer } = part;
      const reading = { layer, cursor: layer.open(part), rank: layer.number };
      /* Most directories are in one layer only. */
      if (parts.length === 1) this.#copyDirectory(inode, reading);
      else if (reading.cursor.advance()) heap.push(reading);
    }
    const group: LayerReading[] = [];
    while (heap.size > 0) {
      group.length = 0;
      heap.popEqual(group);
      this.#mergeName(inode, group);
      for (const reading of group) if (reading.cursor.advance()) heap.push(reading);
    }
  }

  #copyDirectory(inode: InodeId, reading: LayerReading): void {
    const group = [reading];
    while (reading.cursor.advance()) this.#mergeName(inode, group);
  }

  /** One name, in the layers that have it, topmost first. */
  #mergeName(parent: InodeId, group: readonly LayerReading[]): void {
    const top = group[0];
    if (top === undefined) return;
    for (const { layer } of group) layer.count();
    const { layer, cursor } = top;
    const { image } = layer;
    const at = image.inodeAt(cursor.nid);
    if (image.isWhiteout(at)) {
      return;
    }
    const tree = this.#tree;
    if (tree.liveNames >= ENTRIES_MAX) {
      throw new InvalidParameterError(`an image of more than ${ENTRIES_MAX} entries`);
    }
    const isDirectory = (image.mode(at) & S_IFMT) === S_IFDIR;
    const inode = isDirectory ? this.#addDirectory(parent, group) : this.#addFile(layer, cursor.nid, at);
    const { nameStart, nameEnd } = cursor;
    tree.addName(parent, inode, tree.texts.addRange(image.bytes, nameStart, nameEnd), nameEnd - nameStart);
  }

  #addFile(layer: Layer, nid: number, at: number): InodeId {
    const { image } = layer;
    const tree = this.#tree;
    const hasMore = image.view.getUint32(at + INODE.links, true) > 1;
    const known = hasMore ? layer.linked.get(nid) : undefined;
    if (known !== undefined) return known;
    const inode = tree.copyInode(image.view, at);
    if (hasMore) layer.linked.set(nid, inode);
    const type = image.mode(at) & S_IFMT;
    const size = image.size(at);
    if (image.xattrCount(at) > 0) this.#copyXattrs(inode, image, at);
    if (type === S_IFREG && size > 0) {
      const { device, block } = image.content(at);
      tree.setContent(inode, layer.deviceBase + device + 1, block);
    } else if (type === S_IFLNK) {
      const start = image.dataAt(at);
      tree.setTarget(inode, tree.texts.addRange(image.bytes, start, start + size));
    }
    return inode;
  }

  #copyXattrs(inode: InodeId, image: IndexImage, at: number): void {
    const start = at + INODE_BYTES;
    const text = this.#tree.texts.addRange(image.bytes, start, start + image.xattrBytes(at));
    this.#tree.setXattrs(inode, text, image.xattrCount(at));
  }

  #addDirectory(parent: InodeId, group: readonly LayerReading[]): InodeId {
    const tree = this.#tree;
    const directories: Part[] = [];
    for (const { layer, cursor } of group) {
      const at = layer.image.inodeAt(cursor.nid);
      /* A file or a whiteout hides all below it. */
      if ((layer.image.mode(at) & S_IFMT) !== S_IFDIR) break;
      directories.push({ layer, nid: cursor.nid, at });
    }
    const source = this.#attributeSource(directories);
    const inode = tree.addInode(S_IFDIR | 0o755);
    if (source !== undefined) this.#copyAttributes(inode, source);
    tree.setLinks(inode, 2);
    tree.setLinks(parent, tree.links(parent) + 1);
    tree.setParent(inode, parent);
    this.#tasks.push({ inode, parts: this.#visibleParts(directories) });
    return inode;
  }

  /** Down to the first that hides all below it. */
  #visibleParts(directories: readonly Part[]): Part[] {
    const opaque = directories.findIndex((part) => this.#isOpaque(part));
    return opaque < 0 ? [...directories] : directories.slice(0, opaque + 1);
  }

  #isOpaque({ layer, at }: Part): boolean {
    if (layer.image.xattrCount(at) === 0) return false;
    return layer.image.xattrs(at).some(({ name, value }) => name === OPAQUE && value[0] === 0x79);
  }

  /** The topmost that is not only implied by its children. */
  #attributeSource(directories: readonly Part[]): Part | undefined {
    return directories.find(({ layer, at }) => layer.image.bytes[at + IMPLIED_OFFSET] !== IMPLIED_MARK);
  }

  #copyAttributes(inode: InodeId, { layer, at }: Part): void {
    const tree = this.#tree;
    const { image } = layer;
    tree.setMode(inode, image.mode(at));
    const number = (field: number) => image.view.getUint32(at + field, true);
    tree.setOwner(inode, number(INODE.uid), number(INODE.gid));
    const seconds = number(INODE.mtime) + image.view.getInt32(at + INODE.mtime + 4, true) * 2 ** 32;
    tree.setTime(inode, seconds, number(INODE.mtimeNsec));
    if (image.xattrCount(at) === 0) return;
    const kept = image.xattrs(at).filter(({ name }) => name !== OPAQUE);
    const body = encodeXattrs(kept);
    tree.setXattrs(inode, tree.texts.add(body), xattrCount(body.length));
  }
}
