/**
 * OCI layouts on this machine as named contexts (`oci-layout://FOLDER[:TAG][@DIGEST]`): which image is meant is looked up
 * here (image-spec, image-layout.md), its blobs are served to the daemon when it asks for them.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode, errorMessage } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';

const INDEX_MAX_BYTES = 16 << 20;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const NAMES = ['org.opencontainers.image.ref.name', 'io.containerd.image.name'];

export interface LayoutAddress {
  readonly path: string;
  /** Empty for none. */
  readonly tag: string;
  readonly digest: string;
}

/** What follows `oci-layout://`. Throws Error for a digest that is none. */
export function parseLayout(text: string): LayoutAddress {
  const [, path = '', tag = '', digest = ''] = /^(.*?)(?::([^/:@]+))?(?:@([^@/]*))?$/s.exec(text) ?? [];
  if (path === '') throw new Error('an OCI layout needs a folder: oci-layout://FOLDER[:TAG][@DIGEST]');
  if (digest !== '' && !DIGEST.test(digest)) throw new Error(`invalid digest "${digest}" of an OCI layout`);
  return { path, tag, digest };
}

/** The digest that the address stands for in the layout at `folder`. Throws CliError where there is none. */
export function layoutDigest(folder: string, { tag, digest }: LayoutAddress): string {
  if (digest !== '') return digest;
  const entries = readIndex(folder);
  const wanted = tag === '' ? 'latest' : tag;
  const named = entries.filter(({ names }) =>
    names.some((name) => name === wanted || name.endsWith(`:${wanted}`)),
  );
  const [found] = named.length > 0 || tag !== '' || entries.length > 1 ? named : entries;
  if (found !== undefined) return found.digest;
  const there = entries.flatMap(({ names }) => names);
  throw new CliError(
    `no image "${wanted}" in the OCI layout ${folder}: ${there.length === 0 ? 'its images have no names' : `it has ${[...new Set(there)].join(', ')}`}`,
  );
}

function readIndex(folder: string): { digest: string; names: string[] }[] {
  const path = join(folder, 'index.json');
  try {
    const { size } = statSync(path);
    if (size > INDEX_MAX_BYTES) throw new Error(`it has more than ${INDEX_MAX_BYTES} bytes`);
    const { manifests } = JSON.parse(readFileSync(path, 'utf8')) as { manifests?: unknown };
    if (!Array.isArray(manifests)) throw new Error('it has no list of manifests');
    return manifests.flatMap((entry: { digest?: unknown; annotations?: Record<string, unknown> } | null) => {
      const { digest, annotations } = entry ?? {};
      if (typeof digest !== 'string' || !DIGEST.test(digest)) return [];
      const names = NAMES.map((name) => annotations?.[name]).filter((name) => typeof name === 'string');
      return [{ digest, names }];
    });
  } catch (error) {
    const reason = errnoCode(error) === 'ENOENT' ? 'no such file or directory' : errorMessage(error);
    throw new CliError(`cannot read the OCI layout ${folder}: ${path}: ${reason}`);
  }
}
