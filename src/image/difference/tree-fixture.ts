/** Test fixture: a tree in memory, from a table of absolute paths. Directories above an entry are made as needed. */
import { posix } from 'node:path';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../layers/native-archive.ts';
import { type ByteString, byteString, EMPTY } from '../layers/tar/byte-string.ts';
import { childPath, type ImageTree, type TreeEntry, type TreeFile } from './tree.ts';

/** Text or bytes: a file. `link`: a symbolic link. `directory`: an empty one. All else are attributes. */
export type Fixture =
  | string
  | Buffer
  | (Partial<Omit<TreeEntry, 'link'>> & { data?: string | Buffer; link?: string; directory?: true });

interface Node {
  entry: TreeEntry;
  data: Buffer;
}

export interface MemoryTree extends ImageTree {
  /** Paths that `open` was called with. */
  readonly opened: string[];
}

export function memoryTree(table: Readonly<Record<string, Fixture>>): MemoryTree {
  const nodes = new Map<string, Node>();
  for (const [path, fixture] of Object.entries(table)) add(nodes, path.slice(1), fixture);
  const opened: string[] = [];
  return {
    opened,
    list: (path) => {
      if (path !== '' && nodes.get(path)?.entry.format !== S_IFDIR) return undefined;
      return childrenOf(nodes, path);
    },
    open: (path) => {
      opened.push(path);
      return fileOf(nodes.get(path));
    },
    find: (path) => fileOf(nodes.get(resolved(nodes, path))),
    names: (path) => {
      const place = resolved(nodes, path);
      if (nodes.get(place)?.entry.format !== S_IFDIR) return undefined;
      return childrenOf(nodes, place).map(({ name }) => name);
    },
    close: () => {},
  };
}

function add(nodes: Map<string, Node>, path: string, fixture: Fixture): void {
  const parent = posix.dirname(path);
  if (parent !== '.' && !nodes.has(parent)) add(nodes, parent, { directory: true });
  const options = typeof fixture === 'string' || Buffer.isBuffer(fixture) ? { data: fixture } : fixture;
  const { data = '', link, directory, ...attributes } = options;
  const bytes = Buffer.from(data as string);
  const format = directory ? S_IFDIR : link === undefined ? S_IFREG : S_IFLNK;
  const entry: TreeEntry = {
    name: byteString(posix.basename(path)),
    format,
    mode: directory ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    size: bytes.length,
    mtimeSec: 0,
    mtimeNsec: 0,
    major: 0,
    minor: 0,
    link: link === undefined ? EMPTY : byteString(link),
    xattrs: [],
    inode: undefined,
    contentIdentity: undefined,
    ...attributes,
  };
  nodes.set(path, { entry, data: bytes });
}

function childrenOf(nodes: ReadonlyMap<string, Node>, path: string): TreeEntry[] {
  return [...nodes].flatMap(([place, { entry }]) =>
    childPath(path as ByteString, entry.name) === place ? [entry] : [],
  );
}

/** Links in the first component are followed, which is all that databases need. */
function resolved(nodes: ReadonlyMap<string, Node>, path: string): string {
  const [first = '', ...rest] = path.split('/');
  const link = nodes.get(first)?.entry.link;
  return link ? posix.join(link, ...rest) : path;
}

function fileOf(node: Node | undefined): TreeFile | undefined {
  return node === undefined || node.entry.format !== S_IFREG ? undefined : memoryFile(node.data);
}

export function memoryFile(data: Buffer): TreeFile {
  return {
    sizeBytes: data.length,
    read: (buffer, position) =>
      position >= data.length ? 0 : data.copy(buffer, 0, position, position + buffer.length),
    close: () => {},
  };
}
