/**
 * Results into this machine's images, and from there to their registries. An image and its tags appear in one
 * transaction. Of several platforms each image is stored; the tags name the one that this machine runs best.
 */
import { InternalError, InvalidParameterError, NotImplementedError } from '../../base/errors.ts';
import { hostPlatform, platformRank } from '../../image/platform.ts';
import { canonicalString, familiarString, parseReference, withDefaultTag } from '../../image/reference.ts';
import type { RegistryAuth } from '../../image/registry/credentials.ts';
import type { Image } from '../../image/store/image-store.ts';
import type { BuildIo, ExportOutcome } from '../builder.ts';
import { now, type ProgressVertex } from '../progress.ts';
import type { BuildParts } from '../solve/build-parts.ts';
import type { BuiltImage, SolvedBuild } from '../solve/solved.ts';
import { fetchRemote } from '../solve/step-sources.ts';
import type { OutputSpec } from '../solve-request.ts';

type ImageOutput = Extract<OutputSpec, { type: 'image' }>;

export interface ImageExportOptions {
  parts: Pick<BuildParts, 'images' | 'pusher'>;
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
  if (output.push && solved.images.length > 1) {
    throw new NotImplementedError('not implemented: pushing one name for several platforms');
  }
  if (output.push && references.length === 0) {
    throw new InvalidParameterError('a name is required when pushing: give one with --tag');
  }
  const names = references.map(familiarString);
  const vertex = progress.vertex('exporting to image');
  const stored = await progress.during(vertex, async () => {
    await step(vertex, 'exporting layers', () =>
      Promise.all(solved.images.map(({ layers }) => fetchRemote(layers, signal))),
    );
    const best = bestFor(solved.images);
    const images = solved.images.map((image) => store(options, image, image === best ? names : []));
    const main = images[solved.images.indexOf(best)];
    if (main === undefined) throw new InternalError('the build has no image');
    await step(vertex, `writing image ${main.id}`, () => Promise.resolve());
    for (const reference of references) {
      await step(vertex, `naming to ${canonicalString(reference)}`, () => Promise.resolve());
      options.parts.images.tell('tag', main.id, familiarString(reference), main);
    }
    return main;
  });
  if (output.push) for (const name of names) await push(options, name);
  return {
    imageId: stored.id,
    metadata: {
      'containerimage.digest': stored.id,
      'containerimage.config.digest': stored.id,
      ...(references.length === 0 ? {} : { 'image.name': references.map(canonicalString).join(',') }),
    },
  };
}

function store({ parts }: ImageExportOptions, image: BuiltImage, references: readonly string[]): Image {
  return parts.images.add({ configBytes: image.configBytes, layers: image.layers, references });
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

async function push(options: ImageExportOptions, name: string): Promise<void> {
  const { progress, signal } = options.io;
  const vertex = progress.vertex(`pushing ${name}`);
  await progress.during(vertex, async () => {
    const auth = await options.credentials(name);
    const started = now();
    await options.parts.pusher.push({
      reference: name,
      ...(auth === undefined ? {} : { auth }),
      onProgress: (message) => {
        if (!('status' in message) || message.id === undefined) return;
        const { current = 0, total = 0 } = message.progressDetail ?? {};
        vertex.amount(`${message.id} ${message.status}`, current, total, total === 0, started);
      },
      signal,
    });
  });
}

async function step<T>(vertex: ProgressVertex, id: string, body: () => Promise<T>): Promise<T> {
  const started = now();
  vertex.amount(id, 0, 0, false, started);
  const result = await body();
  vertex.amount(id, 0, 0, true, started);
  return result;
}
