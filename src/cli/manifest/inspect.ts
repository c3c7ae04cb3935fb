/** `mydock manifest inspect`: what a registry has under a name, in the forms of `docker manifest inspect`. */
import type { DistributionManifests, RemoteManifestBody } from '../../api/distribution.ts';
import type { OCIDescriptor, OCIPlatform } from '../../api/images.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { isNotFound } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag } from '../flags/declare.ts';
import { goEscape, indentJson } from '../format/json-indent.ts';
import { type Io, printLine } from '../io.ts';
import { type ImageReference, parseReference } from '../options/reference.ts';
import { registryHeaders } from '../registry/registry-auth.ts';
import { defineVerb } from '../verb.ts';

export interface ManifestInspectOptions {
  insecure: boolean;
  verbose: boolean;
}

export const inspect = defineVerb<ManifestInspectOptions>({
  usage: '[OPTIONS] MANIFEST',
  summary: 'Show the manifest or manifest list of an image in a registry',
  args: { min: 1, max: 2 },
  flags(command) {
    boolFlag(command, '--insecure', 'Allow plain HTTP and unknown certificates');
    boolFlag(command, '-v, --verbose', 'Show descriptors, platforms and layers as well');
  },
  run: ({ client, io }, words, options) => runManifestInspect(client, io, words, options),
});

export async function runManifestInspect(
  client: Client,
  io: Io,
  words: readonly string[],
  options: ManifestInspectOptions,
): Promise<number> {
  const [name = '', second] = words;
  if (second !== undefined)
    throw new CliError('manifest inspect: local manifest lists are not implemented by mydock');
  const reference = parseReference(name);
  const found = await fetchManifests(client, io, reference, options);
  if (options.verbose) printLine(io, verboseText(reference, found));
  else if (isList(found.Descriptor)) printLine(io, listText(found));
  else printLine(io, indentJson(manifestText(found), '\t'));
  return 0;
}

async function fetchManifests(
  client: Client,
  io: Io,
  { repository, tag, digest, familiar }: ImageReference,
  { insecure, verbose }: ManifestInspectOptions,
): Promise<DistributionManifests> {
  const full = `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
  try {
    return await client.json<DistributionManifests>('GET', `/distribution/${pathSegment(full)}/manifests`, {
      query: { insecure: insecure || undefined, details: verbose || undefined },
      headers: await registryHeaders(client, repository, io),
    });
  } catch (error) {
    if (isNotFound(error)) throw new CliError(`no such manifest: ${familiar}`);
    throw error;
  }
}

function isList({ mediaType }: OCIDescriptor): boolean {
  return mediaType.includes('manifest.list') || mediaType.includes('image.index');
}

/** The manifest as the registry has it. */
function manifestText({ Raw, Descriptor }: RemoteManifestBody): string {
  const text = Buffer.from(Raw, 'base64').toString();
  try {
    JSON.parse(text);
  } catch (error) {
    throw new CliError(`manifest ${Descriptor.digest} is not JSON: ${(error as Error).message}`);
  }
  return text;
}

/** Docker writes lists anew, with these fields in this order. */
function listText(found: DistributionManifests): string {
  const { manifests = [] } = JSON.parse(manifestText(found)) as { manifests?: OCIDescriptor[] };
  const list = {
    schemaVersion: 2,
    mediaType: found.Descriptor.mediaType,
    manifests: manifests.map(({ mediaType, size, digest, platform }) => ({
      mediaType,
      size,
      digest,
      platform: platformFields(platform),
    })),
  };
  return goEscape(JSON.stringify(list, null, 3));
}

function platformFields(platform: OCIPlatform | undefined): OCIPlatform {
  const { architecture = '', os = '', variant } = platform ?? {};
  const version = platform?.['os.version'];
  const features = platform?.['os.features'];
  return {
    architecture,
    os,
    ...(version ? { 'os.version': version } : {}),
    ...(features?.length ? { 'os.features': features } : {}),
    ...(variant ? { variant } : {}),
  };
}

function verboseText({ repository, tag, digest }: ImageReference, found: DistributionManifests): string {
  const name = `${repository}${tag === undefined ? '' : `:${tag}`}`;
  const entry = (manifest: RemoteManifestBody, ref: string): string => {
    const { Descriptor, Raw } = manifest;
    const head = goEscape(JSON.stringify({ Ref: ref, Descriptor, Raw })).slice(0, -1);
    const field = Descriptor.mediaType.startsWith('application/vnd.oci.')
      ? 'OCIManifest'
      : 'SchemaV2Manifest';
    return `${head},"${field}":${goEscape(manifestText(manifest))}}`;
  };
  const text =
    found.Manifests === null
      ? entry(found, digest === undefined ? name : `${name}@${digest}`)
      : `[${found.Manifests.map((one) => entry(one, `${name}@${one.Descriptor.digest}`)).join(',')}]`;
  return indentJson(text, '\t');
}
