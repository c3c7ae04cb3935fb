/** `--ssh`: connections of RUN steps to an ssh agent of the user's. Keys stay in the agent. */
import { statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { resolve } from 'node:path';
import type { ServerCallContext } from '../../../api/grpc/server.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import { CliError } from '../../cli-error.ts';
import type { Io } from '../../io.ts';
import type { SshFlag } from '../secret-flag.ts';

interface AgentBytes {
  readonly data: Uint8Array;
}

export class SessionSsh {
  readonly #sockets = new Map<string, string>();

  /** Throws CliError where an agent's socket is not there, or is a key. */
  constructor(flags: readonly SshFlag[], io: Pick<Io, 'env' | 'cwd'>) {
    for (const { id, path } of flags) this.#sockets.set(id, agentSocket(id, path, io));
  }

  require(id: string): string {
    const socket = this.#sockets.get(id === '' ? 'default' : id);
    if (socket === undefined) throw new GrpcError('NotFound', `unset ssh forward key ${id}`);
    return socket;
  }

  async *forward(
    requests: AsyncIterable<AgentBytes>,
    { headers, signal }: ServerCallContext,
  ): AsyncGenerator<AgentBytes> {
    const socket = connect(this.require(String(headers['buildkit.ssh.id'] ?? '')));
    const stop = (): void => {
      socket.destroy();
    };
    signal.addEventListener('abort', stop);
    try {
      const sending = send(requests, socket);
      // What fails there ends the reading below.
      sending.catch(stop);
      for await (const data of socket as AsyncIterable<Buffer>) yield { data };
    } finally {
      signal.removeEventListener('abort', stop);
      socket.destroy();
    }
  }
}

async function send(requests: AsyncIterable<AgentBytes>, socket: Socket): Promise<void> {
  for await (const { data } of requests) {
    if (!socket.write(data))
      await new Promise((drained) => socket.once('drain', drained).once('close', drained));
  }
  socket.end();
}

function agentSocket(id: string, path: string | undefined, io: Pick<Io, 'env' | 'cwd'>): string {
  const given = path ?? io.env['SSH_AUTH_SOCK'] ?? '';
  if (given === '') {
    throw new CliError(
      `cannot forward ssh agent "${id}": SSH_AUTH_SOCK is not set, and --ssh names no socket`,
    );
  }
  const socket = resolve(io.cwd, given);
  const stats = statSync(socket, { throwIfNoEntry: false });
  if (stats === undefined) throw new CliError(`cannot forward ssh agent "${id}": ${socket} does not exist`);
  if (stats.isSocket()) return socket;
  throw new CliError(
    `cannot forward ssh agent "${id}": ${socket} is no socket; keys are not loaded from files: start ssh-agent, ssh-add the key, and use --ssh ${id}`,
  );
}
