/**
 * A connection that becomes a container's or a command's streams, as those of `run`, `attach` and `exec` do: it must carry
 * every byte, whatever becomes of the daemon once the program runs, and whoever is the daemon by then. What met the
 * daemon's death before the program ran is no promise.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { frames } from '../conformance/exchange.ts';
import { timeLimitMs } from '../run/time-limit.ts';
import { LostError, type UnsteadyDaemon } from './unsteady-daemon.ts';

const HEAD_END = '\r\n\r\n';
const END_MAX_MS = timeLimitMs(60_000);

export class HijackedCall {
  readonly #daemon: UnsteadyDaemon;
  readonly #socket: Socket;
  readonly #kills: number;
  readonly #head = Promise.withResolvers<void>();
  #bytes = Buffer.alloc(0);

  private constructor(daemon: UnsteadyDaemon, path: string, body: object | undefined) {
    this.#daemon = daemon;
    this.#kills = daemon.kills;
    // The daemon's end of it may be closed before ours.
    this.#socket = connect({ path: daemon.daemon.socket, allowHalfOpen: true });
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('data', (piece: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, piece]);
      if (this.#bytes.includes(HEAD_END)) this.#head.resolve();
    });
    this.#socket.once('end', () => this.#socket.destroy());
    this.#socket.once('close', () => this.#head.resolve());
    const text = body === undefined ? '' : JSON.stringify(body);
    const type = body === undefined ? '' : 'Content-Type: application/json\r\n';
    this.#socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n${type}Content-Length: ${text.length}\r\n\r\n${text}`,
    );
  }

  /** Resolves when the daemon has answered. Throws Lost where it was killed meanwhile. */
  static async begin(daemon: UnsteadyDaemon, path: string, body?: object): Promise<HijackedCall> {
    await daemon.up();
    const call = new HijackedCall(daemon, path, body);
    await call.#head.promise;
    if (!call.isCutOff) {
      const line = call.#bytes.toString('latin1').split('\r\n', 1)[0];
      assert.equal(line, 'HTTP/1.1 101 UPGRADED', path);
      return call;
    }
    call.drop();
    throw new LostError(path);
  }

  /** Whether the daemon was killed since the begin. */
  get isCutOff(): boolean {
    return this.#daemon.kills !== this.#kills;
  }

  /** Sends `input`, and its end, and waits for the other's; gives what was said. Undefined where the daemon was killed. */
  async texts(input?: Buffer): Promise<string[] | undefined> {
    const timer = setTimeout(() => this.#socket.destroy(), END_MAX_MS);
    if (input !== undefined) this.#socket.end(input);
    if (!this.#socket.closed) await once(this.#socket, 'close');
    clearTimeout(timer);
    if (input !== undefined && this.isCutOff) return undefined;
    const body = this.#bytes.subarray(this.#bytes.indexOf(HEAD_END) + HEAD_END.length);
    return frames(body).map(({ text }) => text);
  }

  drop(): void {
    this.#socket.destroy();
  }
}
