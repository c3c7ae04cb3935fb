/** Contexts as the query of `POST /build` names them: the main one in place of a body, and named ones. */
import { InvalidParameterError } from '../base/errors.ts';
import { parseDigest } from '../image/digest.ts';
import { jsonObject } from './query-values.ts';
import type { ContextSpec } from './solve-request.ts';
import { parseGitUrl } from './source/git-url.ts';

/** A folder that the client says it sees at `path`. */
export interface ContextFolder {
  path: string;
  device: bigint;
  inode: bigint;
  /** The ignore file's text, where it is not the folder's own (it lies beside a Dockerfile elsewhere). */
  dockerignore?: string;
}

/** A git repository, a tar or a Dockerfile elsewhere; else the body. */
export function remoteContext(remote: string): ContextSpec {
  if (remote === '') return { kind: 'tar' };
  if (remote === 'client-session') return { kind: 'session', name: 'context' };
  if (remote.startsWith('upload-request')) return { kind: 'upload', id: '' };
  if (parseGitUrl(remote) !== undefined) return { kind: 'git', url: remote };
  if (/^https?:\/\//.test(remote)) return { kind: 'http', url: remote };
  throw new InvalidParameterError(
    `invalid remote context "${remote}": expected the address of a git repository, a tar or a Dockerfile`,
  );
}

export function folderContext({ path, dockerignore }: ContextFolder): ContextSpec {
  return { kind: 'folder', path, ...(dockerignore === undefined ? {} : { dockerignore }) };
}

export function contextFolder(text: string): ContextFolder {
  return readFolder(jsonObject(text, 'contextfolder'), 'contextfolder');
}

function readFolder(value: Record<string, unknown>, name: string): ContextFolder {
  const { path, device, inode, dockerignore } = value;
  const digits = (value: unknown): value is string | number => /^\d{1,20}$/.test(String(value));
  if (typeof path !== 'string' || !path.startsWith('/') || !digits(device) || !digits(inode)) {
    throw new InvalidParameterError(`error reading ${name}: expected an absolute path, device and inode`);
  }
  const folder = { path, device: BigInt(device), inode: BigInt(inode) };
  return typeof dockerignore === 'string' ? { ...folder, dockerignore } : folder;
}

const NAMED_KINDS: Readonly<Record<string, readonly string[]>> = {
  session: ['name'],
  upload: ['id'],
  git: ['url'],
  http: ['url'],
  image: ['reference'],
  'oci-layout': ['store', 'digest'],
  stage: ['name'],
};

/** Folders of this machine come from a session, or are proved as the main context is. */
export function namedContexts(text: string): {
  contexts: Record<string, ContextSpec>;
  folders: ContextFolder[];
} {
  const contexts: Record<string, ContextSpec> = {};
  const folders: ContextFolder[] = [];
  for (const [name, value] of Object.entries(text === '' ? {} : jsonObject(text, 'buildcontexts'))) {
    const spec = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
    if (spec['kind'] === 'folder') {
      const folder = readFolder(spec, `buildcontexts, context "${name}"`);
      folders.push(folder);
      contexts[name] = folderContext(folder);
      continue;
    }
    const fields = NAMED_KINDS[String(spec['kind'])];
    if (fields === undefined || fields.some((field) => typeof spec[field] !== 'string')) {
      throw new InvalidParameterError(`error reading buildcontexts: invalid context "${name}"`);
    }
    const context = Object.fromEntries(
      ['kind', ...fields].map((field) => [field, spec[field]]),
    ) as ContextSpec;
    contexts[name] =
      context.kind === 'oci-layout' ? { ...context, digest: parseDigest(context.digest) } : context;
  }
  return { contexts, folders };
}
