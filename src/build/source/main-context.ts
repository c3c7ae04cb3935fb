/**
 * The main context of a build, with the Dockerfile and the ignore file in it or beside it, in the order in which BuildKit's
 * frontend fetches them: from a client's folders the two files come alone, ahead of what the stages turn out to need; of
 * all other contexts they are read once the context is here.
 */
import { posix } from 'node:path';
import { InvalidParameterError } from '../../base/errors.ts';
import type { ContextSpec, DockerfileSpec } from '../solve-request.ts';
import type { BuildSources, OpenedSource, OpenOptions, SourceIo } from './build-sources.ts';
import {
  IGNORE_FILE,
  type IgnoreText,
  ignorePatterns,
  packedIgnoreRules,
  readIgnoreFile,
} from './context-ignore.ts';
import { readInside } from './inside-file.ts';
import type { SourceTree } from './source-tree.ts';

export interface DockerfileText {
  /** As the request names it, for messages and places. */
  name: string;
  content: string;
}

const DEFAULT_NAME = 'Dockerfile';
/** Docker finds a default Dockerfile in lower case as well. */
const LOWER_NAME = 'dockerfile';

export class MainContext {
  readonly #sources: BuildSources;
  readonly #context: ContextSpec;
  readonly #dockerfile: DockerfileSpec;
  /** `<Dockerfile>.dockerignore`, or what was found by `loadIgnore`. */
  #ignore: IgnoreText | undefined;
  #ignoreLoaded = false;
  #opened: Promise<OpenedSource> | undefined;

  constructor(sources: BuildSources, context: ContextSpec, dockerfile: DockerfileSpec) {
    this.#sources = sources;
    this.#context = context;
    this.#dockerfile = dockerfile;
  }

  /** `Dockerfile`, or what the request says: for the name of the step that loads it. */
  get dockerfileName(): string {
    return this.#dockerfile.path === '' ? DEFAULT_NAME : this.#dockerfile.path;
  }

  /** Whether `loadIgnore` asks a client: only then it is a step of its own. */
  get asksForIgnore(): boolean {
    return this.#context.kind === 'session';
  }

  /**
   * The Dockerfile's text. Throws InvalidParameter in the words of Docker where there is none, where it is empty or
   * outside of the context.
   */
  async readDockerfile(io: SourceIo): Promise<DockerfileText> {
    const { content } = this.#dockerfile;
    const name = this.dockerfileName;
    if (content !== undefined) return notEmpty({ name, content });
    checkInside(name);
    if (this.#context.kind === 'session' || this.#dockerfile.session !== undefined) {
      return notEmpty(await this.#sentDockerfile(io));
    }
    const opened = await this.open(io);
    if (opened.dockerfile !== undefined) return notEmpty({ name: DEFAULT_NAME, content: opened.dockerfile });
    const found = readNamed(opened.tree.path, name);
    if (found === undefined) throw new InvalidParameterError(`Cannot locate specified Dockerfile: ${name}`);
    return notEmpty({ name, content: found });
  }

  async #sentDockerfile(io: SourceIo): Promise<DockerfileText> {
    const name = this.dockerfileName;
    const wanted = [name, `${name}${IGNORE_FILE}`];
    if (posix.basename(name) === DEFAULT_NAME) wanted.push(posix.join(posix.dirname(name), LOWER_NAME));
    const folder = this.#dockerfile.session ?? (this.#context.kind === 'session' ? this.#context.name : '');
    const request = { name: folder, followPaths: wanted };
    const tree = await this.#sources.folders.openCopy(
      request,
      'the Dockerfile',
      'transferring dockerfile:',
      io,
    );
    try {
      const content = readNamed(tree.path, name);
      if (content === undefined) {
        throw new InvalidParameterError(`failed to read dockerfile: open ${name}: no such file or directory`);
      }
      const own = readInside(tree.path, `${name}${IGNORE_FILE}`);
      if (own !== undefined) this.#setIgnore({ name: `${name}${IGNORE_FILE}`, content: own });
      return { name, content };
    } finally {
      await tree.release();
    }
  }

  #setIgnore(ignore: IgnoreText | undefined): void {
    this.#ignore = ignore;
    this.#ignoreLoaded = true;
  }

  /** Fetches `.dockerignore` of a client's folder, where the Dockerfile has none of its own. Elsewhere does nothing. */
  async loadIgnore(io: SourceIo): Promise<void> {
    if (this.#ignoreLoaded || this.#context.kind !== 'session') return;
    const request = { name: this.#context.name, followPaths: [IGNORE_FILE] };
    const tree = await this.#sources.folders.openCopy(request, IGNORE_FILE, 'transferring context:', io);
    try {
      const content = readInside(tree.path, IGNORE_FILE);
      this.#setIgnore(content === undefined ? undefined : { name: IGNORE_FILE, content });
    } finally {
      await tree.release();
    }
  }

  /** Patterns that a client's folder is asked for without. Throws InvalidParameter for an ignore file that is none. */
  get excludes(): readonly string[] {
    return this.#ignore === undefined ? [] : ignorePatterns(this.#ignore);
  }

  /**
   * Patterns of the ignore file, for whoever only wants to know: a context that must be opened to read it is opened.
   * Throws as `open`.
   */
  async ignoredPatterns(io: SourceIo): Promise<readonly string[]> {
    const context = this.#context;
    if (context.kind === 'session') {
      await this.loadIgnore(io);
      return this.excludes;
    }
    const own = context.kind === 'folder' ? context.dockerignore : undefined;
    const ignore =
      own === undefined
        ? readIgnoreFile((await this.open(io)).tree.path, this.dockerfileName)
        : { name: IGNORE_FILE, content: own };
    return ignore === undefined ? [] : ignorePatterns(ignore);
  }

  /**
   * The context, opened once however often it is asked for; `release` lets go of it. `followPaths` counts for the first
   * call alone.
   */
  open(
    io: SourceIo,
    options: Pick<OpenOptions, 'followPaths' | 'keepGitDir' | 'pin'> = {},
  ): Promise<OpenedSource> {
    this.#opened ??= this.#open(io, options);
    return this.#opened;
  }

  async #open(io: SourceIo, options: OpenOptions): Promise<OpenedSource> {
    const title = 'build context';
    const context = this.#context;
    if (context.kind === 'session') {
      await this.loadIgnore(io);
      const request = {
        name: context.name,
        ...(this.excludes.length === 0 ? {} : { exclude: this.excludes }),
        ...(options.followPaths === undefined ? {} : { followPaths: options.followPaths }),
      };
      return { tree: await this.#sources.folders.open(request, title, 'transferring context:', io) };
    }
    if (context.kind === 'folder') {
      const inside = this.#dockerfile.content === undefined ? this.dockerfileName : undefined;
      return { tree: this.#sources.openFolder(context.path, title, context.dockerignore, inside) };
    }
    const opened = await this.#sources.open(context, io, { ...options, title });
    if (context.kind !== 'tar') return opened;
    return { ...opened, tree: this.#withoutSentFiles(opened.tree) };
  }

  #withoutSentFiles(tree: SourceTree): SourceTree {
    const ignore = readIgnoreFile(tree.path, this.dockerfileName);
    const rules = packedIgnoreRules(ignore, this.dockerfileName);
    return rules === undefined ? tree : { ...tree, ignore: rules };
  }

  /** Lets go of the context, where it was opened. Once the build is done. */
  async release(): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined);
    await opened?.tree.release();
  }
}

function checkInside(name: string): void {
  const inside = posix.normalize(name.replace(/^\/+/, ''));
  if (inside === '..' || inside.startsWith('../')) {
    throw new InvalidParameterError(`the Dockerfile (${name}) must be within the build context`);
  }
}

function readNamed(root: string, name: string): string | undefined {
  const found = readInside(root, name);
  if (found !== undefined || posix.basename(name) !== DEFAULT_NAME) return found;
  return readInside(root, posix.join(posix.dirname(name), LOWER_NAME));
}

function notEmpty(text: DockerfileText): DockerfileText {
  if (text.content.trim() !== '') return text;
  throw new InvalidParameterError(`the Dockerfile (${text.name}) cannot be empty`);
}
