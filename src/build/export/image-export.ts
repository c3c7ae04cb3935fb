/**
 * Results into this machine's images, and from there to their registries. An image and its tags appear in one
 * transaction. Of several platforms each image is stored, with the index over all; the tags name the one that this
 * machine runs best, and a push of them brings the index with all of its images.
 */
import { InternalError, InvalidParameterError } from '../../base/errors.ts';
import { step, stepSync } from '../../base/steps.ts';
import { hostPlatform, platformRank } from '../../image/platform.ts';
import { canonicalString, familiarString, parseReference, withDefaultTag } from '../../image/reference.ts';
import type { RegistryAuth } from '../../image/registry/credentials.ts';
import type { AddImage, Image } from '../../image/store/image-store.ts';
import type { BuildIo, ExportOutcome } from '../builder.ts';
import { now, type ProgressVertex } from '../progress.ts';
import type { BuildParts } from '../solve/build-parts.ts';
import type { BuiltImage, SolvedBuild } from '../solve/solved.ts';
import { fetchRemote } from '../solve/step-sources.ts';
import type { OutputSpec } from '../solve-request.ts';
import type { DocumentDescriptor } from './image-documents.ts';
import { manifestedImages, needsManifests } from './manifested-images.ts';

type ImageOutput = Extract<OutputSpec, { type: 'image' }>;

export interface ImageExportOptions {
  parts: Pick<BuildParts, 'images' | 'pusher' | 'contentStore' | 'snapshotter' | 'sources'>;
  io: BuildIo;
  /** For a name's registry. */
  credentials: (name: string) => Promise<RegistryAuth | undefined>;
}

/** Throws InvalidParameter for a name that is none, before anything is stored. */
export async function exportImage(
  options: ImageExportOptions,
  solved: SolvedBuild,
  output: ImageOutput,
): Promise<ExportOutcome> {
  const { progress, signal } = options.io;
  const references = output.names.map((name) => withDefaultTag(parseReference(name)));
  const digested = references.find(({ digest }) => digest !== undefined);
  if (digested !== undefined) {
    throw new InvalidParameterError(
      `refusing to create a tag with a digest reference: ${familiarString(digested)}`,
    );
  }
  if (output.push && references.length === 0) {
    throw new InvalidParameterError('a name is required when pushing: give one with --tag');
  }
  const names = references.map(familiarString);
  const vertex = progress.vertex('exporting to image');
  const stored = await progress.during(vertex, async () => {
    await shown(vertex, 'exporting layers', () =>
      Promise.all(solved.images.map(({ layers }) => fetchRemote(layers, signal))),
    );
    const { main, top } = await store(options, solved.images, output, names, vertex);
    await shown(vertex, `writing image ${main.id}`, () => Promise.resolve());
    for (const reference of references) {
      await shown(vertex, `naming to ${canonicalString(reference)}`, () => Promise.resolve());
      options.parts.images.tell('tag', main.id, familiarString(reference), main);
    }
    return { main, top };
  });
  const { main, top } = stored;
  let digest: string = top?.digest ?? main.id;
  if (output.push)
    for (const name of names) {
      digest = (await step('build/push', name, () => push(options, name))) ?? digest;
    }
  return {
    imageId: main.id,
    metadata: {
      'containerimage.digest': digest,
      'containerimage.config.digest': main.id,
      ...(top === undefined ? {} : { 'containerimage.descriptor': base64Json(top) }),
      ...(references.length === 0 ? {} : { 'image.name': references.map(canonicalString).join(',') }),
    },
  };
}

/** `names` become the names of the image that this machine runs best. */
async function store(
  { parts, io }: ImageExportOptions,
  images: readonly BuiltImage[],
  { attributes }: ImageOutput,
  names: readonly string[],
  vertex: ProgressVertex,
): Promise<{ main: Image; top?: DocumentDescriptor }> {
  const best = images.indexOf(bestFor(images));
  const add = (inputs: readonly AddImage[]): Image => {
    // The named one last: its names stand for an index that is here whole.
    const order = [...inputs.keys()].sort((a, b) => Number(a === best) - Number(b === best));
    const added = order.map((i) =>
      stepSync('build/add-image', names[0], () =>
        parts.images.add({ ...requireInput(inputs[i]), references: i === best ? names : [] }),
      ),
    );
    const main = added.at(-1);
    if (main === undefined) throw new InternalError('the build has no image');
    return main;
  };
  if (!needsManifests(images, attributes)) {
    return { main: add(images.map(({ configBytes, layers }) => ({ configBytes, layers }))) };
  }
  const { contentStore, snapshotter, sources, images: imageStore } = parts;
  const deps = { contentStore, snapshotter, imageStore, work: sources.work };
  const made = await shown(vertex, 'exporting manifests', () =>
    manifestedImages(deps, images, attributes, io.signal),
  );
  try {
    return { main: add(made.images), top: made.top };
  } finally {
    await made.release();
  }
}

function requireInput(input: AddImage | undefined): AddImage {
  if (input === undefined) throw new InternalError('the build has no image');
  return input;
}

function base64Json(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64');
}

function bestFor(images: readonly BuiltImage[]): BuiltImage {
  const host = hostPlatform();
  const ranked = images
    .map((image) => ({ image, rank: platformRank(host, image.platform) ?? Number.POSITIVE_INFINITY }))
    .sort((a, b) => a.rank - b.rank);
  const [first] = ranked;
  if (first === undefined) throw new InternalError('the build has no image to export');
  return first.image;
}

/** Returns the digest by which the registry has it. */
async function push(options: ImageExportOptions, name: string): Promise<string | undefined> {
  const { progress, signal } = options.io;
  const vertex = progress.vertex(`pushing ${name}`);
  let digest: string | undefined;
  await progress.during(vertex, async () => {
    const auth = await options.credentials(name);
    const started = now();
    await options.parts.pusher.push({
      reference: name,
      ...(auth === undefined ? {} : { auth }),
      onProgress: (message) => {
        if ('aux' in message && 'Digest' in message.aux) digest = message.aux.Digest;
        if (!('status' in message) || message.id === undefined) return;
        const { current = 0, total = 0 } = message.progressDetail ?? {};
        vertex.amount(`${message.id} ${message.status}`, current, total, total === 0, started);
      },
      signal,
    });
  });
  return digest;
}

async function shown<T>(vertex: ProgressVertex, id: string, body: () => Promise<T>): Promise<T> {
  const started = now();
  vertex.amount(id, 0, 0, false, started);
  const result = await body();
  vertex.amount(id, 0, 0, true, started);
  return result;
}
