/**
 * What tests of attacks share: a folder of the host that must stay as it is, requests whose bodies are bytes, and a
 * daemon that must still answer.
 */
import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { timeLimitMs } from '../../run/time-limit.ts';
import type { Daemon } from '../harness.ts';

export const SECRET = 'a secret of the host';

/** A folder of the host with one file, which no container is given. */
export class Victim {
  readonly path: string;
  readonly #before: string;

  constructor(parent: string) {
    this.path = join(parent, 'victim');
    mkdirSync(join(this.path, 'below'), { recursive: true });
    writeFileSync(join(this.path, 'secret'), SECRET);
    // Empty, as what may be taken for a mount point that nobody needs.
    writeFileSync(join(this.path, 'hosts'), '');
    chmodSync(this.path, 0o751);
    this.#before = this.#state();
  }

  #state(): string {
    return JSON.stringify(
      ['.', 'below', 'secret', 'hosts'].map((name) => {
        const path = join(this.path, name);
        const { mode, uid, gid } = lstatSync(path);
        const holds =
          name === '.' || name === 'below' ? readdirSync(path).sort() : readFileSync(path, 'utf8');
        return [name, mode, uid, gid, holds];
      }),
    );
  }

  untouched(why: string): void {
    assert.equal(this.#state(), this.#before, why);
  }
}

export interface BytesAnswer {
  status: number;
  body: Buffer;
  text: string;
}

/** One request with a body of bytes; fails where no answer has ended within `limitMs`. */
export async function sendBytes(
  daemon: Pick<Daemon, 'socket'>,
  method: string,
  path: string,
  body?: Buffer,
  limitMs = 120_000,
): Promise<BytesAnswer> {
  return await new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/x-tar' };
    const outgoing = request({ socketPath: daemon.socket, method, path, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      const settle = (): void => {
        clearTimeout(timer);
        const all = Buffer.concat(parts);
        resolve({ status: response.statusCode ?? 0, body: all, text: all.toString('latin1') });
      };
      // Of what was cut short, because files went away under it, the beginning counts.
      response.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNRESET' && !late) settle();
        else reject(error);
      });
      response.once('end', settle);
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      outgoing.destroy(new Error(`${method} ${path}: no whole answer within ${limitMs} ms`));
    }, timeLimitMs(limitMs));
    outgoing.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    outgoing.end(body);
  });
}
