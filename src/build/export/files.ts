/**
 * Results of a build as files, which the client's session takes: the files of the image into a folder or as a tar, or
 * the image as an archive. What is written on the way lies in the builds' own folders, and is gone at the end.
 */
import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { InvalidParameterError } from '../../base/errors.ts';
import type { ArchiveFile } from '../../image/archive/archive-files.ts';
import { archiveBytes } from '../../image/archive/archive-writer.ts';
import type { LayerTarDeps } from '../../image/store/layer-tar.ts';
import type { FileExport } from '../builder.ts';
import { now, type ProgressVertex } from '../progress.ts';
import type { BuildSession } from '../session.ts';
import type { BuiltImage, SolvedBuild } from '../solve/solved.ts';
import { fetchRemote } from '../solve/step-sources.ts';
import type { OutputSpec } from '../solve-request.ts';
import { imageArchive } from './files-archive.ts';
import { type FilesRootOptions, folderTar, withFiles } from './files-root.ts';
import type { DocumentImage } from './image-documents.ts';
import { exportBlob, readBlobChoice } from './layer-blobs.ts';

export interface FileExportOptions extends FilesRootOptions, LayerTarDeps {
  snapshotter: LayerTarDeps['snapshotter'] & FilesRootOptions['snapshotter'];
}

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
    if (output.type === 'local' || output.type === 'tar') await sendFiles(job);
    else await sendArchive(job);
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
    await step(job, 'sending tarball', () => session.sendFile(exporter, folderTar(folder, signal), signal));
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

async function sendArchive(job: Job): Promise<void> {
  const { options, solved, output, session, exporter, signal } = job;
  const choice = readBlobChoice(output.attributes);
  const { type, names, attributes } = output;
  if (type !== 'oci' && type !== 'docker') return;
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
    const files = imageArchive(images, { type, names, attributes, epochSeconds: solved.epochSeconds });
    if (attributes['tar'] === 'false') {
      const layout = join(folder.path, 'layout');
      await writeFolder(layout, files, signal);
      await step(job, 'copying files', () => session.sendFolder(exporter, layout, signal));
    } else {
      await step(job, 'sending tarball', () => session.sendFile(exporter, archiveBytes(files), signal));
    }
  } finally {
    await folder.release();
  }
}

async function writeFolder(
  folder: string,
  files: readonly ArchiveFile[],
  signal: AbortSignal,
): Promise<void> {
  for (const { name, content } of files) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    const source = Readable.from(Buffer.isBuffer(content) ? [content] : content());
    await pipeline(source, createWriteStream(path, { flags: 'wx', mode: 0o644 }), { signal });
  }
}

/** Shows a part of the export. */
async function step(job: Job, name: string, body: () => Promise<void>): Promise<void> {
  const started = now();
  job.vertex.amount(name, 0, 0, false, started);
  await body();
  job.vertex.amount(name, 0, 0, true, started);
}
