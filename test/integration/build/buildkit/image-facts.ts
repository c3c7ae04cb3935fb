/**
 * What a built image is, as lines that can be compared: entries of its root that its base does not have so, fields of
 * its configuration, the texts of its history. Read from the archive that `save` gives; times are no facts.
 */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { TarEntry } from '../../../../src/image/layers/tar/tar-format.ts';
import { TarReader } from '../../../../src/image/layers/tar/tar-reader.ts';

export interface ImageFacts {
  /** `f 0644 0:0 /name "content"`, `d 0755 0:0 /name`, `l 0:0 /name -> target`; `- /name` is gone. */
  root: string[];
  config: Record<string, unknown>;
  /** `created_by`; ` (empty)` behind instructions that can make no layer. Of others BuildKit keeps layers without a change. */
  history: string[];
}

interface File {
  entry: TarEntry;
  content: Buffer;
}

interface Base {
  diffIds: string[];
  historyLength: number;
  root: Map<string, File>;
  lines: Map<string, string>;
}

interface SavedConfig {
  author?: string;
  config?: Record<string, unknown>;
  history?: { created_by?: string; comment?: string; author?: string; empty_layer?: boolean }[];
  rootfs: { diff_ids: string[] };
}

const LETTERS: Readonly<Record<string, string>> = {
  file: 'f',
  directory: 'd',
  symlink: 'l',
  character: 'c',
  block: 'b',
  fifo: 'p',
};
const SHOWN_MAX_BYTES = 200;

/** Entries and their content, in the archive's order. */
export function readTar(tar: Buffer): File[] {
  const files: File[] = [];
  let parts: Buffer[] | undefined;
  const reader = new TarReader({
    entry(entry, body) {
      parts = body === undefined ? [] : undefined;
      files.push({ entry, content: body === undefined ? Buffer.alloc(0) : Buffer.from(body) });
    },
    data(chunk) {
      parts?.push(Buffer.from(chunk));
    },
    end() {
      const last = files.at(-1);
      if (last !== undefined && parts !== undefined) last.content = Buffer.concat(parts);
    },
  });
  reader.push(tar);
  reader.finish();
  return files;
}

export class FactsReader {
  /** Roots of bases with their lines, by their diffIDs. */
  readonly #bases: Base[] = [];

  /** Images of the same layers count as built upon this one. */
  addBase(saved: Buffer): void {
    const { config, layers } = open(saved);
    const root = flatten(layers.map((layer) => layer()));
    this.#bases.push({
      diffIds: config.rootfs.diff_ids,
      historyLength: config.history?.length ?? 0,
      root,
      lines: linesOf(root),
    });
    this.#bases.sort((a, b) => b.diffIds.length - a.diffIds.length);
  }

  read(saved: Buffer): ImageFacts {
    const { config, layers } = open(saved);
    const base = this.#bases.find(({ diffIds }) =>
      diffIds.every((id, index) => config.rootfs.diff_ids[index] === id),
    );
    const before = base?.lines ?? new Map<string, string>();
    // What the base has is known: of most archives it is nearly everything.
    const above = layers.slice(base?.diffIds.length).map((layer) => layer());
    const after = linesOf(flatten(above, base?.root));
    const root = [
      ...[...after].filter(([path, line]) => before.get(path) !== line).map(([, line]) => line),
      ...[...before.keys()].filter((path) => !after.has(path)).map((path) => `- ${path}`),
    ];
    return {
      root,
      config: withoutNothing({ ...config.config, author: config.author }),
      history: (config.history ?? []).slice(base?.historyLength ?? 0).map(historyLine),
    };
  }
}

function historyLine(entry: NonNullable<SavedConfig['history']>[number]): string {
  const { created_by = '', comment = '', author = '', empty_layer = false } = entry;
  return [
    created_by,
    ...(empty_layer && !/^(?:RUN|COPY|ADD|WORKDIR) /.test(created_by) ? ['(empty)'] : []),
    ...(comment === 'buildkit.dockerfile.v0' ? [] : [`(comment ${comment})`]),
    ...(author === '' ? [] : [`(author ${author})`]),
  ].join(' ');
}

/** A field that is absent, null or '' says nothing. */
function withoutNothing(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config)
      .filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function open(saved: Buffer): { config: SavedConfig; layers: (() => Buffer)[] } {
  const files = new Map(readTar(saved).map(({ entry, content }) => [String(entry.name), content]));
  const json = <T>(name: string): T => JSON.parse(files.get(name)?.toString() ?? 'null') as T;
  const [manifest] = json<{ Config: string; Layers: string[] }[]>('manifest.json');
  if (manifest === undefined) throw new Error('the archive has no image');
  return {
    config: json<SavedConfig>(manifest.Config),
    layers: manifest.Layers.map((name) => () => plain(files.get(name) ?? Buffer.alloc(0))),
  };
}

/** Layers are saved as they came. */
function plain(layer: Buffer): Buffer {
  return layer.readUInt16BE(0) === 0x1f8b ? gunzipSync(layer) : layer;
}

function pathOf(name: string): string {
  return name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/** Layers upon a root, which stays as it is. */
function flatten(layers: readonly Buffer[], below?: Map<string, File>): Map<string, File> {
  const root = new Map(below);
  const removeBelow = (path: string): void => {
    for (const name of [...root.keys()]) if (name.startsWith(`${path}/`)) root.delete(name);
  };
  for (const layer of layers) {
    const files = readTar(layer).map((file) => ({ file, path: pathOf(file.entry.name) }));
    const entries = files.filter(({ path }) => {
      const at = path.lastIndexOf('/') + 1;
      const [parent, name] = [path.slice(0, Math.max(0, at - 1)), path.slice(at)];
      if (!name.startsWith('.wh.')) return path !== '';
      const gone = name === '.wh..wh..opq' ? parent : path.slice(0, at) + name.slice('.wh.'.length);
      if (name !== '.wh..wh..opq') root.delete(gone);
      removeBelow(gone);
      return false;
    });
    for (const { file, path } of entries) {
      if (file.entry.type !== 'directory') removeBelow(path);
      const target = file.entry.type === 'hardlink' ? root.get(pathOf(file.entry.linkName)) : file;
      if (target === undefined) throw new Error(`${path}: a hard link to nothing`);
      root.set(path, target);
    }
  }
  return root;
}

function linesOf(root: Map<string, File>): Map<string, string> {
  const first = new Map<File, string>();
  const lines = new Map<string, string>();
  for (const path of [...root.keys()].sort()) {
    const file = root.get(path);
    if (file === undefined) continue;
    const shown = `/${Buffer.from(path, 'latin1').toString()}`;
    const other = first.get(file);
    if (other === undefined) first.set(file, shown);
    lines.set(shown, `${line(file, shown)}${other === undefined ? '' : ` = ${other}`}`);
  }
  return lines;
}

function line({ entry, content }: File, path: string): string {
  const { type, mode, uid, gid, linkName, xattrs } = entry;
  const permissions = type === 'symlink' ? [] : [(mode & 0o7777).toString(8).padStart(4, '0')];
  return [
    LETTERS[type] ?? type,
    ...permissions,
    `${uid}:${gid}`,
    path,
    ...(type === 'symlink' ? [`-> ${Buffer.from(linkName, 'latin1').toString()}`] : []),
    ...(type === 'file' ? [contentText(content)] : []),
    ...(type === 'character' || type === 'block' ? [`${entry.deviceMajor},${entry.deviceMinor}`] : []),
    ...xattrs.map(({ name, value }) => `{${name}=${Buffer.from(value).toString('base64')}}`),
  ].join(' ');
}

function contentText(content: Buffer): string {
  if (content.length <= SHOWN_MAX_BYTES) return JSON.stringify(content.toString());
  const known = digests.get(content);
  if (known !== undefined) return known;
  const text = `sha256:${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
  digests.set(content, text);
  return text;
}

/** Of what is in every root: the base's large files. */
const digests = new WeakMap<Buffer, string>();
