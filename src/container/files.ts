/** The operations on the files of containers: out of them, into them, what has changed, an image of that. */
import type { Readable } from 'node:stream';
import type { ContainerPathStat, FilesystemChange } from '../api/containers.ts';
import { type CopyInOptions, copyIn, copyOut, statPath } from './archive/copy.ts';
import { containerChanges } from './changes.ts';
import { type CommitRequest, commitContainer } from './commit.ts';
import type { EngineContext } from './engine-context.ts';
import { exportContainer } from './export.ts';

/** Takes a tar piece by piece; resolves when it wants more. */
export type TarSinkFunction = (chunk: Buffer) => Promise<void>;

export class ContainerFiles {
  readonly #context: EngineContext;

  constructor(context: EngineContext) {
    this.#context = context;
  }

  stat(reference: string, path: string): Promise<ContainerPathStat> {
    return statPath(this.#context, this.#context.containers.get(reference), path, reference);
  }

  copyOut(
    reference: string,
    path: string,
    begin: (stat: ContainerPathStat) => TarSinkFunction,
    signal: AbortSignal,
  ): Promise<void> {
    const container = this.#context.containers.get(reference);
    return copyOut(this.#context, container, { path, reference, signal }, begin);
  }

  copyIn(reference: string, options: CopyInOptions, archive: Readable, signal: AbortSignal): Promise<void> {
    const container = this.#context.containers.get(reference);
    return copyIn(this.#context, container, { ...options, reference, archive, signal });
  }

  export(reference: string, begin: () => TarSinkFunction, signal: AbortSignal): Promise<void> {
    return exportContainer(this.#context, this.#context.containers.get(reference), begin, signal);
  }

  changes(reference: string): Promise<FilesystemChange[]> {
    return containerChanges(this.#context, this.#context.containers.get(reference));
  }

  /** Returns the image's ID. */
  async commit(reference: string, request: CommitRequest, signal: AbortSignal): Promise<string> {
    const container = this.#context.containers.get(reference);
    return (await commitContainer(this.#context, container, request, signal)).id;
  }
}
