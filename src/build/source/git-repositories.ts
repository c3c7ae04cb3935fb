/**
 * Repositories of git as sources: which commit an address means, its objects in a bare repository that is kept between
 * builds, and a checkout for each build. Commits are fetched alone, without their history.
 */
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import type { ProxyEnvironment } from '../../image/registry/proxy.ts';
import { type AgentSocket, openAgentSocket } from './agent-socket.ts';
import type { OpenedSource, SourceIo } from './build-sources.ts';
import { authorization, explainGitError } from './git-authorization.ts';
import {
  GitCheckout,
  type GitOptions,
  NETWORK_PROTOCOLS,
  refusesShallow,
  type Transports,
} from './git-checkout.ts';
import { GitError, GitProcess, type GitPrograms } from './git-process.ts';
import { type GitAddress, isCommit, parseGitUrl, withoutCredentials } from './git-url.ts';
import { KeptFolders, keptWords } from './kept-folders.ts';
import type { WorkFolders } from './work-folders.ts';

export interface GitRepositoriesOptions {
  /** `<data root>/build`. */
  directory: string;
  work: WorkFolders;
  env: ProxyEnvironment;
  programs: GitPrograms;
}

/** What an address means at this moment. */
interface Resolved {
  /** A commit, or an annotated tag. */
  object: string;
  /** In full; empty where a commit was asked for. */
  ref: string;
}

/** What a damaged or outgrown repository of ours makes git say; another one is made then. */
const OUTGROWN =
  /clobber|unable to update local ref|refname conflict|corrupt|bad object|index-pack failed|loose object|not a git repository/i;
/** What an interrupted git leaves. */
const LOCKS = ['shallow.lock', 'config.lock', 'packed-refs.lock', 'HEAD.lock'];

export class GitRepositories extends KeptFolders {
  readonly #work: WorkFolders;
  readonly #git: GitProcess;
  readonly #knownHosts: string;

  constructor({ directory, work, env, programs }: GitRepositoriesOptions) {
    super({ directory: join(directory, 'git'), type: 'source.git.checkout', work });
    this.#work = work;
    this.#git = new GitProcess(programs, env);
    this.#knownHosts = join(directory, 'known_hosts');
  }

  /**
   * Checks out what an address names. Throws InvalidParameter for one that is none or whose commit is another than it
   * must be, NotFound for a ref or folder that is not there, Unauthorized, and GitError with git's own words.
   */
  async open(text: string, options: GitOptions, io: SourceIo): Promise<OpenedSource> {
    const address = parseGitUrl(text);
    if (address === undefined) {
      throw new InvalidParameterError(
        `${JSON.stringify(withoutCredentials(text))} is no address of a git repository`,
      );
    }
    const agent = address.protocol === 'ssh' ? await openAgentSocket(io.session, 'default') : undefined;
    try {
      return await this.#open(address, text, options, io, agent);
    } catch (error) {
      throw explainGitError(error, address, agent !== undefined);
    } finally {
      await agent?.close();
    }
  }

  async #open(
    address: GitAddress,
    text: string,
    options: GitOptions,
    io: SourceIo,
    agent: AgentSocket | undefined,
  ): Promise<OpenedSource> {
    const secrets = await authorization(address, io);
    const transports: Transports = {
      protocols: NETWORK_PROTOCOLS,
      secrets,
      sshAgent: agent?.path,
      knownHosts: this.#knownHosts,
    };
    const description = `shared git repo for ${withoutCredentials(address.remote)}`;
    const kept = await this.take(keptWords(io.cacheNamespace, address.remote), description, io.signal);
    const folder = this.#work.create();
    let fetched = false;
    try {
      const call: Call = { transports, io, cwd: kept.path };
      const resolved = await this.#resolve(address, options, call);
      fetched = await this.#ensure(kept.path, address.remote, resolved, call);
      const { commit, epochSeconds } = await this.#commitOf(resolved, kept.path, call);
      checkCommit(address, options, resolved, commit);
      const checkout = new GitCheckout(
        this.#git,
        folder.path,
        {
          bare: kept.path,
          storedRef: storedRef(resolved.object),
          commit,
          ref: resolved.ref,
          remote: address.remote,
          subdir: address.subdir,
          keepGitDir: options.keepGitDir ?? address.keepGitDir ?? false,
          submodules: address.submodules ?? true,
        },
        { signal: io.signal, onOutput: outputOf(io) },
      );
      const path = await checkout.make(transports);
      const name = withoutCredentials(text);
      kept.keep(fetched ? { remote: address.remote } : undefined);
      return {
        tree: { path, title: options.title ?? name, times: 'uniform', live: false, release: folder.release },
        material: { kind: 'git', name, pin: commit },
        epochSeconds,
      };
    } catch (error) {
      if (existsSync(join(kept.path, 'HEAD'))) kept.keep(fetched ? { remote: address.remote } : undefined);
      else await kept.drop();
      await folder.release();
      throw error;
    }
  }

  async #resolve(address: GitAddress, { pin }: GitOptions, call: Call): Promise<Resolved> {
    const { ref, checksum, fetchByCommit, remote } = address;
    if (pin !== undefined) {
      if (!isCommit(pin))
        throw new InvalidParameterError(`invalid pin ${pin} of ${remote}: expected a git commit`);
      return { object: pin, ref: ref.startsWith('refs/') ? ref : '' };
    }
    if (isCommit(ref)) return { object: ref, ref: '' };
    if (fetchByCommit) {
      if (!isCommit(checksum)) {
        throw new InvalidParameterError(
          `fetch-by-commit requires a full commit SHA checksum, got "${checksum}"`,
        );
      }
      const full = ref === '' || ref.startsWith('refs/') ? ref : `refs/heads/${ref}`;
      return { object: checksum, ref: full };
    }
    if (ref === '') return await this.#defaultBranch(remote, call);
    const wanted = ref;
    const listed = await this.#remote(['ls-remote', '--', remote, wanted, `${wanted}^{}`], call);
    const objects = new Map(
      listed.split('\n').map((line) => {
        const [object = '', name = ''] = line.split('\t');
        return [name, object] as const;
      }),
    );
    // As git's checkout does, a branch before a tag of the same name.
    const names = [
      `refs/${wanted.replace(/^refs\//, '')}`,
      `refs/heads/${wanted.replace(/^refs\/heads\//, '')}`,
      `refs/tags/${wanted.replace(/^refs\/tags\//, '')}`,
    ];
    for (const name of names) {
      const object = objects.get(name);
      if (object !== undefined && isCommit(object)) return { object, ref: name };
    }
    throw new NotFoundError(`repository ${remote} does not contain ref ${wanted}`);
  }

  async #defaultBranch(remote: string, call: Call): Promise<Resolved> {
    const listed = await this.#remote(['ls-remote', '--symref', '--', remote, 'HEAD'], call);
    const branch = /^ref: (\S+)\s+HEAD$/m.exec(listed)?.[1];
    const object = /^([0-9a-f]+)\s+HEAD$/m.exec(listed)?.[1];
    if (branch?.startsWith('refs/') === true && object !== undefined && isCommit(object)) {
      return { object, ref: branch };
    }
    throw new NotFoundError(`could not find default branch for repository: ${remote}`);
  }

  /** Sees to it that the object is here; tells whether it had to be fetched. */
  async #ensure(bare: string, remote: string, resolved: Resolved, call: Call): Promise<boolean> {
    const { object } = resolved;
    await this.#init(bare, object, call);
    const here = await this.#bare(
      bare,
      ['rev-parse', '--verify', '-q', `${storedRef(object)}^{object}`],
      call,
    ).catch((error: unknown) => {
      call.io.signal.throwIfAborted();
      if (error instanceof GitError) return undefined;
      throw error;
    });
    if (here !== undefined) return false;
    try {
      await this.#fetch(bare, remote, resolved, call);
    } catch (error) {
      if (!(error instanceof GitError) || !OUTGROWN.test(error.output)) throw error;
      await this.#empty(bare);
      await this.#init(bare, object, call);
      await this.#fetch(bare, remote, resolved, call);
    }
    return true;
  }

  async #init(bare: string, object: string, call: Call): Promise<void> {
    const format = object.length === 64 ? 'sha256' : 'sha1';
    if (existsSync(join(bare, 'HEAD'))) {
      if (objectFormat(bare) === format) {
        for (const name of LOCKS) await rm(join(bare, name), { force: true });
        return;
      }
      await this.#empty(bare);
    }
    await this.#bare(bare, ['init', '-q', '--bare', '--template=', `--object-format=${format}`], call);
  }

  async #empty(bare: string): Promise<void> {
    for (const name of ['HEAD', 'config', 'objects', 'refs', 'packed-refs', 'shallow']) {
      await rm(join(bare, name), { recursive: true, force: true });
    }
  }

  /** The one object; from servers that do not give it alone, the branch or tag; from those without either, everything. */
  async #fetch(bare: string, remote: string, { object, ref }: Resolved, call: Call): Promise<void> {
    const target = storedRef(object);
    const fetch = ['fetch', '--progress', '--no-tags', '--force'];
    const attempts = [
      [...fetch, '--depth=1', '--', remote, `${object}:${target}`],
      ...(ref === '' ? [] : [[...fetch, '--depth=1', '--', remote, `${ref}:${target}`]]),
      ...(ref === '' ? [] : [[...fetch, '--', remote, `${ref}:${target}`]]),
      [
        ...fetch,
        ...unshallow(bare),
        '--',
        remote,
        '+refs/heads/*:refs/fetched/heads/*',
        '+refs/tags/*:refs/fetched/tags/*',
      ],
    ];
    for (const [index, args] of attempts.entries()) {
      try {
        await this.#bare(bare, args, call, true);
        const got = await this.#has(bare, object, call);
        if (got) {
          await this.#bare(bare, ['update-ref', '--no-deref', target, object], call);
          return;
        }
      } catch (error) {
        const last = index === attempts.length - 1;
        if (last || !(error instanceof GitError) || !refusesShallow(error.output)) throw error;
      }
    }
    throw new NotFoundError(`repository ${remote} does not contain commit ${object}`);
  }

  async #has(bare: string, object: string, call: Call): Promise<boolean> {
    try {
      await this.#bare(bare, ['cat-file', '-e', object], call);
      return true;
    } catch (error) {
      call.io.signal.throwIfAborted();
      if (error instanceof GitError) return false;
      throw error;
    }
  }

  async #commitOf(
    { object }: Resolved,
    bare: string,
    call: Call,
  ): Promise<{ commit: string; epochSeconds: number }> {
    const shown = await this.#bare(bare, ['log', '-1', '--format=%H %ct', `${object}^{commit}`], call);
    const [commit = '', seconds = ''] = shown.trim().split(' ');
    return { commit, epochSeconds: Number.parseInt(seconds, 10) };
  }

  async #remote(args: readonly string[], { transports, io, cwd }: Call): Promise<string> {
    return await this.#git.run({ args, cwd, ...transports, signal: io.signal });
  }

  async #bare(
    bare: string,
    args: readonly string[],
    { transports, io }: Call,
    network = false,
  ): Promise<string> {
    const run = { args: [`--git-dir=${bare}`, ...args], cwd: bare, signal: io.signal };
    return await this.#git.run(network ? { ...run, ...transports, onOutput: outputOf(io) } : run);
  }
}

interface Call {
  transports: Transports;
  io: SourceIo;
  cwd: string;
}

/** As `git init` wrote it; damaged ones are told by what fails later. */
function objectFormat(bare: string): string {
  const config = readFileSync(join(bare, 'config'), { encoding: 'utf8', flag: 'a+' });
  return /objectformat = sha256/i.test(config) ? 'sha256' : 'sha1';
}

function storedRef(object: string): string {
  return `refs/stored/${object}`;
}

function unshallow(bare: string): string[] {
  return existsSync(join(bare, 'shallow')) ? ['--unshallow'] : [];
}

function outputOf({ vertex }: SourceIo): ((text: string) => void) | undefined {
  return vertex === undefined ? undefined : (text) => vertex.log(text, 'stderr');
}

function checkCommit(address: GitAddress, options: GitOptions, { object }: Resolved, commit: string): void {
  for (const expected of [address.checksum, options.checksum?.toLowerCase() ?? '']) {
    if (expected === '' || object.startsWith(expected) || commit.startsWith(expected)) continue;
    const got = object === commit ? commit : `${object} or ${commit}`;
    throw new InvalidParameterError(
      `git repository ${address.remote}: expected checksum to match ${expected}, got ${got}`,
    );
  }
}
