/** Packs a build context as a tar stream: everything that is not ignored, owned by root, with modes and times. */
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Header, type Pack, pack } from 'tar-stream';
import { IgnoreRules } from '../../base/ignore/ignore-rules.ts';
import { appendFile, fillArchive } from '../archive/file-entry.ts';
import { readIgnoreFile } from './ignore-file.ts';

export interface ContextOptions {
  /** Path of the Dockerfile inside the context; it and the ignore file are sent even where they are ignored. */
  readonly dockerfile: string;
  /** A Dockerfile from outside the context: sent under `dockerfile` instead of a file of the context. */
  readonly dockerfileContent?: Buffer;
  /** Where that lies, for the ignore file beside it. */
  readonly ignoreFor?: string;
}

/** The stream fails where a file changes size while it is read, or cannot be read. */
export async function packContext(root: string, options: ContextOptions): Promise<AsyncIterable<Uint8Array>> {
  const { patterns, file, content } = await readIgnoreFile(root, options.ignoreFor ?? options.dockerfile);
  const rules = new IgnoreRules(patterns);
  const kept = new Set([options.dockerfile, '.dockerignore', ...(file === undefined ? [] : [file])]);
  const archive = pack();
  const walker = new ContextWalker(archive, root, rules, kept, { ...options, ignore: content });
  return fillArchive(archive, () => walker.walk());
}

/** A context of one file, which came from stdin. */
export function packDockerfile(content: Uint8Array): Pack {
  const archive = pack();
  archive.entry({ name: 'Dockerfile', mode: 0o600, mtime: new Date(0) }, Buffer.from(content));
  archive.finalize();
  return archive;
}

interface WalkOptions extends ContextOptions {
  /** Text of the ignore file that counts. */
  readonly ignore: string;
}

class ContextWalker {
  readonly #archive: Pack;
  readonly #root: string;
  readonly #rules: IgnoreRules;
  readonly #kept: ReadonlySet<string>;
  readonly #options: WalkOptions;
  readonly #links = new Map<string, string>();

  constructor(
    archive: Pack,
    root: string,
    rules: IgnoreRules,
    kept: ReadonlySet<string>,
    options: WalkOptions,
  ) {
    this.#archive = archive;
    this.#root = root;
    this.#rules = rules;
    this.#kept = kept;
    this.#options = options;
  }

  async walk(): Promise<void> {
    await this.#folder('');
    const { dockerfileContent, dockerfile, ignore } = this.#options;
    if (dockerfileContent === undefined) return;
    const header = { mode: 0o644, mtime: new Date(0) };
    this.#archive.entry({ ...header, name: dockerfile }, dockerfileContent);
    // The daemon hides from COPY what its ignore file names, these two above all.
    const ignoreFile = `${dockerfile}.dockerignore`;
    this.#archive.entry({ ...header, name: ignoreFile }, `${ignore}\n${dockerfile}\n${ignoreFile}\n`);
  }

  async #folder(folder: string): Promise<void> {
    // Sorted, so that the same tree gives the same archive.
    for (const name of (await readdir(join(this.#root, folder))).toSorted()) {
      await this.#entry(folder === '' ? name : `${folder}/${name}`);
    }
  }

  async #entry(path: string): Promise<void> {
    const ignored = !this.#kept.has(path) && this.#rules.excludes(path);
    const full = join(this.#root, path);
    const stats = await lstat(full);
    if (stats.isDirectory()) {
      const needed = [...this.#kept].some((kept) => kept.startsWith(`${path}/`));
      if (ignored && !needed && !this.#rules.mayIncludeBelow(path)) return;
      if (!ignored) this.#archive.entry({ ...common(path, stats), name: `${path}/`, type: 'directory' });
      await this.#folder(path);
      return;
    }
    if (ignored || (path === this.#options.dockerfile && this.#options.dockerfileContent !== undefined))
      return;
    if (stats.isSymbolicLink()) {
      this.#archive.entry({ ...common(path, stats), type: 'symlink', linkname: await readlink(full) });
      return;
    }
    if (stats.isFIFO()) this.#archive.entry({ ...common(path, stats), type: 'fifo' });
    // Sockets cannot be archived; devices make no sense in a context.
    if (stats.isFile()) await this.#file(path, full, stats);
  }

  async #file(path: string, full: string, stats: Awaited<ReturnType<typeof lstat>>): Promise<void> {
    const identity = `${stats.dev}:${stats.ino}`;
    const first = this.#links.get(identity);
    if (first !== undefined) {
      this.#archive.entry({ ...common(path, stats), type: 'link', linkname: first });
      return;
    }
    if (stats.nlink > 1) this.#links.set(identity, path);
    await appendFile(this.#archive, { ...common(path, stats), size: Number(stats.size) }, full);
  }
}

function common(name: string, stats: Awaited<ReturnType<typeof lstat>>): Partial<Header> & { name: string } {
  return { name, mode: Number(stats.mode) & 0o7777, mtime: new Date(Number(stats.mtimeMs)), uid: 0, gid: 0 };
}
