/**
 * The files of a step that must never be on a disk or outlive it: secrets, on a tmpfs of their own that no swap takes
 * (Linux 6.4), and sockets of ssh agents, whose connections go to the client that orders the build.
 */
import { chmodSync, chownSync, closeSync, fchmodSync, fchownSync, openSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { addon } from '../../native/addon.ts';

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** Of one step; a secret has at most 500 KiB. */
const SIZE_BYTES = 32 * 1024 * 1024;
const CONNECTIONS_MAX = 64;

interface Attributes {
  mode: number;
  uid: number;
  gid: number;
}

export class PrivateFiles {
  readonly #directory: string;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Socket | Duplex>();
  #count = 0;
  #mounted = false;

  /** `directory` exists, is empty and is below the exec root. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  #newPath(): string {
    if (!this.#mounted) mountTmpfs(this.#directory);
    this.#mounted = true;
    return join(this.#directory, String(this.#count++));
  }

  /** Path of a file with that content. */
  secret(content: Uint8Array, { mode, uid, gid }: Attributes): string {
    const path = this.#newPath();
    const fd = openSync(path, 'wx', 0o600);
    try {
      for (let at = 0; at < content.length; ) at += writeSync(fd, content, at);
      fchownSync(fd, uid, gid);
      fchmodSync(fd, mode);
    } finally {
      closeSync(fd);
    }
    return path;
  }

  /** Path of a socket; each connection to it is one that `connect` makes. */
  async agent(connect: () => Promise<Duplex>, { mode, uid, gid }: Attributes): Promise<string> {
    const path = this.#newPath();
    const server = createServer({ allowHalfOpen: true }, (socket) => void this.#forward(socket, connect));
    server.maxConnections = CONNECTIONS_MAX;
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      // Also later, when a connection cannot be taken: the program that makes it is told by its end.
      server.on('error', reject);
      server.listen(path, resolve);
    });
    chownSync(path, uid, gid);
    chmodSync(path, mode);
    return path;
  }

  async #forward(socket: Socket, connect: () => Promise<Duplex>): Promise<void> {
    this.#connections.add(socket);
    let far: Duplex | undefined;
    const end = (): void => {
      socket.destroy();
      far?.destroy();
      this.#connections.delete(socket);
      if (far !== undefined) this.#connections.delete(far);
    };
    socket.on('error', end).on('close', end);
    try {
      far = await connect();
    } catch (error) {
      log.debug({ reason: errorMessage(error) }, "no connection to the client's ssh agent");
      end();
      return;
    }
    this.#connections.add(far);
    far.on('error', end).on('close', end);
    if (socket.destroyed) return end();
    socket.pipe(far);
    far.pipe(socket);
  }

  /** Ends connections, and the files are gone. */
  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(
      this.#servers.splice(0).map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
    if (!this.#mounted) return;
    this.#mounted = false;
    addon().unmount(this.#directory, MNT_DETACH | UMOUNT_NOFOLLOW);
  }
}

function mountTmpfs(directory: string): void {
  makeDirectory(directory, 0o700);
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  const options = `mode=0700,size=${SIZE_BYTES}`;
  try {
    addon().mount('tmpfs', directory, 'tmpfs', flags, `${options},noswap`);
  } catch {
    // Before Linux 6.4 a tmpfs cannot be kept out of swap.
    addon().mount('tmpfs', directory, 'tmpfs', flags, options);
  }
}
