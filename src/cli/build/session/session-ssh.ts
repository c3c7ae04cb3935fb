/**
 * `--ssh`: what RUN steps reach as an ssh agent, the user's own or one that has keys of files. Keys stay where they are, and
 * steps change nothing about them.
 */
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, resolve } from 'node:path';
import type { ServerCallContext } from '../../../api/grpc/server.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import { CliError } from '../../cli-error.ts';
import type { Io } from '../../io.ts';
import type { SshFlag } from '../secret-flag.ts';
import { agentMessages, isForSteps, REFUSAL } from './agent-messages.ts';
import { type AgentKey, serveKeys } from './key-agent.ts';
import { readPrivateKey } from './private-key.ts';
import { string } from './ssh-wire.ts';

interface AgentBytes {
  readonly data: Uint8Array;
}

/** A socket, or keys. */
type Agent = string | readonly AgentKey[];

const KEY_MAX_BYTES = 100_000;

export class SessionSsh {
  readonly #agents = new Map<string, Agent>();

  /** Throws CliError where a socket or a key cannot be used. */
  constructor(flags: readonly SshFlag[], io: Pick<Io, 'env' | 'cwd'>) {
    for (const flag of flags) this.#agents.set(flag.id, agentOf(flag, io));
  }

  require(id: string): Agent {
    const agent = this.#agents.get(id === '' ? 'default' : id);
    if (agent === undefined) throw new GrpcError('NotFound', `unset ssh forward key ${id}`);
    return agent;
  }

  async *forward(
    requests: AsyncIterable<AgentBytes>,
    { headers, signal }: ServerCallContext,
  ): AsyncGenerator<AgentBytes> {
    const agent = this.require(String(headers['buildkit.ssh.id'] ?? ''));
    if (typeof agent !== 'string') {
      for await (const data of serveKeys(agent, bytesOf(requests))) yield { data };
      return;
    }
    const socket = connect(agent);
    const stop = (): void => {
      socket.destroy();
    };
    signal.addEventListener('abort', stop);
    try {
      const answers = agentMessages(socket as AsyncIterable<Buffer>);
      for await (const message of agentMessages(bytesOf(requests))) {
        if (!isForSteps(message)) {
          yield { data: string(REFUSAL) };
          continue;
        }
        socket.write(string(message));
        const answer = await answers.next();
        if (answer.done === true) return;
        yield { data: string(answer.value) };
      }
    } finally {
      signal.removeEventListener('abort', stop);
      socket.destroy();
    }
  }
}

async function* bytesOf(requests: AsyncIterable<AgentBytes>): AsyncGenerator<Uint8Array> {
  for await (const { data } of requests) yield data;
}

function agentOf({ id, paths }: SshFlag, io: Pick<Io, 'env' | 'cwd'>): Agent {
  const refuse = (reason: string): CliError => new CliError(`cannot forward ssh agent "${id}": ${reason}`);
  const given = paths.length > 0 ? paths : [io.env['SSH_AUTH_SOCK'] ?? ''].filter((path) => path !== '');
  if (given.length === 0) {
    throw refuse('SSH_AUTH_SOCK is not set, and --ssh names neither a socket nor a key');
  }
  const files = given.map((path) => {
    const file = resolve(io.cwd, path);
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined) throw refuse(`${file} does not exist`);
    return { file, stats };
  });
  const [first] = files;
  if (files.length === 1 && first?.stats.isSocket() === true) return first.file;
  return files.map(({ file, stats }) => {
    if (stats.isSocket()) throw refuse('it is one socket, or keys');
    if (!stats.isFile() || stats.size > KEY_MAX_BYTES) throw refuse(`${file} is neither a socket nor a key`);
    return { key: readKey(file, refuse), comment: basename(file) };
  });
}

function readKey(file: string, refuse: (reason: string) => CliError): AgentKey['key'] {
  try {
    return readPrivateKey(readFileSync(file, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse(`${file} cannot be used: ${reason}`);
  }
}
