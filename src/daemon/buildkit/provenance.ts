/**
 * What is told of how a build came about, in the form of SLSA provenance 0.2 as BuildKit has it (slsa.dev/provenance/v0.2,
 * build type `https://mobyproject.org/buildkit@v1`): clients put it into `--metadata-file`. It is no attestation of an
 * image, says nothing that the order and its sources do not say, and leaves out what is unknown.
 */

import { buildPlatform } from '../../build/solve/platform-args.ts';
import type { BuildMaterial } from '../../build/solve/solved.ts';
import { formatPlatform } from '../../image/platform.ts';
import { familiarName, parseReference, type Reference } from '../../image/reference.ts';
import type { RecordedOrder } from './build-record.ts';

export const PROVENANCE_MEDIA_TYPE = 'application/vnd.in-toto+json';
export const PROVENANCE_ANNOTATIONS = { 'in-toto.io/predicate-type': 'https://slsa.dev/provenance/v0.2' };

const BUILD_TYPE = 'https://mobyproject.org/buildkit@v1';
/** What of an order says how it was built; values of secrets are never among it. */
const ARGUMENT = /^(?:build-arg:|label:|context:|target$|add-hosts$|force-network-mode$|no-cache$)/;
const ADDRESS = /^(?:https?|git|ssh):\/\/|^git@/;

/** The predicate, as bytes of JSON. */
export function provenanceOf(order: RecordedOrder, materials: readonly BuildMaterial[]): Uint8Array {
  const { frontend, frontendAttrs } = order;
  const context = frontendAttrs['context'] ?? '';
  const args = Object.entries(frontendAttrs)
    .filter(([name]) => ARGUMENT.test(name))
    .map(([name, value]) => [name, name.startsWith('context:') ? withoutPassword(value) : value]);
  const isRemote = ADDRESS.test(context);
  const predicate = {
    builder: { id: '' },
    buildType: BUILD_TYPE,
    ...(materials.length === 0 ? {} : { materials: materials.map(materialOf) }),
    invocation: {
      configSource: {
        ...(isRemote ? { uri: withoutPassword(context) } : {}),
        entryPoint: frontendAttrs['filename'] ?? 'Dockerfile',
      },
      parameters: {
        frontend,
        ...(args.length === 0 ? {} : { args: Object.fromEntries(args) as Record<string, string> }),
        ...(isRemote ? {} : { locals: [{ name: 'context' }, { name: 'dockerfile' }] }),
      },
      environment: { platform: formatPlatform(buildPlatform()) },
    },
  };
  return Buffer.from(JSON.stringify(predicate, undefined, 2));
}

/** Images by package URL, as BuildKit names them; a pin is `sha256:…` or a commit. */
function materialOf({ kind, name, pin, platform }: BuildMaterial) {
  const [algorithm = '', value] = pin.split(':');
  const digest = value === undefined ? { sha1: pin } : { [algorithm]: value };
  if (kind === 'http' || kind === 'git') return { uri: withoutPassword(name), digest };
  return { uri: packageUrl(name, platform), digest };
}

function packageUrl(name: string, platform: string | undefined): string {
  const reference = tryReference(name);
  // An image that has no name but its ID.
  if (reference === undefined) return `pkg:docker/${encodeURIComponent(name)}`;
  const path = familiarName(reference).split('/').map(encodeURIComponent).join('/');
  const tag = reference.tag ?? (reference.digest === undefined ? 'latest' : undefined);
  const version = tag === undefined ? '' : `@${encodeURIComponent(tag)}`;
  const qualifiers = [
    ...(reference.digest === undefined ? [] : [`digest=${reference.digest}`]),
    ...(platform === undefined ? [] : [`platform=${encodeURIComponent(platform)}`]),
  ];
  return `pkg:docker/${path}${version}${qualifiers.length === 0 ? '' : `?${qualifiers.join('&')}`}`;
}

function tryReference(name: string): Reference | undefined {
  try {
    return parseReference(name);
  } catch {
    return undefined;
  }
}

function withoutPassword(address: string): string {
  return address.replace(/^([a-z]+:\/\/)[^/@]*@/, '$1');
}
