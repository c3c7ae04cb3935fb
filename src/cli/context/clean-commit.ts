/** How new a folder is that is part of a git work tree, as git tells it. Loaded only for those. */
import { execFile } from 'node:child_process';

const GIT_TIMEOUT_MS = 5000;

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
