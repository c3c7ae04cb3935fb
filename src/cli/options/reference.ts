/** Image names as people write them: what the client needs of the grammar; the daemon parses them in full. */
import { CliError } from '../cli-error.ts';

export interface ImageReference {
  /** `docker.io/library/ubuntu`. */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
  /** As messages show it: `ubuntu:latest`, `localhost:5000/a/b@sha256:…`. */
  readonly familiar: string;
  /** Neither tag nor digest was written: `latest` was filled in. */
  readonly defaulted: boolean;
}

const HUB = 'docker.io';
const COMPONENT = /^[a-z\d]+(?:(?:\.|_|__|-+)[a-z\d]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z\d]*(?:[-_+.][A-Za-z][A-Za-z\d]*)*:[\da-fA-F]{32,}$/;

/** Throws `invalid reference format` for a name that no registry can hold. */
export function parseReference(text: string): ImageReference {
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const name = hasTag ? named.slice(0, colon) : named;
  const written = hasTag ? named.slice(colon + 1) : undefined;
  const defaulted = written === undefined && digest === undefined;
  const tag = defaulted ? 'latest' : written;
  const { domain, path } = splitDomain(name);
  if (path.toLowerCase() !== path) {
    throw new CliError(`invalid reference format: repository name (${path}) must be lowercase`);
  }
  const valid =
    path.split('/').every((part) => COMPONENT.test(part)) &&
    (tag === undefined || TAG.test(tag)) &&
    (digest === undefined || DIGEST.test(digest)) &&
    path.length <= 255;
  if (!valid) throw new CliError('invalid reference format');
  const familiarName = domain === HUB ? path.replace(/^library\/(?=[^/]+$)/, '') : `${domain}/${path}`;
  const suffix = (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`);
  return { repository: `${domain}/${path}`, tag, digest, familiar: familiarName + suffix, defaulted };
}

/** A full image ID, which no registry knows. */
export function isImageId(text: string): boolean {
  return /^(sha256:)?[\da-f]{64}$/.test(text);
}

/** Throws as `parseReference` for text that is neither a name nor an image ID. */
export function checkImage(text: string): void {
  if (!isImageId(text)) parseReference(text);
}

/** The first part is a registry only if it looks like a host: a dot, a port, capitals, or `localhost`. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isDomain =
    slash > 0 && (/[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first);
  const domain = isDomain ? first : HUB;
  const rest = isDomain ? name.slice(slash + 1) : name;
  if (domain !== HUB && domain !== 'index.docker.io') return { domain, path: rest };
  return { domain: HUB, path: rest.includes('/') ? rest : `library/${rest}` };
}
