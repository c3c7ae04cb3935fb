/**
 * From a commit in a bare repository of ours to a tree of files: the same bytes every time, also of `.git` where that is
 * wanted. What the commit says is hostile: submodules are fetched over the network alone, and no link leads out.
 */
import { closeSync, constants, existsSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { copyFile, lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NotFoundError } from '../../base/errors.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import {
  byDescriptor,
  ifThere,
  O_DIRECTORY,
  O_PATH,
  openInsideWithoutLinks,
} from '../../native/inside-root.ts';
import { openDirectory } from '../../volume/copy-tree.ts';
import { GitError, type GitProcess, type GitRun } from './git-process.ts';

export interface GitOptions {
  title?: string;
  /** A commit that is used whatever the ref says by now (of the lock file). */
  pin?: string;
  /** A commit, or how it begins, that the ref must lead to (`ADD --checksum`). */
  checksum?: string;
  /** Default what the address says. */
  keepGitDir?: boolean;
}

export interface CheckoutRequest {
  /** The bare repository that has the commit under `storedRef`. */
  bare: string;
  storedRef: string;
  commit: string;
  /** `refs/heads/…` or `refs/tags/…` as `.git` is to have it; empty where a commit was asked for. */
  ref: string;
  remote: string;
  subdir: string;
  keepGitDir: boolean;
  submodules: boolean;
}

/** What network transports need. */
export type Transports = Pick<GitRun, 'protocols' | 'secrets' | 'sshAgent' | 'knownHosts'>;

export const NETWORK_PROTOCOLS = 'https:http:ssh:git';

export class GitCheckout {
  readonly #git: GitProcess;
  readonly #request: CheckoutRequest;
  readonly #run: Pick<GitRun, 'signal' | 'onOutput'>;
  readonly #tree: string;
  readonly #gitDir: string;
  readonly #keepGitDir: boolean;

  /** `folder` is empty, and gets the tree and what belongs to it. */
  constructor(
    git: GitProcess,
    folder: string,
    request: CheckoutRequest,
    run: Pick<GitRun, 'signal' | 'onOutput'>,
  ) {
    this.#git = git;
    this.#request = request;
    this.#run = run;
    this.#tree = join(folder, 'tree');
    // A part of a repository has no repository of its own.
    this.#keepGitDir = request.keepGitDir && request.subdir === '';
    this.#gitDir = this.#keepGitDir ? join(this.#tree, '.git') : join(folder, 'git');
  }

  /** The path of the tree, or of the folder in it that was asked for. */
  async make(transports: Transports): Promise<string> {
    const { commit, submodules, remote } = this.#request;
    mkdirSync(this.#tree, { mode: 0o755 });
    const format = commit.length === 64 ? ['--object-format=sha256'] : [];
    await this.#call(['init', '-q', '--template=', ...format]);
    if (this.#keepGitDir) await this.#fetchOwn();
    else await this.#borrowObjects();
    await this.#call(['checkout', '-q', '--detach', commit]);
    const hasModules =
      (await lstat(join(this.#tree, '.gitmodules')).catch(() => undefined))?.isFile() === true;
    // Addresses of submodules may be relative to it.
    if (hasModules || this.#keepGitDir) await this.#call(['config', 'remote.origin.url', remote]);
    if (submodules && hasModules) await this.#updateSubmodules(transports);
    if (this.#keepGitDir) await this.#settleGitDir();
    else {
      if (hasModules) await removeGitFiles(this.#tree);
      await rm(this.#gitDir, { recursive: true, force: true });
    }
    return this.#subdirectory();
  }

  async #call(args: readonly string[], options: Partial<GitRun> = {}): Promise<string> {
    const where = [`--git-dir=${this.#gitDir}`, `--work-tree=${this.#tree}`];
    return await this.#git.run({ ...this.#run, ...options, cwd: this.#tree, args: [...where, ...args] });
  }

  /** Objects are read where they are; nothing of them outlives the checkout. */
  async #borrowObjects(): Promise<void> {
    const { bare } = this.#request;
    makeDirectory(join(this.#gitDir, 'objects/info'), 0o777);
    writeFileSync(join(this.#gitDir, 'objects/info/alternates'), `${join(bare, 'objects')}\n`);
    const shallow = join(bare, 'shallow');
    if (existsSync(shallow)) await copyFile(shallow, join(this.#gitDir, 'shallow'));
  }

  /** A repository that stands by itself, with this one commit. */
  async #fetchOwn(): Promise<void> {
    const { bare, storedRef, ref } = this.#request;
    const refspec = ref === '' ? storedRef : `${storedRef}:${ref}`;
    const args = ['fetch', '-q', '-u', '--no-tags', '--depth=1', '--', `file://${bare}`, refspec];
    await this.#call(args, { protocols: 'file' });
  }

  async #updateSubmodules(transports: Transports): Promise<void> {
    const update = ['submodule', 'update', '--init', '--recursive'];
    try {
      await this.#call([...update, '--depth=1'], transports);
    } catch (error) {
      if (!(error instanceof GitError) || !refusesShallow(error.output)) throw error;
      await this.#call(update, transports);
    }
  }

  /**
   * Takes out of `.git` what differs from checkout to checkout: times and inodes in the index, logs, how objects happen to
   * be packed.
   */
  async #settleGitDir(): Promise<void> {
    for (const name of ['FETCH_HEAD', 'ORIG_HEAD', 'logs', 'index', 'hooks', 'info', 'branches']) {
      await rm(join(this.#gitDir, name), { recursive: true, force: true });
    }
    await this.#call(['read-tree', 'HEAD']);
    await this.#call(['-c', 'pack.threads=1', 'repack', '-a', '-d', '-f', '-q']);
  }

  #subdirectory(): string {
    const { subdir, commit } = this.#request;
    if (subdir === '') return this.#tree;
    const root = openDirectory(this.#tree);
    try {
      const fd = ifThere(() =>
        openInsideWithoutLinks(root, subdir, O_PATH | O_DIRECTORY | constants.O_NOFOLLOW),
      );
      if (fd === undefined) {
        throw new NotFoundError(`git commit ${commit} has no folder "${subdir}" (links are not followed)`);
      }
      try {
        return readlinkSync(byDescriptor(fd));
      } finally {
        closeSync(fd);
      }
    } finally {
      closeSync(root);
    }
  }
}

/** Some servers have no shallow clones, or none of commits that no branch leads to. */
export function refusesShallow(output: string): boolean {
  return /--depth|shallow|not our ref|unadvertised object|did not contain/.test(output);
}

/** Submodules have a file `.git` with a path of this machine. git itself keeps no file of that name. */
async function removeGitFiles(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name === '.git') await rm(path, { recursive: true, force: true });
    else if (entry.isDirectory()) await removeGitFiles(path);
  }
}
