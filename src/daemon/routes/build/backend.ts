/** What the build route needs of the engine. */
import type { Readable } from 'node:stream';
import type { BuildMessage } from '../../../api/build.ts';
import type { BuildRequest } from '../../../build/request.ts';

export interface BuildBackend {
  /** Resolves with the image's ID; rejects with what failed. */
  build(
    request: BuildRequest,
    context: Readable,
    onMessage: (message: BuildMessage) => void,
    signal: AbortSignal,
  ): Promise<string>;
}
