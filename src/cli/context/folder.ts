/**
 * A build context that is a folder, for a daemon on the same machine: what names it beyond doubt, so that nothing needs to be
 * sent, and how new it is.
 */
import { execFile } from 'node:child_process';
import { realpath, stat } from 'node:fs/promises';

/** What the daemon compares before it reads the folder in place. Numbers as text: they may have 64 bits. */
export interface ContextFolder {
  path: string;
  device: string;
  inode: string;
}

const GIT_TIMEOUT_MS = 5000;

export async function contextFolder(root: string): Promise<ContextFolder> {
  const path = await realpath(root);
  const { dev, ino } = await stat(path, { bigint: true });
  return { path, device: String(dev), inode: String(ino) };
}

/**
 * Seconds since 1970 of the commit that is checked out in a folder, with nothing changed since; undefined where it is not part of a
 * repository, differs from its commit, or git is missing: files are as new as they say then.
 */
export async function cleanCommitSec(root: string): Promise<number | undefined> {
  // `.` limits both to the folder: changes elsewhere in the repository do not matter.
  const changes = await git(root, ['status', '--porcelain', '--untracked-files=normal', '--', '.']);
  if (changes !== '') return undefined;
  const seconds = await git(root, ['log', '-1', '--format=%ct', '--', '.']);
  return seconds !== undefined && /^\d+$/.test(seconds.trim()) ? Number(seconds) : undefined;
}

/** Its output; undefined where it fails. */
function git(root: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { cwd: root, timeout: GIT_TIMEOUT_MS, env: { ...process.env, GIT_OPTIONAL_LOCKS: '0' } };
    execFile('git', [...args], options, (error, stdout) => resolve(error === null ? stdout : undefined));
  });
}
