/**
 * The daemon's end of one supervisor (native/runtime/supervisor/supervisor.h): starting it, finding it again after a restart,
 * commands, and its events as promises and callbacks. Knows the protocol, and nothing of what a container is.
 */
import { closeSync, openSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { ConflictError, errorMessage, InternalError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { spansAreWanted } from '../base/spans.ts';
import { addon } from '../native/addon.ts';
import { descriptorOf } from '../native/descriptor.ts';
import {
  COMMAND_TYPES,
  COMMAND_VERSIONS,
  type Commands,
  EventDecoder,
  type EventMessage,
  type Events,
  encodeMessage,
  PROTOCOL_VERSION,
} from '../native/supervisor-protocol.ts';
import { openLocked } from './supervisor-lock.ts';

const CONNECT_TIMEOUT_MS = 5000;
const REAP_INTERVAL_MS = 20;
const REAP_ATTEMPTS = 500;
const READ_BYTES = 64 * 1024;

export interface SupervisorHandlers {
  onEvent(message: EventMessage): void;
  /** The connection is gone; after this no event follows. Called once. */
  onClose(): void;
}

export class Supervisor {
  readonly #socket: Socket;
  readonly #fd: number;
  readonly #decoder = new EventDecoder();
  #open = true;
  /** What it said of itself; undefined before its first message. */
  #status: Events['status'] | undefined;

  private constructor(socket: Socket, fd: number, handlers: SupervisorHandlers) {
    this.#socket = socket;
    this.#fd = fd;
    socket.on('data', (chunk: Buffer) => {
      for (const message of decode(this.#decoder, chunk, socket)) {
        if (message.event === 'status') this.#status = message.payload;
        handle(handlers, message);
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      this.#open = false;
      handlers.onClose();
    });
  }

  /**
   * Starts the supervisor of a bundle that holds config.json and supervisor.json. Resolves when its program executes; the
   * first event is `status`, or `failed` where the container could not be made. What it writes to stderr goes to
   * `<bundle>/supervisor.stderr`.
   */
  static async spawn(runtime: string, bundle: string, handlers: SupervisorHandlers): Promise<Supervisor> {
    const [near, far] = addon().socketPair();
    const nowhere = openSync('/dev/null', 'r+');
    const stderr = openLocked(bundle);
    let pid: number;
    try {
      pid = await addon().spawn({
        file: runtime,
        args: ['mydock-runtime', 'supervise', '--bundle', bundle],
        env: spansAreWanted() ? ['MYDOCK_STEP_TIMES=1'] : [],
        cwd: '/',
        fds: [nowhere, nowhere, stderr, far],
      });
    } catch (error) {
      closeSync(near);
      throw new InternalError(`cannot start ${runtime}`, error);
    } finally {
      closeSync(far);
      closeSync(nowhere);
      closeSync(stderr);
    }
    const socket = new Socket({ fd: near, readable: true, writable: true });
    return new Supervisor(socket, near, {
      onEvent: handlers.onEvent,
      onClose: () => {
        reapSoon(pid);
        handlers.onClose();
      },
    });
  }

  /** Connects to the supervisor that listens at `path`; undefined where none does. Its first event is `status`. */
  static connect(path: string, handlers: SupervisorHandlers): Promise<Supervisor | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ path });
      const fail = (): void => {
        socket.destroy();
        resolve(undefined);
      };
      const timer = setTimeout(fail, CONNECT_TIMEOUT_MS);
      socket.once('error', fail);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', fail);
        resolve(new Supervisor(socket, descriptorOf(socket), handlers));
      });
    });
  }

  get open(): boolean {
    return this.#open;
  }

  /**
   * Sends a command, with the descriptor that belongs to it. Throws Internal where the supervisor is gone or stuck, and
   * Conflict where it is of a build that does not know the command, or that this one does not know.
   */
  send<K extends keyof Commands>(command: K, payload: Commands[K], fds: number[] = []): void {
    if (!this.#open) throw new InternalError(`supervisor is gone: cannot send "${command}"`);
    if (this.#status !== undefined) requireCommand(this.#status, command);
    try {
      addon().sendWithFds(this.#fd, encodeMessage(COMMAND_TYPES[command], payload), fds);
    } catch (error) {
      throw new InternalError(`cannot send "${command}" to the supervisor`, error);
    }
  }

  /**
   * Lets go of the connection, and gives a second descriptor of it for `remainingEvents`. Undefined where it is at its
   * end or in the middle of a message, or where there can be no more descriptors.
   */
  pass(): number | undefined {
    if (!this.#open || this.#decoder.partial) return undefined;
    try {
      return addon().duplicate(this.#fd);
    } catch (error) {
      log.debug({ error: errorMessage(error) }, 'the connection to a supervisor is not handed over');
      return undefined;
    } finally {
      this.disconnect();
    }
  }

  /** Lets go of the connection; the supervisor lives on. */
  disconnect(): void {
    this.#socket.destroy();
  }
}

/** The events that came on a connection after `Supervisor.pass`; closes it. */
export function remainingEvents(fd: number): EventMessage[] {
  const decoder = new EventDecoder();
  const messages: EventMessage[] = [];
  try {
    for (;;) {
      const received = addon().receiveWithFds(fd, READ_BYTES);
      if (received === null || received.data.length === 0) break;
      messages.push(...decoder.push(received.data));
    }
  } catch (error) {
    log.warn({ error: errorMessage(error) }, 'what a supervisor has told an earlier mydockd cannot be read');
  } finally {
    closeSync(fd);
  }
  return messages;
}

function decode(decoder: EventDecoder, chunk: Buffer, socket: Socket): EventMessage[] {
  try {
    return decoder.push(chunk);
  } catch (error) {
    log.error({ error: errorMessage(error) }, 'supervisor connection closed: it sent what is no message');
    socket.destroy();
    return [];
  }
}

/** A fault in handling one event must not cost the next ones. */
function handle(handlers: SupervisorHandlers, message: EventMessage): void {
  try {
    handlers.onEvent(message);
  } catch (error) {
    log.error({ event: message.event, error: errorMessage(error) }, 'cannot handle what a supervisor said');
  }
}

/** A container of another build can always be ended. */
function requireCommand({ id, version, oldest = 1 }: Events['status'], command: keyof Commands): void {
  if (command === 'kill') return;
  const needed = COMMAND_VERSIONS[command];
  if (version >= needed && oldest <= PROTOCOL_VERSION) return;
  const why =
    version < needed
      ? `its supervisor is of an older mydock (protocol ${version}, "${command}" needs ${needed})`
      : `its supervisor is of a newer mydock (protocol ${oldest} at least, this one speaks ${PROTOCOL_VERSION})`;
  throw new ConflictError(`container ${id}: ${why}: restart the container to go on with this version`);
}

/** Says in the log that builds of different age meet; what they cannot do is refused when it is asked for. */
export function tellVersion({ id, version, oldest = 1 }: Events['status']): void {
  if (version === PROTOCOL_VERSION) return;
  const refused = oldest > PROTOCOL_VERSION;
  log.warn({ container: id, version, own: PROTOCOL_VERSION, refused }, 'a supervisor is of another mydock');
}

/** The supervisor closes its connection a moment before it exits: take its exit status as soon as it is there. */
function reapSoon(pid: number, attempt = 0): void {
  if (addon().reap(pid) !== null) return;
  if (attempt === REAP_ATTEMPTS) {
    log.warn({ pid }, 'a supervisor closed its connection and does not exit');
    return;
  }
  setTimeout(() => reapSoon(pid, attempt + 1), REAP_INTERVAL_MS).unref();
}
