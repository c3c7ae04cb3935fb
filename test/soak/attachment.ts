/**
 * A client that is attached to a container before it starts, as that of `run` is: it must be shown every byte, whatever
 * becomes of the daemon once the container runs. What was attached to a daemon that ended before the start is no promise.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { frames } from '../conformance/exchange.ts';
import { timeLimitMs } from '../run/time-limit.ts';
import { LostError, type UnsteadyDaemon } from './unsteady-daemon.ts';

const HEAD_END = '\r\n\r\n';
const END_MAX_MS = timeLimitMs(60_000);

export class Attachment {
  readonly #daemon: UnsteadyDaemon;
  readonly #socket: Socket;
  readonly #changes: number;
  readonly #head = Promise.withResolvers<void>();
  #bytes = Buffer.alloc(0);

  private constructor(daemon: UnsteadyDaemon, id: string) {
    this.#daemon = daemon;
    this.#changes = daemon.changes;
    this.#socket = connect(daemon.daemon.socket);
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('data', (piece: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, piece]);
      if (this.#bytes.includes(HEAD_END)) this.#head.resolve();
    });
    this.#socket.once('close', () => this.#head.resolve());
    this.#socket.write(
      `POST /containers/${id}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`,
    );
  }

  /** Resolves when the daemon has answered. Throws Lost where it has ended meanwhile. */
  static async begin(daemon: UnsteadyDaemon, id: string): Promise<Attachment> {
    await daemon.up();
    const attachment = new Attachment(daemon, id);
    await attachment.#head.promise;
    if (attachment.#isSteady()) {
      const line = attachment.#bytes.toString('latin1').split('\r\n', 1)[0];
      assert.equal(line, 'HTTP/1.1 200 OK', `attach to ${id}`);
      return attachment;
    }
    attachment.drop();
    throw new LostError(`attach to ${id}`);
  }

  #isSteady(): boolean {
    return this.#daemon.changes === this.#changes && !this.#daemon.isTakenOver;
  }

  /** To be called when the container has just been started: waits for its end, and gives what was said until then. */
  async texts(): Promise<string[] | undefined> {
    if (!this.#isSteady()) {
      this.drop();
      return undefined;
    }
    const timer = setTimeout(() => this.#socket.destroy(), END_MAX_MS);
    if (!this.#socket.closed) await once(this.#socket, 'close');
    clearTimeout(timer);
    const body = this.#bytes.subarray(this.#bytes.indexOf(HEAD_END) + HEAD_END.length);
    return frames(body).map(({ text }) => text);
  }

  drop(): void {
    this.#socket.destroy();
  }
}
