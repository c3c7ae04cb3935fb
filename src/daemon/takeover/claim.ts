/**
 * The successor's side of a takeover. It asks only when all that can be looked at beforehand is in order, so that the
 * running daemon stops for nothing but the change itself.
 */
import { closeSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { errorMessage, UnavailableError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { MYDOCK_VERSION } from '../../base/version.ts';
import { descriptorOf } from '../../native/descriptor.ts';
import {
  type Answer,
  DescriptorReader,
  HANDED_KINDS,
  sendLine,
  TAKEOVER_PROTOCOL,
  TAKEOVER_SOCKET,
} from './channel.ts';
import { closeHanded, type HandedSockets, nothingHanded } from './offer.ts';

const ANSWER_MAX_MS = 5000;
/** Nothing has to end for that. */
const BEGUN_MAX_MS = 10_000;
/** Longer than the predecessor gives its requests to end. */
const GIVEN_MAX_MS = 120_000;

/** What a daemon that is taken over has agreed to. */
export class Claim {
  /** Keys of what the predecessor listens on. */
  readonly listeners: readonly string[];
  readonly #socket: Socket;
  readonly #reader: DescriptorReader;
  readonly #keeps: boolean;

  private constructor(
    socket: Socket,
    reader: DescriptorReader,
    { listeners, keeps }: { listeners: readonly string[]; keeps: boolean },
  ) {
    this.#socket = socket;
    this.#reader = reader;
    this.listeners = listeners;
    this.#keeps = keeps;
  }

  /** Asks the daemon of `execRoot`. Throws Unavailable where none runs, or it does not agree, with its reason. */
  static async ask(place: { execRoot: string; dataRoot: string }): Promise<Claim> {
    const socket = await reach(join(place.execRoot, TAKEOVER_SOCKET));
    const reader = new DescriptorReader(descriptorOf(socket));
    try {
      sendLine(socket, {
        ask: 'takeover',
        protocol: TAKEOVER_PROTOCOL,
        pid: process.pid,
        version: MYDOCK_VERSION,
        dataRoot: place.dataRoot,
        kinds: [...HANDED_KINDS],
      });
      const { message } = await reader.next(ANSWER_MAX_MS);
      if (message.answer === 'refused') throw new UnavailableError(`cannot take over: ${message.reason}`);
      if (message.answer !== 'agreed') throw unexpected(message);
      requireSameService(message.pid);
      log.info({ pid: message.pid, version: message.version }, 'takes over from a running mydockd');
      return new Claim(socket, reader, { listeners: message.listeners, keeps: message.keeps === true });
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Makes the predecessor let go of everything; returns when it has. Throws Unavailable where it does not. */
  async take(): Promise<HandedSockets> {
    return await this.#receive('go', GIVEN_MAX_MS);
  }

  async #receive(ask: 'go' | 'serving', timeoutMs: number): Promise<HandedSockets> {
    const handed = nothingHanded();
    try {
      sendLine(this.#socket, { ask });
      for (;;) {
        const { message, fds } = await this.#reader.next(timeoutMs);
        if (message.answer === 'given') return handed;
        if (message.answer === 'refused') throw new UnavailableError(`cannot take over: ${message.reason}`);
        if (message.answer !== 'sockets') throw unexpected(message);
        for (const [index, fd] of fds.entries()) {
          const key = message.keys[index];
          if (key === undefined || !HANDED_KINDS.includes(message.kind)) closeSync(fd);
          else handed[message.kind].set(key, fd);
        }
      }
    } catch (error) {
      this.#reader.drop();
      closeHanded(handed);
      throw error;
    }
  }

  /** From here on the predecessor cannot take it back. Resolves with the connections that it has kept meanwhile. */
  async serving(): Promise<Map<string, number>> {
    try {
      if (this.#keeps) return (await this.#receive('serving', BEGUN_MAX_MS)).begun;
      sendLine(this.#socket, { ask: 'serving' });
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'the mydockd before this one has gone already');
    } finally {
      this.#socket.destroy();
    }
    return new Map();
  }
}

function unexpected(message: Answer): UnavailableError {
  return new UnavailableError(`cannot take over: the running mydockd answered "${message.answer}"`);
}

function reach(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    // node:net must read nothing: descriptors come with the first answers.
    socket.pause();
    socket.once('error', (error) =>
      reject(new UnavailableError(`no mydockd runs that could be taken over (${path})`, error)),
    );
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });
}

/** systemd would take the successor for a stray process, and start another daemon when the predecessor ends. */
function requireSameService(pid: number): void {
  const [theirs, ours] = [serviceOf(pid), serviceOf('self')];
  if (theirs !== undefined && theirs !== ours) {
    throw new UnavailableError(
      `cannot take over: the running mydockd (pid ${pid}) belongs to ${theirs}: use systemctl restart ${theirs}`,
    );
  }
}

/** The unit of systemd that a process belongs to, where that is a mydock one. */
function serviceOf(pid: number | 'self'): string | undefined {
  try {
    return /\/(mydock[^/\n]*\.service)(?:\/|$)/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  } catch {
    // It has ended; the claim will find that out.
    return undefined;
  }
}
