/** Which commit an address of a repository means at this moment: asked of the repository, without fetching anything. */
import { InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import type { SourceIo } from './build-sources.ts';
import type { GitOptions, Transports } from './git-checkout.ts';
import type { GitProcess } from './git-process.ts';
import { type GitAddress, isCommit } from './git-url.ts';

export interface GitCall {
  git: GitProcess;
  transports: Transports;
  io: SourceIo;
  /** Where git runs. */
  cwd: string;
}

/** What an address means at this moment. */
export interface ResolvedRef {
  /** A commit, or an annotated tag. */
  object: string;
  /** In full; empty where a commit was asked for. */
  ref: string;
}

/** Throws InvalidParameter for what can name no commit, NotFound for a ref that is not there, and what git does. */
export async function resolveAddress(
  address: GitAddress,
  { pin }: GitOptions,
  call: GitCall,
): Promise<ResolvedRef> {
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
  if (ref === '') return await defaultBranch(remote, call);
  const wanted = ref;
  const listed = await askRemote(['ls-remote', '--', remote, wanted, `${wanted}^{}`], call);
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

async function defaultBranch(remote: string, call: GitCall): Promise<ResolvedRef> {
  const listed = await askRemote(['ls-remote', '--symref', '--', remote, 'HEAD'], call);
  const branch = /^ref: (\S+)\s+HEAD$/m.exec(listed)?.[1];
  const object = /^([0-9a-f]+)\s+HEAD$/m.exec(listed)?.[1];
  if (branch?.startsWith('refs/') === true && object !== undefined && isCommit(object)) {
    return { object, ref: branch };
  }
  throw new NotFoundError(`could not find default branch for repository: ${remote}`);
}

async function askRemote(args: readonly string[], { git, transports, io, cwd }: GitCall): Promise<string> {
  return await git.run({ args, cwd, ...transports, signal: io.signal });
}
