/**
 * The running daemon's side of a takeover: answers a successor on the takeover socket, lets go of the data root when
 * that is ready, and gives it every socket that must not be closed in between. Until the successor serves, this
 * process can take all of it back.
 */
import { closeSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { MYDOCK_VERSION } from '../../base/version.ts';
import { addon } from '../../native/addon.ts';
import { descriptorOf } from '../../native/descriptor.ts';
import { removeSocketFile, type SocketFile } from '../socket-file.ts';
import {
  type Answer,
  FDS_AT_ONCE,
  FIRST_KINDS,
  HANDED_KINDS,
  type HandedKind,
  KEY_MAX_BYTES,
  KEYS_AT_ONCE_BYTES,
  LineReader,
  type Request,
  sendLine,
  TAKEOVER_PROTOCOL,
  TAKEOVER_SOCKET,
} from './channel.ts';

/** All that a successor gets, as second descriptors by key; this process keeps them until the successor serves. */
export type HandedSockets = Record<HandedKind, Map<string, number>>;

export function nothingHanded(): HandedSockets {
  return {
    listen: new Map(),
    port: new Map(),
    idle: new Map(),
    wait: new Map(),
    supervisor: new Map(),
    attach: new Map(),
    stream: new Map(),
    begun: new Map(),
  };
}

export interface TakeoverParts {
  execRoot: string;
  dataRoot: string;
  /** Keys of what is listened on. */
  listeners(): string[];
}

/** A successor that is ready, and waits for the data root. */
export interface Successor {
  readonly pid: number;
  readonly version: string;
  /** Whether it can go on with such. What it cannot is not to be taken from its clients. */
  takes(kind: HandedKind): boolean;
  /** Sends what it gets. The data root is free by now. Throws where the successor is gone. */
  give(sockets: HandedSockets): void;
  /** Tells it why it gets nothing, and lets it go. */
  refuse(reason: string): void;
  /** True once it serves; false where it went away before. */
  serving(timeoutMs: number): Promise<boolean>;
  /** Sends what came while nobody served, where it `takes` that. Throws where it is gone. */
  giveBegun(begun: ReadonlyMap<string, number>): void;
  end(): void;
}

export class TakeoverOffer {
  readonly #parts: TakeoverParts;
  readonly #server: Server;
  #file: SocketFile | undefined;
  #busy = false;
  #successor = Promise.withResolvers<Successor>();

  private constructor(parts: TakeoverParts) {
    this.#parts = parts;
    this.#server = createServer((socket) => this.#meet(socket));
    this.#server.on('error', (error) => log.warn({ error: errorMessage(error) }, 'takeover socket'));
    this.#server.unref();
  }

  /** Listens below the exec root. */
  static async open(
    parts: TakeoverParts,
    listen: (server: Server, path: string) => Promise<SocketFile>,
  ): Promise<TakeoverOffer> {
    const offer = new TakeoverOffer(parts);
    const path = join(parts.execRoot, TAKEOVER_SOCKET);
    // Only who has the data root's lock gets here: what is there is a dead daemon's.
    rmSync(path, { force: true });
    offer.#file = await listen(offer.#server, path);
    return offer;
  }

  /** Resolves with the first successor that is ready. */
  get successor(): Promise<Successor> {
    return this.#successor.promise;
  }

  /** Asks for another successor, where the one that was ready got nothing. */
  renew(): void {
    this.#successor = Promise.withResolvers<Successor>();
    this.#busy = false;
  }

  close(): void {
    this.#server.close();
    if (this.#file !== undefined) removeSocketFile(this.#file);
  }

  #meet(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    const refuse = (reason: string): void => {
      log.warn({ reason }, 'a takeover was refused');
      answer(socket, { answer: 'refused', reason });
      socket.destroySoon();
    };
    const { uid } = addon().peerCredentials(descriptorOf(socket));
    if (uid !== 0 || this.#busy) {
      refuse(uid === 0 ? 'another mydockd takes over already' : 'only root may take over');
      return;
    }
    this.#busy = true;
    new Meeting(socket, this.#parts, refuse).ready.then(
      (successor) => this.#successor.resolve(successor),
      () => {
        this.#busy = false;
      },
    );
  }
}

/** The conversation with one successor. */
class Meeting {
  readonly ready: Promise<Successor>;
  readonly #socket: Socket;
  readonly #parts: TakeoverParts;
  readonly #refuse: (reason: string) => void;
  readonly #ready = Promise.withResolvers<Successor>();
  readonly #serving = Promise.withResolvers<boolean>();
  #identity = { pid: 0, version: '' };
  #kinds: readonly string[] = FIRST_KINDS;

  constructor(socket: Socket, parts: TakeoverParts, refuse: (reason: string) => void) {
    this.#socket = socket;
    this.#parts = parts;
    this.#refuse = refuse;
    this.ready = this.#ready.promise;
    const reader = new LineReader();
    socket.on('data', (chunk) => {
      try {
        for (const line of reader.push(chunk)) this.#hear(line as unknown as Request);
      } catch (error) {
        refuse(errorMessage(error));
      }
    });
    socket.on('close', () => {
      this.#ready.reject(new Error('the successor went away'));
      this.#serving.resolve(false);
    });
  }

  #hear(request: Request): void {
    switch (request.ask) {
      case 'takeover': {
        const { protocol, pid, version, dataRoot } = request;
        if (protocol !== TAKEOVER_PROTOCOL) {
          this.#refuse(
            `the running mydockd ${MYDOCK_VERSION} speaks takeover protocol ${TAKEOVER_PROTOCOL}, this one ${protocol}: stop it, and start this one`,
          );
        } else if (dataRoot !== this.#parts.dataRoot) {
          this.#refuse(`the running mydockd has the data root ${this.#parts.dataRoot}, this one ${dataRoot}`);
        } else {
          this.#identity = { pid, version };
          this.#kinds = request.kinds ?? FIRST_KINDS;
          const own = { pid: process.pid, version: MYDOCK_VERSION, listeners: this.#parts.listeners() };
          answer(this.#socket, { answer: 'agreed', ...own, keeps: true });
        }
        break;
      }
      case 'go':
        this.#ready.resolve({
          ...this.#identity,
          takes: (kind) => this.#kinds.includes(kind),
          give: (sockets) => give(this.#socket, sockets),
          refuse: this.#refuse,
          serving: (timeoutMs) => within(this.#serving.promise, timeoutMs),
          giveBegun: (begun) => give(this.#socket, { ...nothingHanded(), begun: new Map(begun) }),
          end: () => this.#socket.destroy(),
        });
        break;
      case 'serving':
        this.#serving.resolve(true);
        break;
      default:
        this.#refuse(`unknown request "${String(Reflect.get(request, 'ask'))}"`);
    }
  }
}

function answer(socket: Socket, message: Answer): void {
  try {
    sendLine(socket, message);
  } catch {
    // It is gone, and hears nothing.
    socket.destroy();
  }
}

function give(socket: Socket, sockets: HandedSockets): void {
  for (const kind of HANDED_KINDS) {
    for (const some of portions([...sockets[kind]])) {
      const keys = some.map(([key]) => key);
      const fds = some.map(([, fd]) => fd);
      sendLine(socket, { answer: 'sockets', kind, keys, fds: fds.length }, fds);
    }
  }
  sendLine(socket, { answer: 'given' });
}

/** As many at once as fit into one message. A key that is too long for any is left out: its client meets the end. */
export function portions(all: readonly [string, number][]): [string, number][][] {
  const result: [string, number][][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const one of all) {
    const length = Buffer.byteLength(JSON.stringify(one[0]));
    if (length > KEY_MAX_BYTES) continue;
    const last = result.at(-1);
    if (last === undefined || bytes + length > KEYS_AT_ONCE_BYTES || last.length === FDS_AT_ONCE) {
      result.push([one]);
      bytes = length;
    } else {
      last.push(one);
      bytes += length;
    }
  }
  return result;
}

function within(promise: Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function closeHanded(sockets: HandedSockets): void {
  for (const kind of HANDED_KINDS) for (const fd of sockets[kind].values()) closeSync(fd);
}
