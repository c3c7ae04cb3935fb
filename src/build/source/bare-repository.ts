/**
 * The objects of one remote repository as they are kept between builds: a bare repository to which single commits are
 * fetched, each under a ref of its own.
 */
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NotFoundError } from '../../base/errors.ts';
import type { SourceIo } from './build-sources.ts';
import { refusesShallow } from './git-checkout.ts';
import { GitError } from './git-process.ts';
import type { GitCall, ResolvedRef } from './git-refs.ts';

/** What a damaged or outgrown repository of ours makes git say; another one is made then. */
const OUTGROWN =
  /clobber|unable to update local ref|refname conflict|corrupt|bad object|index-pack failed|loose object|not a git repository/i;
/** What an interrupted git leaves. */
const LOCKS = ['shallow.lock', 'config.lock', 'packed-refs.lock', 'HEAD.lock'];

export class BareRepository {
  /** Made where there is none. */
  readonly path: string;
  readonly #call: GitCall;

  constructor(path: string, call: GitCall) {
    this.path = path;
    this.#call = call;
  }

  /** Sees to it that the object is here; tells whether it had to be fetched. */
  async ensure(remote: string, resolved: ResolvedRef): Promise<boolean> {
    const { object } = resolved;
    await this.#init(object);
    const here = await this.#run(['rev-parse', '--verify', '-q', `${storedRef(object)}^{object}`]).catch(
      (error: unknown) => {
        this.#call.io.signal.throwIfAborted();
        if (error instanceof GitError) return undefined;
        throw error;
      },
    );
    if (here !== undefined) return false;
    try {
      await this.#fetch(remote, resolved);
    } catch (error) {
      if (!(error instanceof GitError) || !OUTGROWN.test(error.output)) throw error;
      await this.#empty();
      await this.#init(object);
      await this.#fetch(remote, resolved);
    }
    return true;
  }

  async #init(object: string): Promise<void> {
    const format = object.length === 64 ? 'sha256' : 'sha1';
    if (existsSync(join(this.path, 'HEAD'))) {
      if (objectFormat(this.path) === format) {
        for (const name of LOCKS) await rm(join(this.path, name), { force: true });
        return;
      }
      await this.#empty();
    }
    await this.#run(['init', '-q', '--bare', '--template=', `--object-format=${format}`]);
  }

  async #empty(): Promise<void> {
    for (const name of ['HEAD', 'config', 'objects', 'refs', 'packed-refs', 'shallow']) {
      await rm(join(this.path, name), { recursive: true, force: true });
    }
  }

  /** The one object; from servers that do not give it alone, the branch or tag; from those without either, everything. */
  async #fetch(remote: string, { object, ref }: ResolvedRef): Promise<void> {
    const target = storedRef(object);
    const fetch = ['fetch', '--progress', '--no-tags', '--force'];
    const attempts = [
      [...fetch, '--depth=1', '--', remote, `${object}:${target}`],
      ...(ref === '' ? [] : [[...fetch, '--depth=1', '--', remote, `${ref}:${target}`]]),
      ...(ref === '' ? [] : [[...fetch, '--', remote, `${ref}:${target}`]]),
      [
        ...fetch,
        ...unshallow(this.path),
        '--',
        remote,
        '+refs/heads/*:refs/fetched/heads/*',
        '+refs/tags/*:refs/fetched/tags/*',
      ],
    ];
    for (const [index, args] of attempts.entries()) {
      try {
        await this.#run(args, true);
        const got = await this.#has(object);
        if (got) {
          await this.#run(['update-ref', '--no-deref', target, object]);
          return;
        }
      } catch (error) {
        const last = index === attempts.length - 1;
        if (last || !(error instanceof GitError) || !refusesShallow(error.output)) throw error;
      }
    }
    throw new NotFoundError(`repository ${remote} does not contain commit ${object}`);
  }

  async #has(object: string): Promise<boolean> {
    try {
      await this.#run(['cat-file', '-e', object]);
      return true;
    } catch (error) {
      this.#call.io.signal.throwIfAborted();
      if (error instanceof GitError) return false;
      throw error;
    }
  }

  /** Of what is here. */
  async commitOf({ object }: ResolvedRef): Promise<{ commit: string; epochSeconds: number }> {
    const shown = await this.#run(['log', '-1', '--format=%H %ct', `${object}^{commit}`]);
    const [commit = '', seconds = ''] = shown.trim().split(' ');
    return { commit, epochSeconds: Number.parseInt(seconds, 10) };
  }

  async #run(args: readonly string[], network = false): Promise<string> {
    const { git, transports, io } = this.#call;
    const run = { args: [`--git-dir=${this.path}`, ...args], cwd: this.path, signal: io.signal };
    return await git.run(network ? { ...run, ...transports, onOutput: outputOf(io) } : run);
  }
}

/** As `git init` wrote it; damaged ones are told by what fails later. */
function objectFormat(bare: string): string {
  const config = readFileSync(join(bare, 'config'), { encoding: 'utf8', flag: 'a+' });
  return /objectformat = sha256/i.test(config) ? 'sha256' : 'sha1';
}

export function storedRef(object: string): string {
  return `refs/stored/${object}`;
}

function unshallow(bare: string): string[] {
  return existsSync(join(bare, 'shallow')) ? ['--unshallow'] : [];
}

export function outputOf({ vertex }: SourceIo): ((text: string) => void) | undefined {
  return vertex === undefined ? undefined : (text) => vertex.log(text, 'stderr');
}
