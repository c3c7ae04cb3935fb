/**
 * What a source stands for now, without building anything: the image behind a name, the commit behind a ref, the digest of
 * what an address has. It is found as a build would find it, so that a build that follows finds it here.
 */
import { InternalError } from '../../base/errors.ts';
import type { Platform } from '../../image/platform.ts';
import type { SolveRequest } from '../solve-request.ts';
import type { SourceIo } from '../source/build-sources.ts';
import { BaseImages, type BaseImagesOptions } from './base-images.ts';
import type { BuildParts } from './build-parts.ts';

export type SourceQuestion =
  /** `platform` undefined: what this machine has, else what fits it. `pull`: whatever is here, ask the registry. */
  | { kind: 'image'; reference: string; platform: Platform | undefined; pull: boolean }
  | { kind: 'git' | 'http'; url: string };

export interface SourceAnswer {
  /** `sha256:…` of an image or a file, or a commit. */
  pin: string;
  /** Of an image. */
  configBytes?: Buffer;
  /** Of a file. */
  name?: string;
  /** Seconds since 1970 of a commit, or of a file whose server says it. */
  epochSeconds?: number;
}

export interface ResolveIo
  extends Pick<BaseImagesOptions, 'session' | 'progress' | 'signal'>,
    Pick<SolveRequest, 'requireImage'> {
  /** As SourceIo has it. */
  cacheNamespace?: string | undefined;
}

/** Throws what a build would. */
export async function resolveSource(
  parts: Pick<BuildParts, 'images' | 'puller' | 'snapshotter' | 'sources'>,
  question: SourceQuestion,
  io: ResolveIo,
): Promise<SourceAnswer> {
  if (question.kind === 'image') return await resolveImage(parts, question, io);
  const { signal, session, cacheNamespace } = io;
  const sourceIo: SourceIo = { signal, session, cacheNamespace };
  if (question.kind === 'http') {
    const { tree, digest, name, epochSeconds } = await parts.sources.fetchFile(question.url, {}, sourceIo);
    await tree.release();
    return { pin: digest, name, ...(epochSeconds === undefined ? {} : { epochSeconds }) };
  }
  const { tree, material, epochSeconds } = await parts.sources.fetchGit(question.url, {}, sourceIo);
  await tree.release();
  if (material === undefined) throw new InternalError(`no commit of ${question.url} is known`);
  return { pin: material.pin, ...(epochSeconds === undefined ? {} : { epochSeconds }) };
}

async function resolveImage(
  parts: Pick<BuildParts, 'images' | 'puller' | 'snapshotter'>,
  { reference, platform, pull }: Extract<SourceQuestion, { kind: 'image' }>,
  { session, progress, signal, requireImage }: ResolveIo,
): Promise<SourceAnswer> {
  const request = { pull, auth: {}, ...(requireImage === undefined ? {} : { requireImage }) };
  const images = new BaseImages({
    parts,
    request,
    session,
    progress,
    signal,
    lock: { pin: () => undefined },
  });
  try {
    const image = await images.get(reference, platform);
    return { pin: images.materials[0]?.pin ?? image.id, configBytes: image.configBytes };
  } finally {
    await images.release();
  }
}
