/**
 * Who a build is to servers of git: secrets of its session and what stands in the address, and what a refusal is told as.
 */
import { UnauthorizedError } from '../../base/errors.ts';
import type { SourceIo } from './build-sources.ts';
import { GitError, type GitSetting } from './git-process.ts';
import type { GitAddress } from './git-url.ts';

const UNAUTHORIZED =
  /could not read (?:Username|Password)|Authentication failed|Permission denied \(|HTTP Basic: Access denied|terminal prompts disabled/i;

/**
 * Secrets of the session by BuildKit's names, those for this host first; then what stands in the address. For github.com
 * they count for all of its repositories, as submodules are often others of the same owner.
 */
export async function authorization(address: GitAddress, { session }: SourceIo): Promise<GitSetting[]> {
  const { remote, protocol, host, credentials } = address;
  if (protocol !== 'http' && protocol !== 'https') return [];
  const scope = /^https:\/\/(?:www\.)?github\.com\//.exec(remote)?.[0] ?? remote;
  const setting = (value: string): GitSetting[] => [
    { key: `http.${scope}.extraHeader`, value: `Authorization: ${value}` },
  ];
  const basic = (words: string): string => `basic ${Buffer.from(words).toString('base64')}`;
  for (const suffix of [`.${host}`, '']) {
    const header = await session?.secret(`GIT_AUTH_HEADER${suffix}`);
    if (header !== undefined) return setting(header.toString('utf8').trim());
    const token = await session?.secret(`GIT_AUTH_TOKEN${suffix}`);
    if (token !== undefined) return setting(basic(`x-access-token:${token.toString('utf8').trim()}`));
  }
  return credentials === '' ? [] : setting(basic(credentials));
}

/** A failure of git with its remote, and with what would have helped where that was a key or a token. */
export function explainGitError(
  error: unknown,
  { remote, protocol }: GitAddress,
  hasAgent: boolean,
): unknown {
  if (!(error instanceof GitError)) return error;
  const text = `failed to fetch remote ${remote}: ${error.message}`;
  if (!UNAUTHORIZED.test(error.output)) return Object.assign(error, { message: text });
  if (protocol !== 'ssh') {
    return new UnauthorizedError(
      `${text} (a token is taken from the secret GIT_AUTH_TOKEN: --secret id=GIT_AUTH_TOKEN)`,
      error,
    );
  }
  const hint = hasAgent ? 'the SSH agent has no key for it' : 'no SSH agent is forwarded: --ssh default';
  return new UnauthorizedError(`${text} (${hint})`, error);
}
