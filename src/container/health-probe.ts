/** One run of a health check's command inside its container, through the supervisor like any exec. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { HealthcheckResult } from '../api/containers.ts';
import { FrameDecoder } from '../api/stream.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { addon } from '../native/addon.ts';
import type { ClientConnection } from './attach.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { ExecSession, startExec } from './exec.ts';

const OUTPUT_MAX_BYTES = 4096;
const SIGKILL = 9;
/** What the command has started may hold its output open for longer than it lives. */
const OUTPUT_PATIENCE_MS = 500;

/** Runs `command` to its end or to `timeoutMs`, when it is killed. Never throws: what goes wrong is a result. */
export async function runProbe(
  engine: EngineContext,
  container: Container,
  command: string[],
  timeoutMs: number,
): Promise<HealthcheckResult> {
  const Start = new Date().toISOString();
  const output = new ProbeOutput();
  const finish = (ExitCode: number, Output: string): HealthcheckResult => ({
    Start,
    End: new Date().toISOString(),
    ExitCode,
    Output,
  });
  const ended = Promise.withResolvers<number>();
  const session = declare(engine, container, command, ended.resolve);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    kill(container, session);
  }, timeoutMs);
  try {
    await startExec(engine, session, {}, output);
    // A start that failed has told why on its output.
    if (session.state.status === 'ended' && session.state.pid === 0) return finish(-1, output.text.trimEnd());
    const exitCode = await ended.promise;
    await output.closed;
    if (!timedOut) return finish(exitCode, output.text);
    const said = output.text === '' ? '' : `: ${output.text}`;
    return finish(-1, `Health check exceeded timeout (${duration(timeoutMs)})${said}`);
  } catch (error) {
    return finish(-1, errorMessage(error));
  } finally {
    clearTimeout(timer);
    output.destroy();
    container.execs.delete(session.id);
  }
}

function declare(
  engine: EngineContext,
  container: Container,
  command: string[],
  onExit: (exitCode: number) => void,
): ExecSession {
  const request = { Cmd: command, AttachStdout: true, AttachStderr: true };
  const session = new ExecSession(container, request, (ended, exitCode) => {
    engine.events.container(container, 'exec_die', { execID: ended.id, exitCode: String(exitCode) });
    onExit(exitCode);
  });
  container.execs.set(session.id, session);
  engine.events.container(container, `exec_create: ${command.join(' ')}`, { execID: session.id });
  return session;
}

function kill(container: Container, session: ExecSession): void {
  try {
    container.supervisor?.send('kill', { process: session.id, signal: SIGKILL, all: false });
  } catch (error) {
    log.debug({ container: container.id, error: errorMessage(error) }, 'health check not killed');
  }
}

/** As Go prints a duration: `1.5s`, `30s`, `1m30s`, `300ms`. */
function duration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms / 60_000) % 60;
  const seconds = `${(ms % 60_000) / 1000}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

/** The client of a probe: takes its framed output, both streams into one text of bounded length. */
class ProbeOutput implements ClientConnection {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #socket: Socket | undefined;
  readonly #closed = Promise.withResolvers<void>();
  readonly #decoder = new FrameDecoder((_, payload) => this.#take(payload));

  /** What was said; `...` stands for what is more than 4096 bytes. */
  get text(): string {
    const text = Buffer.concat(this.#chunks).toString('utf8');
    return this.#length > OUTPUT_MAX_BYTES ? `${text}...` : text;
  }

  /** Resolves at the end of the output, or when it has been waited for long enough. */
  get closed(): Promise<void> {
    const timer = setTimeout(() => this.#closed.resolve(), OUTPUT_PATIENCE_MS);
    return this.#closed.promise.finally(() => clearTimeout(timer));
  }

  write(chunk: Uint8Array): Promise<void> {
    this.#decoder.push(Buffer.from(chunk));
    return Promise.resolve();
  }

  lend(use: (fd: number, head: Buffer) => void): void {
    const [near, far] = addon().socketPair();
    const socket = new Socket({ fd: near, readable: true, writable: true });
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#decoder.push(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#closed.resolve());
    try {
      use(far, Buffer.alloc(0));
    } finally {
      closeSync(far);
    }
  }

  release(): void {
    // The near end stays: it is what reads.
  }

  close(): void {
    this.#closed.resolve();
  }

  onClose(): void {
    // Nobody goes away but by `destroy`.
  }

  destroy(): void {
    this.#socket?.destroy();
  }

  #take(payload: Uint8Array): void {
    const room = OUTPUT_MAX_BYTES - Math.min(this.#length, OUTPUT_MAX_BYTES);
    this.#length += payload.length;
    if (room > 0) this.#chunks.push(Buffer.from(payload.subarray(0, room)));
  }
}
