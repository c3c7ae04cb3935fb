/** Exec operations. */
import { setImmediate } from 'node:timers/promises';
import type { ExecCreateRequest, ExecStartRequest } from '../../../api/exec.ts';
import type { Handler } from '../../router.ts';
import { checkShape, type Shape } from '../../shape.ts';
import { terminalSize } from '../containers/handlers.ts';
import { streamType } from '../containers/streams.ts';
import type { ExecBackend } from './backend.ts';

const CREATE: Shape = {
  object: {
    AttachStdin: 'boolean',
    AttachStdout: 'boolean',
    AttachStderr: 'boolean',
    ConsoleSize: { list: 'integer' },
    DetachKeys: 'string',
    Tty: 'boolean',
    Env: { list: 'string' },
    Cmd: { list: 'string' },
    Privileged: 'boolean',
    User: 'string',
    WorkingDir: 'string',
  },
};

const START: Shape = { object: { Detach: 'boolean', Tty: 'boolean', ConsoleSize: { list: 'integer' } } };

export function execHandlers(
  backend: ExecBackend,
): Record<'create' | 'start' | 'resize' | 'inspect', Handler> {
  return {
    create: async (request, response) => {
      const body = (await request.json()) ?? {};
      checkShape(body, CREATE, '');
      response.json(201, { Id: backend.createExec(request.param('id'), body as ExecCreateRequest) });
    },

    start: async (request, response) => {
      const id = request.param('id');
      const body = ((await request.json()) ?? {}) as ExecStartRequest;
      checkShape(body, START, '');
      const { tty } = backend.checkExec(id);
      if (body.Detach === true) {
        await backend.startExec(id, body, null);
        response.empty(200);
        return;
      }
      const connection = await response.hijack(request, streamType(request, tty));
      await backend.startExec(id, body, connection);
    },

    resize: (request, response) => {
      const { rows, cols } = terminalSize(request);
      backend.resizeExec(request.param('id'), rows, cols);
      response.empty(200);
    },

    inspect: async (request, response) => {
      // The end of a command reaches us and its client at the same moment: hear what is there before answering.
      await setImmediate();
      await setImmediate();
      response.json(200, backend.inspectExec(request.param('id')));
    },
  };
}
