/**
 * Repositories of git as sources: which commit an address means, its objects in a bare repository that is kept between
 * builds, and a checkout for each build. Commits are fetched alone, without their history.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidParameterError } from '../../base/errors.ts';
import type { ProxyEnvironment } from '../../image/registry/proxy.ts';
import { type AgentSocket, openAgentSocket } from './agent-socket.ts';
import { BareRepository, outputOf, storedRef } from './bare-repository.ts';
import type { OpenedSource, SourceIo } from './build-sources.ts';
import { authorization, explainGitError } from './git-authorization.ts';
import { GitCheckout, type GitOptions, NETWORK_PROTOCOLS, type Transports } from './git-checkout.ts';
import { GitProcess, type GitPrograms } from './git-process.ts';
import { type ResolvedRef, resolveAddress } from './git-refs.ts';
import { type GitAddress, parseGitUrl, withoutCredentials } from './git-url.ts';
import { KeptFolders, keptWords } from './kept-folders.ts';
import type { WorkFolders } from './work-folders.ts';

export interface GitRepositoriesOptions {
  /** `<data root>/build`. */
  directory: string;
  work: WorkFolders;
  env: ProxyEnvironment;
  programs: GitPrograms;
}

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
      const call = { git: this.#git, transports, io, cwd: kept.path };
      const resolved = await resolveAddress(address, options, call);
      const repository = new BareRepository(kept.path, call);
      fetched = await repository.ensure(address.remote, resolved);
      const { commit, epochSeconds } = await repository.commitOf(resolved);
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
}

function checkCommit(
  address: GitAddress,
  options: GitOptions,
  { object }: ResolvedRef,
  commit: string,
): void {
  for (const expected of [address.checksum, options.checksum?.toLowerCase() ?? '']) {
    if (expected === '' || object.startsWith(expected) || commit.startsWith(expected)) continue;
    const got = object === commit ? commit : `${object} or ${commit}`;
    throw new InvalidParameterError(
      `git repository ${address.remote}: expected checksum to match ${expected}, got ${got}`,
    );
  }
}
