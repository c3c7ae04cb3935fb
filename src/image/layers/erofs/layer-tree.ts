/**
 * A layer's tree while its tar is read: names are looked up as openat2(2) with RESOLVE_IN_ROOT would in the unpacked
 * layer, missing directories are made, entries replace each other. It does in memory what native/addon/archive_paths.c
 * and archive_entries.c do on a disk, and fails where they fail: negative results are errno values of Linux.
 */
import { constants } from 'node:os';
import { LINK_MAX, NAME_MAX, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT } from './format.ts';
import { FLAG_IMPLIED, FLAG_OPAQUE, IndexTree, type InodeId, type NameId, ROOT } from './index-tree.ts';
import { NameTable } from './name-table.ts';

export const { EEXIST, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM } = constants.errno;

/** How many symbolic links one path may lead through, and how deep targets that are missing may nest. */
const LINKS_MAX = 40;
/**
 * Steps through symbolic links over a whole archive. A path through 40 links of 2,000 names each costs 80,000 steps, and
 * an archive can have millions of them; real layers take a few steps an entry.
 */
const LINK_STEPS_MAX = 20_000_000;

/** Where an entry goes: its name is the end of the entry's path. */
export interface Place {
  parent: InodeId;
  from: number;
}

/** Inodes and names are numbers; a negative one is an errno value. */
export class LayerTree {
  readonly tree = new IndexTree();
  readonly #names: NameTable;
  #linkSteps = 0;
  /** The directory that was looked up last: entries mostly come directory by directory. */
  #lastPath: string | undefined;
  #lastDirectory: InodeId = ROOT;

  constructor() {
    this.#names = new NameTable(this.tree);
    this.tree.setFlags(ROOT, FLAG_IMPLIED);
  }

  /** Whether links cost more steps than any real layer takes. */
  get isExhausted(): boolean {
    return this.#linkSteps > LINK_STEPS_MAX;
  }

  isWhiteout(inode: InodeId): boolean {
    return (this.tree.mode(inode) & S_IFMT) === S_IFCHR && this.tree.union(inode) === 0;
  }

  /** The inode of a name, or 0. */
  child(parent: InodeId, path: string, from: number, to = path.length): InodeId {
    const name = this.#names.find(parent, path, from, to);
    return name === 0 ? 0 : this.tree.nameInode(name);
  }

  /** The directory `path`, links followed inside the root; with `create`, what is missing of it is made. */
  directory(path: string, create: boolean): InodeId {
    if (path === this.#lastPath) return this.#lastDirectory;
    const found = create ? this.#ensure(path, 0) : this.#resolve(path);
    if (found > 0) {
      this.#lastPath = path;
      this.#lastDirectory = found;
    }
    return found;
  }

  /** The parent of `path`; 0, or an errno value. */
  findPlace(path: string, create: boolean, place: Place): number {
    const slash = path.lastIndexOf('/');
    const parent = this.directory(slash < 0 ? '' : path.slice(0, slash), create);
    if (parent < 0) return parent;
    place.parent = parent;
    place.from = slash + 1;
    return this.#isTooLong(parent, path.length - place.from) ? -ENAMETOOLONG : 0;
  }

  /** Whether no path could name it. */
  #isTooLong(parent: InodeId, nameBytes: number): boolean {
    return this.tree.pathBytes(parent) + nameBytes > LINK_MAX;
  }

  /** Binds an inode to a place that is free. */
  bind(place: Place, path: string, inode: InodeId): number {
    if (path.length - place.from > NAME_MAX) return -ENAMETOOLONG;
    if (path.length === place.from) return -ENOENT;
    this.#bind(place.parent, path, place.from, path.length, inode);
    return 0;
  }

  #bind(parent: InodeId, path: string, from: number, to: number, inode: InodeId): void {
    const { tree } = this;
    this.#names.add(parent, path, from, to, inode);
    if (!tree.isDirectory(inode)) {
      tree.setLinks(inode, tree.links(inode) + 1);
      return;
    }
    tree.setLinks(inode, 2);
    tree.setLinks(parent, tree.links(parent) + 1);
    tree.setParent(inode, parent);
    tree.setPathBytes(inode, tree.pathBytes(parent) + to - from + 1);
  }

  /** Removes whatever stands at a place, with all that is in it. */
  remove(place: Place, path: string): void {
    const { tree } = this;
    const top = this.#names.find(place.parent, path, place.from, path.length);
    if (top === 0) return;
    const type = tree.mode(tree.nameInode(top)) & S_IFMT;
    if (type === S_IFDIR || type === S_IFLNK) this.#lastPath = undefined;
    const waiting: NameId[] = [top];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const inode = tree.nameInode(name);
      const isDirectory = tree.isDirectory(inode);
      for (let child = isDirectory ? tree.firstName(inode) : 0; child !== 0; child = tree.nextName(child)) {
        waiting.push(child);
      }
      const parent = tree.nameParent(name);
      if (isDirectory) tree.setLinks(parent, tree.links(parent) - 1);
      else tree.setLinks(inode, tree.links(inode) - 1);
      this.#names.remove(name);
    }
  }

  markOpaque(directory: InodeId): void {
    this.tree.setFlags(directory, this.tree.flags(directory) | FLAG_OPAQUE);
  }

  /** Hides `path` of the layers below; what this layer has there stays. Returns 0 or an errno value. */
  whiteout(path: string): number {
    const place: Place = { parent: ROOT, from: 0 };
    const failed = this.findPlace(path, true, place);
    if (failed < 0) return failed;
    if (path.length - place.from > NAME_MAX) return -ENAMETOOLONG;
    const present = this.child(place.parent, path, place.from);
    if (present === 0) return this.bind(place, path, this.tree.addInode(S_IFCHR));
    if (this.tree.isDirectory(present)) {
      /* It takes nothing from below any more, its attributes included. */
      this.tree.setFlags(present, FLAG_OPAQUE);
    }
    return 0;
  }

  // --- paths

  /** The directory `path` from the root, as the kernel finds it. */
  #resolve(path: string): InodeId {
    const links = { count: 0 };
    return this.#walk(ROOT, path, 0, path.length, links);
  }

  /** Follows path[from..to) from a directory, links included; it must lead to a directory. */
  #walk(start: InodeId, path: string, from: number, to: number, links: { count: number }): InodeId {
    const { tree } = this;
    /* What is left of the paths that links interrupted. */
    const rest: { path: string; at: number; to: number }[] = [];
    let current = start;
    let text = path;
    let at = from;
    let end = to;
    for (;;) {
      while (at < end && text.charCodeAt(at) === SLASH) at++;
      if (at === end) {
        const outer = rest.pop();
        if (outer === undefined) return current;
        ({ path: text, at, to: end } = outer);
        continue;
      }
      let stop = at;
      while (stop < end && text.charCodeAt(stop) !== SLASH) stop++;
      const next = this.#step(current, text, at, stop);
      if (next < 0) return next;
      at = stop;
      if (rest.length > 0 || links.count > 0) this.#linkSteps++;
      if (tree.isDirectory(next)) {
        current = next;
        continue;
      }
      if ((tree.mode(next) & S_IFMT) !== S_IFLNK) return -ENOTDIR;
      links.count++;
      if (links.count > LINKS_MAX || this.isExhausted) return -ELOOP;
      rest.push({ path: text, at, to: end });
      text = tree.target(next);
      at = 0;
      end = text.length;
      if (text.charCodeAt(0) === SLASH) current = ROOT;
    }
  }

  #step(directory: InodeId, path: string, from: number, to: number): InodeId {
    const length = to - from;
    if (path.charCodeAt(from) === DOT) {
      if (length === 1) return directory;
      if (length === 2 && path.charCodeAt(from + 1) === DOT) return this.tree.parent(directory);
    }
    if (length > NAME_MAX) return -ENAMETOOLONG;
    const found = this.child(directory, path, from, to);
    return found === 0 ? -ENOENT : found;
  }

  /** The directory `path`, with what is missing of it made; a link that leads nowhere yet gets its target made. */
  #ensure(path: string, depth: number): InodeId {
    const found = this.#resolve(path);
    if (found > 0 || (found !== -ENOENT && found !== -ENOTDIR)) return found;
    if (depth > LINKS_MAX || this.isExhausted) return -ELOOP;
    const links = { count: 0 };
    let current: InodeId = ROOT;
    for (let at = 0; ; ) {
      while (at < path.length && path.charCodeAt(at) === SLASH) at++;
      if (at === path.length) return current;
      let to = path.indexOf('/', at);
      if (to < 0) to = path.length;
      if (depth > 0) this.#linkSteps++;
      const next = this.#ensureComponent(current, path, at, to, links, depth);
      if (next < 0) return next;
      current = next;
      at = to;
    }
  }

  /** The directory path[from..to) in `parent`. `links`: how many the path has led through so far. */
  #ensureComponent(
    parent: InodeId,
    path: string,
    from: number,
    to: number,
    links: { count: number },
    depth: number,
  ): InodeId {
    const before = links.count;
    const found = this.#walk(parent, path, from, to, links);
    if (found > 0 || (found !== -ENOENT && found !== -ENOTDIR)) return found;
    const step = this.#step(parent, path, from, to);
    if (step === -ENOENT) return this.#implied(parent, path, from, to);
    if (step < 0 || step === parent) return found;
    const type = this.tree.mode(step) & S_IFMT;
    if (type === S_IFLNK) {
      const target = this.tree.target(step);
      const joined = target.charCodeAt(0) === SLASH ? target : path.slice(0, from) + target;
      if (joined.length > LINK_MAX) return -ENAMETOOLONG;
      const made = this.#ensure(joined, depth + 1);
      links.count = before;
      if (made > 0 && this.#walk(parent, path, from, to, links) < 0) links.count = LINKS_MAX;
      return made;
    }
    if (!this.isWhiteout(step)) return -ENOTDIR;
    this.#names.remove(this.#names.find(parent, path, from, to));
    const made = this.#implied(parent, path, from, to);
    if (made > 0) this.tree.setFlags(made, FLAG_OPAQUE);
    return made;
  }

  /** Makes a directory that the archive has no entry for. */
  #implied(parent: InodeId, path: string, from: number, to: number): InodeId {
    if (this.#isTooLong(parent, to - from)) return -ENAMETOOLONG;
    const inode = this.tree.addInode(S_IFDIR | 0o755);
    this.tree.setFlags(inode, FLAG_IMPLIED);
    this.#bind(parent, path, from, to, inode);
    return inode;
  }
}

const SLASH = 0x2f;
const DOT = 0x2e;
