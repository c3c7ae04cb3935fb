/**
 * `POST /build/debug/{id}`: a terminal in the kept state of a failed step, over a connection that is taken out of HTTP as
 * exec's are; `…/resize` follows the client's window, `DELETE` lets the state go. Ours alone; Docker has nothing like it.
 */
import type { Socket } from 'node:net';
import { ConflictError, errorMessage, InvalidParameterError } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import type { FailedStepShells, TerminalSize } from '../../../build/builder.ts';
import type { ApiRequest } from '../../request.ts';
import type { Handler } from '../../router.ts';
import type { BuildBackend } from './backend.ts';

/** Output that a client does not read ends its shell. */
const UNREAD_MAX_BYTES = 16 * 1024 * 1024;

export function debugHandlers(backend: BuildBackend): Record<'open' | 'resize' | 'release', Handler> {
  const terminals = new Map<string, (size: TerminalSize) => void>();
  const shells = (): FailedStepShells => {
    const { failedSteps } = backend;
    if (failedSteps === undefined)
      throw new InvalidParameterError('failed steps are not kept for clients of this socket');
    return failedSteps;
  };
  return {
    open: async (request, response) => {
      const id = request.param('id');
      const failed = shells();
      failed.require(id);
      const size = sizeOf(request);
      const connection = await response.switchProtocol(request, 'tcp');
      try {
        await openShell(failed, id, connection, size, (resize) => terminals.set(id, resize));
      } catch (error) {
        log.debug({ step: id, error: errorMessage(error) }, 'shell in a failed step');
        if (!connection.destroyed) connection.write(`\r\n${errorMessage(error)}\r\n`);
      } finally {
        terminals.delete(id);
        connection.destroySoon();
      }
    },

    resize: (request, response) => {
      const resize = terminals.get(request.param('id'));
      const size = sizeOf(request);
      if (size === undefined) throw new InvalidParameterError('invalid resize: expected h and w');
      if (resize === undefined) throw new ConflictError(`no shell runs in step ${request.param('id')}`);
      resize(size);
      response.empty(200);
    },

    release: async (request, response) => {
      await shells().releaseFailed(request.param('id'));
      response.empty(204);
    },
  };
}

async function openShell(
  failed: FailedStepShells,
  id: string,
  connection: Socket,
  size: TerminalSize | undefined,
  onStart: (resize: (size: TerminalSize) => void) => void,
): Promise<void> {
  const controller = new AbortController();
  connection.on('error', () => connection.destroy());
  connection.once('close', () => controller.abort(new ConflictError('the client has gone')));
  await failed.shell(id, {
    args: [],
    terminal: { tty: true, stdin: connection, onStart, ...(size === undefined ? {} : { size }) },
    onOutput: (chunk) => {
      if (!connection.destroyed) connection.write(chunk);
      if (connection.writableLength > UNREAD_MAX_BYTES) {
        controller.abort(new ConflictError('the client does not read what the shell prints'));
      }
    },
    signal: controller.signal,
  });
}

function sizeOf(request: ApiRequest): TerminalSize | undefined {
  const rows = Number(request.text('h'));
  const columns = Number(request.text('w'));
  const valid = [rows, columns].every((one) => Number.isInteger(one) && one > 0 && one < 65536);
  return valid ? { rows, columns } : undefined;
}
