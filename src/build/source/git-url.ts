/**
 * Addresses of git repositories as Docker and BuildKit read them: `https://host/repo.git`, `git://…`, `ssh://…`,
 * `git@host:path`, `github.com/owner/repo`, with `#ref:folder` behind or with a query: `?ref=`, `branch=`, `tag=`,
 * `subdir=`, `checksum=` or `commit=`, `keep-git-dir=`, `submodules=`, `mtime=`, `fetch-by-commit=`.
 */
import { posix } from 'node:path';
import { InvalidParameterError } from '../../base/errors.ts';

export interface GitAddress {
  /** What git is given; without user and password where that is http. */
  remote: string;
  protocol: 'http' | 'https' | 'git' | 'ssh';
  host: string;
  /** `user:password` of an http address, decoded; empty for none. */
  credentials: string;
  /** Branch, tag, `refs/…` or commit; empty for the default branch. */
  ref: string;
  /** Relative, cleaned; empty for the repository's root. */
  subdir: string;
  /** A commit, or how it begins; empty for any. */
  checksum: string;
  keepGitDir?: boolean;
  submodules?: boolean;
  /** The checksum is the commit to fetch, whatever the ref is by now. */
  fetchByCommit: boolean;
  /** `github.com/…`: could be a folder as well; contexts alone are read that way. */
  couldBePath: boolean;
}

const SCP_STYLE = /^([a-zA-Z0-9\-_]+)@([a-zA-Z0-9\-.]+):(.*?)(?:\?(.*?))?(?:#(.*))?$/s;
const SCHEME = /^([a-zA-Z0-9]+):\/\//;
const PROTOCOLS = ['http', 'https', 'git', 'ssh'] as const;
const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** What no ref and no address has, and what a terminal or a shell would stumble over. */
const CONTROL = /[\u0000-\u0020\u007f]/;

export function isCommit(ref: string): boolean {
  return COMMIT.test(ref);
}

/**
 * Undefined for what is no address of a repository (http addresses are where their path ends in `.git`). Throws InvalidParameter for
 * one whose query, ref or host is none.
 */
export function parseGitUrl(text: string): GitAddress | undefined {
  if (text.startsWith('./') || text.startsWith('../')) return undefined;
  const couldBePath = text.startsWith('github.com/');
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  const scp = scheme === undefined && !couldBePath ? SCP_STYLE.exec(text) : null;
  if (scp !== null) {
    const [, user = '', host = '', path = '', query = '', fragment = ''] = scp;
    const base = { remote: `${user}@${host}:${path}`, protocol: 'ssh', host, credentials: '' } as const;
    return judged({ ...base, ...fragmentOf(fragment), couldBePath }, new URLSearchParams(query), text);
  }
  const url = URL.parse(couldBePath ? `https://${text}` : text);
  const protocol = PROTOCOLS.find((name) => name === scheme) ?? (couldBePath ? 'https' : undefined);
  if (url === null || protocol === undefined) return undefined;
  const isHttp = protocol === 'http' || protocol === 'https';
  if (isHttp && !couldBePath && !url.pathname.endsWith('.git')) return undefined;
  const credentials = isHttp ? credentialsOf(url) : '';
  const { searchParams } = url;
  const query = new URLSearchParams(searchParams);
  const fragment = decoded(url.hash.slice(1));
  url.search = '';
  url.hash = '';
  const base = { remote: url.href, protocol, host: url.host, credentials };
  return judged({ ...base, ...fragmentOf(fragment), couldBePath }, query, text);
}

function credentialsOf(url: URL): string {
  if (url.username === '' && url.password === '') return '';
  const words = `${decoded(url.username)}:${decoded(url.password)}`;
  url.username = '';
  url.password = '';
  return words;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Percent signs that encode nothing stand for themselves.
    return text;
  }
}

function fragmentOf(fragment: string): { ref: string; subdir: string } {
  const colon = fragment.indexOf(':');
  if (colon < 0) return { ref: fragment, subdir: '' };
  return { ref: fragment.slice(0, colon), subdir: cleanSubdir(fragment.slice(colon + 1)) };
}

function cleanSubdir(subdir: string): string {
  return posix.normalize(`/${subdir}`).replace(/^\/+|\/+$/g, '');
}

type Basis = Pick<
  GitAddress,
  'remote' | 'protocol' | 'host' | 'credentials' | 'ref' | 'subdir' | 'couldBePath'
>;

function judged(basis: Basis, query: URLSearchParams, text: string): GitAddress {
  const address: GitAddress = { ...basis, checksum: '', fetchByCommit: false };
  const refuse = (what: string): never => {
    throw new InvalidParameterError(
      `invalid git address ${JSON.stringify(withoutCredentials(text))}: ${what}`,
    );
  };
  const setRef = (ref: string): void => {
    if (address.ref !== '' && address.ref !== ref) refuse(`ref conflicts: "${address.ref}" vs "${ref}"`);
    address.ref = ref;
  };
  const flag = (name: string, value: string): boolean => {
    if (value === '' || /^(?:1|t|true)$/i.test(value)) return true;
    if (!/^(?:0|f|false)$/i.test(value)) refuse(`invalid ${name} value: "${value}"`);
    return false;
  };
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    const [value = ''] = values;
    if (values.length > 1) refuse(`query "${name}" has multiple values`);
    const isFlag = ['submodules', 'keep-git-dir', 'fetch-by-commit'].includes(name);
    if (value === '' && !isFlag) refuse(`query "${name}" has no value`);
    if (name === 'ref') setRef(value);
    else if (name === 'subdir') {
      const subdir = cleanSubdir(value);
      if (address.subdir !== '' && address.subdir !== subdir) {
        refuse(`subdir conflicts: "${address.subdir}" vs "${subdir}"`);
      }
      address.subdir = subdir;
    } else if (name === 'checksum' || name === 'commit') address.checksum = value.toLowerCase();
    else if (name === 'keep-git-dir') address.keepGitDir = flag(name, value);
    else if (name === 'submodules') address.submodules = flag(name, value);
    else if (name === 'fetch-by-commit') address.fetchByCommit = flag(name, value);
    else if (name === 'mtime') {
      // Times of checkouts are the build's own here, whatever they are.
      if (value !== 'checkout' && value !== 'commit') {
        refuse(`invalid mtime value: "${value}" (must be "checkout" or "commit")`);
      }
    } else if (name !== 'tag' && name !== 'branch') refuse(`unexpected query "${name}"`);
  }
  const tag = query.get('tag');
  const branch = query.get('branch');
  if (tag !== null && branch !== null) refuse('branch conflicts with tag');
  if (tag !== null) setRef(tag.startsWith('refs/tags/') ? tag : `refs/tags/${tag}`);
  if (branch !== null) setRef(branch.startsWith('refs/heads/') ? branch : `refs/heads/${branch}`);
  if (address.ref.startsWith('-') || CONTROL.test(address.ref)) refuse(`invalid git ref "${address.ref}"`);
  if (address.host === '' || address.host.startsWith('-')) refuse('it has no host');
  if (CONTROL.test(address.remote)) refuse('it has blanks or control characters');
  if (address.checksum !== '' && !/^[0-9a-f]{1,64}$/.test(address.checksum)) {
    refuse(`invalid checksum ${address.checksum}, expected hex commit hash`);
  }
  return address;
}

/** The address as it may be shown and stored. */
export function withoutCredentials(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#@]*:[^/?#]*@/i, '$1xxxxx:xxxxx@');
}
