/**
 * Results of a build as files, which the client's session takes: the files of the image into a folder or as a tar, or
 * the image as an archive or as blobs of a layout. What is written on the way lies in the builds' own folders, and is gone at the end.
 */
import { Readable } from 'node:stream';
import { InvalidParameterError } from '../../base/errors.ts';
import type { ArchiveFile } from '../../image/archive/archive-files.ts';
import { digestOfBlobPath } from '../../image/archive/archive-layout.ts';
import { archiveBytes } from '../../image/archive/archive-writer.ts';
import { digestOf, parseDigest } from '../../image/digest.ts';
import { canonicalString, parseReference, withDefaultTag } from '../../image/reference.ts';
import type { LayerTarDeps } from '../../image/store/layer-tar.ts';
import type { FileExport } from '../builder.ts';
import { now, type ProgressVertex } from '../progress.ts';
import type { BuildSession, ClientStore } from '../session.ts';
import type { BuiltImage, SolvedBuild } from '../solve/solved.ts';
import { fetchRemote } from '../solve/step-sources.ts';
import type { OutputSpec } from '../solve-request.ts';
import { imageArchive } from './files-archive.ts';
import { type FilesRootOptions, folderTar, withFiles } from './files-root.ts';
import type { DocumentDescriptor, DocumentImage } from './image-documents.ts';
import { exportBlob, readBlobChoice } from './layer-blobs.ts';

export interface FileExportOptions extends FilesRootOptions, LayerTarDeps {
  snapshotter: LayerTarDeps['snapshotter'] & FilesRootOptions['snapshotter'];
}

/** What BuildKit's clients call the store for an output with `tar=false`. */
const OUTPUT_STORE = 'export';

type FilesOutput = Extract<OutputSpec, { type: 'local' | 'tar' | 'oci' | 'docker' }>;

interface Job {
  options: FileExportOptions;
  solved: SolvedBuild;
  output: FilesOutput;
  session: BuildSession;
  exporter: number;
  signal: AbortSignal;
  vertex: ProgressVertex;
}

/** Throws InvalidParameter where the client takes no files, and for attributes that mean nothing. */
export function fileExport(options: FileExportOptions): FileExport {
  return async (solved, output, { session, signal, exporter }, vertex) => {
    if (session === undefined) {
      throw new InvalidParameterError(
        `the output type ${output.type} goes to the client, which has no session to take files`,
      );
    }
    await Promise.all(solved.images.map(({ layers }) => fetchRemote(layers, signal)));
    const job = { options, solved, output, session, exporter, signal, vertex };
    if (output.type === 'oci' || output.type === 'docker') return await sendArchive(job, output.type);
    await sendFiles(job);
    return {};
  };
}

async function sendFiles(job: Job): Promise<void> {
  const { options, solved, output, session, exporter, signal } = job;
  const split = platformSplit(output.attributes, solved.images);
  await withFiles(options, solved.images, split, async (folder) => {
    if (output.type === 'local') {
      await step(job, 'copying files', () => session.sendFolder(exporter, folder, signal));
      return;
    }
    await step(job, 'sending tarball', async () => {
      const tar = folderTar(folder, signal);
      try {
        await session.sendFile(exporter, tar, signal);
      } finally {
        // Its thread would wait for ever for a client that has not read all of it.
        tar.destroy();
      }
    });
  });
}

/** A folder for each platform, by default where there are several; they cannot be put into one. */
function platformSplit(attributes: FilesOutput['attributes'], images: readonly BuiltImage[]): boolean {
  const asked = attributes['platform-split'];
  if (asked === undefined || asked === '') return images.length > 1;
  if (!/^(?:true|false|0|1)$/.test(asked)) {
    throw new InvalidParameterError(`non-bool value for platform-split: ${asked}`);
  }
  const split = asked === 'true' || asked === '1';
  if (!split && images.length > 1) {
    throw new InvalidParameterError(
      'platform-split=false: the files of several platforms cannot share one folder',
    );
  }
  return split;
}

async function sendArchive(job: Job, type: 'oci' | 'docker'): Promise<Record<string, string>> {
  const { options, solved, output, session, exporter, signal } = job;
  const choice = readBlobChoice(output.attributes);
  const { names, attributes } = output;
  const folder = options.work.create();
  try {
    const images: DocumentImage[] = [];
    await step(job, 'exporting layers', async () => {
      for (const image of solved.images) {
        const layers = [];
        for (const layer of image.layers) {
          layers.push(await exportBlob(options, layer, choice, folder.path, signal));
        }
        images.push({ image, layers });
      }
    });
    const archive = { type, names, attributes, epochSeconds: solved.epochSeconds };
    const { files, top } = imageArchive(images, archive);
    if (attributes['tar'] === 'false') {
      await step(job, 'copying files', () => storeBlobs(session.store(OUTPUT_STORE), files, signal));
    } else {
      await step(job, 'sending tarball', () => session.sendFile(exporter, archiveBytes(files), signal));
    }
    return toldOf(solved.images, names, top);
  } finally {
    await folder.release();
  }
}

/** The client, which has told its name, writes the index over the blobs itself. */
async function storeBlobs(
  store: ClientStore,
  files: readonly ArchiveFile[],
  signal: AbortSignal,
): Promise<void> {
  for (const { name, sizeBytes, content } of files) {
    const path = digestOfBlobPath(name);
    if (path === undefined) continue;
    const digest = parseDigest(path);
    if ((await store.size(digest, signal)) === sizeBytes) continue;
    const source = Readable.from(Buffer.isBuffer(content) ? [content] : content());
    await store.write({ digest, sizeBytes }, source, signal);
  }
}

function toldOf(
  images: readonly BuiltImage[],
  names: readonly string[],
  top: DocumentDescriptor,
): Record<string, string> {
  const [only, ...others] = images;
  return {
    'containerimage.digest': top.digest,
    'containerimage.descriptor': Buffer.from(JSON.stringify(top)).toString('base64'),
    ...(only === undefined || others.length > 0
      ? {}
      : { 'containerimage.config.digest': digestOf(only.configBytes) }),
    ...(names.length === 0
      ? {}
      : {
          'image.name': names.map((name) => canonicalString(withDefaultTag(parseReference(name)))).join(','),
        }),
  };
}

/** Shows a part of the export. */
async function step(job: Job, name: string, body: () => Promise<void>): Promise<void> {
  const started = now();
  job.vertex.amount(name, 0, 0, false, started);
  await body();
  job.vertex.amount(name, 0, 0, true, started);
}
