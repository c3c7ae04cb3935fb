/** One scoped socket of a test's daemon: made by the command line, spoken to by plain requests. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { timeLimitMs } from '../run/time-limit.ts';
import { type ApiAnswer, apiRequest } from './api-request.ts';
import type { Daemon } from './harness.ts';

let count = 0;

/** Below /run, which is the sandbox's own and root's. */
export function socketFolder(): string {
  const folder = `/run/scoped-${process.pid}`;
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return folder;
}

export class TestSocket {
  readonly path: string;
  readonly #daemon: Daemon;

  private constructor(daemon: Daemon, path: string) {
    this.#daemon = daemon;
    this.path = path;
  }

  /** `args` are those of `mydock socket create` in front of the path. */
  static async create(daemon: Daemon, ...args: string[]): Promise<TestSocket> {
    count += 1;
    const path = `${socketFolder()}/s${count}.sock`;
    assert.equal(await daemon.ok('socket', 'create', ...args, path), path);
    return new TestSocket(daemon, path);
  }

  async remove(): Promise<void> {
    await this.#daemon.ok('socket', 'rm', this.path);
  }

  /** One Engine API request. A string as body is sent as it is. */
  async api(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<ApiAnswer> {
    return await apiRequest(this.path, method, path, body, headers);
  }

  /** As `api`, where the answer must have that status. */
  async expect(status: number, method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    const answer = await this.api(method, path, body);
    assert.equal(
      answer.status,
      status,
      `${method} ${path} ${JSON.stringify(body) ?? ''}: ${answer.status} ${answer.text}`,
    );
    return answer;
  }

  /** Bytes on the connection as they are; resolves with all that comes back until the far end closes it. */
  async raw(text: string): Promise<string> {
    return await new Promise((resolve, reject) => {
      const connection = createConnection(this.path, () => connection.write(text));
      let answer = '';
      connection.setEncoding('utf8').on('data', (part: string) => {
        answer += part;
        if (answer.includes('\r\n\r\n')) connection.end();
      });
      connection.on('end', () => resolve(answer));
      connection.on('error', reject);
      connection.setTimeout(timeLimitMs(120_000), () =>
        connection.destroy(new Error(`no answer to ${text}`)),
      );
    });
  }
}
