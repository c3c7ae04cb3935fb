/**
 * Image references: `[domain/]path[:tag][@digest]`, Docker's grammar and its familiar short forms. `ubuntu` means
 * `docker.io/library/ubuntu:latest`. Error texts are Docker's, because scripts match on them. What a reference
 * points to is the image store's business.
 */
import { InvalidParameterError } from '../base/errors.ts';
import { type Digest, parseDigest } from './digest.ts';

export interface Reference {
  /** Registry host, with port where one is given; `docker.io` for Docker Hub. */
  readonly domain: string;
  /** Repository inside the registry: `library/ubuntu`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

export const DEFAULT_DOMAIN = 'docker.io';
export const DEFAULT_TAG = 'latest';
const LEGACY_DEFAULT_DOMAIN = 'index.docker.io';
const OFFICIAL_PREFIX = 'library/';
const MAX_PATH_LENGTH = 255;
/** Longer than any valid reference; keeps hostile input away from the expressions below. */
const MAX_REFERENCE_LENGTH = 2048;

const DOMAIN_COMPONENT = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)';
const DOMAIN = new RegExp(
  `^(?:${DOMAIN_COMPONENT}(?:\\.${DOMAIN_COMPONENT})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`,
);
const PATH = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const IDENTIFIER = /^[a-f0-9]{64}$/;

const INVALID = 'invalid reference format';

/** Parses what a user typed into a full reference. No default tag is added: see `withDefaultTag`. */
export function parseReference(text: string): Reference {
  if (IDENTIFIER.test(text)) {
    throw new InvalidParameterError(
      `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`,
    );
  }
  if (text.length > MAX_REFERENCE_LENGTH) throw new InvalidParameterError(INVALID);
  const { domain, remainder } = splitDomain(text);
  const remote = remainder.split(':', 1)[0] ?? '';
  if (remote.toLowerCase() !== remote) {
    throw new InvalidParameterError(`${INVALID}: repository name (${remote}) must be lowercase`);
  }
  return parseParts(domain, remainder);
}

function parseParts(domain: string, remainder: string): Reference {
  const at = remainder.indexOf('@');
  const named = at === -1 ? remainder : remainder.slice(0, at);
  const colon = named.indexOf(':');
  const path = colon === -1 ? named : named.slice(0, colon);
  const tag = colon === -1 ? undefined : named.slice(colon + 1);
  if (!DOMAIN.test(domain)) throw new InvalidParameterError(INVALID);
  if (path.length > MAX_PATH_LENGTH && PATH.test(path)) {
    throw new InvalidParameterError(`repository name must not be more than ${MAX_PATH_LENGTH} characters`);
  }
  if (!PATH.test(path) || (tag !== undefined && !TAG.test(tag))) throw new InvalidParameterError(INVALID);
  const digest = at === -1 ? undefined : parseReferenceDigest(remainder.slice(at + 1));
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

function parseReferenceDigest(text: string): Digest {
  if (!DIGEST.test(text)) throw new InvalidParameterError(INVALID);
  const [algorithm, hex = ''] = text.split(':');
  if (algorithm !== 'sha256') throw new InvalidParameterError('unsupported digest algorithm');
  if (hex.length !== 64) throw new InvalidParameterError('invalid checksum digest length');
  if (hex.toLowerCase() !== hex) throw new InvalidParameterError('invalid checksum digest format');
  return parseDigest(text);
}

/**
 * The first component is a registry where it holds `.` or `:`, is `localhost`, or has upper case; everything else
 * lives on Docker Hub, below `library/` where it is a single component.
 */
function splitDomain(text: string): { domain: string; remainder: string } {
  const slash = text.indexOf('/');
  if (slash === -1) return { domain: DEFAULT_DOMAIN, remainder: OFFICIAL_PREFIX + text };
  const first = text.slice(0, slash);
  const rest = text.slice(slash + 1);
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first;
  let domain = isDomain ? first : DEFAULT_DOMAIN;
  if (domain === LEGACY_DEFAULT_DOMAIN) domain = DEFAULT_DOMAIN;
  const remainder = isDomain ? rest : text;
  const official = domain === DEFAULT_DOMAIN && !remainder.includes('/');
  return { domain, remainder: official ? OFFICIAL_PREFIX + remainder : remainder };
}

/** Adds `:latest` where there is neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return isNameOnly(reference) ? { ...reference, tag: DEFAULT_TAG } : reference;
}

export function isNameOnly(reference: Reference): boolean {
  return reference.tag === undefined && reference.digest === undefined;
}

/** `docker.io/library/ubuntu`: the repository's full name, which the stores use as a key. */
export function repositoryName(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/** `ubuntu`, `user/app`, `localhost:5000/app`: as Docker shows a repository. */
export function familiarName(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return repositoryName(reference);
  const { path } = reference;
  const short = path.startsWith(OFFICIAL_PREFIX) ? path.slice(OFFICIAL_PREFIX.length) : path;
  if (!short.includes('/')) return short;
  // Without Docker Hub's domain in front, a first part like `example.com` would be read as one.
  const { domain, remainder } = splitDomain(path);
  return domain === DEFAULT_DOMAIN && remainder === path ? path : repositoryName(reference);
}

/** The familiar name with its tag and digest. */
export function familiarString(reference: Reference): string {
  return familiarName(reference) + suffix(reference);
}

/** The full name with its tag and digest: `docker.io/library/ubuntu:latest`. */
export function canonicalString(reference: Reference): string {
  return repositoryName(reference) + suffix(reference);
}

function suffix({ tag, digest }: Reference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** The repository's name in familiar form, from its full name as `repositoryName` makes it. */
export function familiarFromRepository(name: string): string {
  const slash = name.indexOf('/');
  return familiarName({ domain: name.slice(0, slash), path: name.slice(slash + 1) });
}
