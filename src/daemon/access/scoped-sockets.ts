/**
 * The scoped sockets of one daemon: made, served, served again by the next daemon, removed. A socket is stored before
 * it is served, so that a crash in between leaves one that the next daemon serves and an administrator sees.
 */
import { lstatSync, rmSync } from 'node:fs';
import type { ScopedSocket, SocketCreateRequest, SocketCreateResponse } from '../../api/sockets.ts';
import { ConflictError, errorMessage, NotFoundError, UnavailableError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import { type Route, Router } from '../router.ts';
import type { ApiServer, Listener } from '../server.ts';
import { requireSocketPlace } from '../socket-file.ts';
import { AccessScope } from './scope.ts';
import { describeSocket, judgeSocketRequest, socketWarnings } from './socket-request.ts';
import type { SocketRecord, SocketTable } from './socket-table.ts';

interface Served {
  record: SocketRecord;
  listener: Listener | undefined;
  /** Why it is not served; empty where it is. */
  error: string;
}

export interface ScopedSocketsParts {
  table: SocketTable;
  /** The routes that a scope leaves, with their guard. */
  routes(scope: AccessScope): Route[];
  /** The daemon's own folders, which no mount root may show. */
  reserved: readonly string[];
}

export class ScopedSockets {
  readonly #parts: ScopedSocketsParts;
  readonly #sockets = new Map<string, Served>();
  readonly #mutex = new Mutex();
  #server: Pick<ApiServer, 'listenScoped'> | undefined;

  constructor(parts: ScopedSocketsParts) {
    this.#parts = parts;
    for (const record of parts.table.load()) {
      this.#sockets.set(record.settings.name, { record, listener: undefined, error: 'not served yet' });
    }
  }

  /** Serves those that an earlier daemon had. One that cannot be served is logged and shown with its error. */
  async restore(server: Pick<ApiServer, 'listenScoped'>): Promise<void> {
    this.#server = server;
    for (const served of this.#sockets.values()) {
      try {
        await this.#serve(served);
      } catch (error) {
        served.error = errorMessage(error);
        log.error(
          { socket: served.record.settings.name, error: served.error },
          'a scoped socket is not served',
        );
      }
    }
  }

  /** Throws InvalidParameter, and Conflict for a name or path that another one has. */
  create(request: SocketCreateRequest): Promise<SocketCreateResponse> {
    return this.#mutex.run(async () => {
      const record = judgeSocketRequest(request, this.#parts.reserved);
      const { name } = record.settings;
      if (this.#sockets.has(name)) throw new ConflictError(`a socket with the name "${name}" already exists`);
      const twin = [...this.#sockets.values()].find((one) => one.record.path === record.path);
      if (twin !== undefined) {
        throw new ConflictError(
          `${record.path} is already the path of socket "${twin.record.settings.name}"`,
        );
      }
      const served: Served = { record, listener: undefined, error: '' };
      this.#parts.table.insert(record);
      try {
        await this.#serve(served);
      } catch (error) {
        this.#parts.table.remove(name);
        throw error;
      }
      this.#sockets.set(name, served);
      return { Name: name, Path: record.path, Warnings: socketWarnings(record) };
    });
  }

  /** Names by path. */
  paths(): Map<string, string> {
    return new Map([...this.#sockets.values()].map(({ record }) => [record.path, record.settings.name]));
  }

  list(): ScopedSocket[] {
    return [...this.#sockets.values()].map(({ record, error }) => describeSocket(record, error));
  }

  /** By name or path. Throws NotFound. */
  inspect(reference: string): ScopedSocket {
    const { record, error } = this.#find(reference);
    return describeSocket(record, error);
  }

  /** Nobody can connect any more, and connections are cut. Throws NotFound. */
  remove(reference: string): Promise<void> {
    return this.#mutex.run(async () => {
      const { record, listener } = this.#find(reference);
      this.#parts.table.remove(record.settings.name);
      this.#sockets.delete(record.settings.name);
      listener?.close();
      removeSocketFile(record.path);
    });
  }

  #find(reference: string): Served {
    const found =
      this.#sockets.get(reference) ??
      [...this.#sockets.values()].find(({ record }) => record.path === reference);
    if (found === undefined) throw new NotFoundError(`No such socket: ${reference}`);
    return found;
  }

  async #serve(served: Served): Promise<void> {
    const { settings, path, owner } = served.record;
    // Its folder may have changed since it was made.
    requireSocketPlace(path);
    const router = new Router(this.#parts.routes(new AccessScope(settings)));
    if (this.#server === undefined) throw new UnavailableError('the daemon does not serve its sockets yet');
    served.listener = await this.#server.listenScoped(path, owner, { router, socket: settings.name });
    served.error = '';
  }
}

/** Only a socket: what somebody else has put there since is left. */
function removeSocketFile(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path, { force: true });
}
