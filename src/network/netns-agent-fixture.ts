/**
 * A process inside a network namespace that listens and connects on command, for tests. Run as a program it is the
 * agent (commands over Node's IPC channel); `NetnsAgent` starts and drives one.
 */

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';

type Command =
  | {
      verb: 'listen';
      protocol: 'tcp' | 'udp';
      address: string;
      port: number;
      name: string;
      ipv6Only: boolean;
    }
  | { verb: 'serve'; address: string; port: number; bytes: number }
  | { verb: 'download'; address: string; port: number }
  | { verb: 'ask'; protocol: 'tcp' | 'udp'; address: string; port: number; timeoutMs: number };

export class NetnsAgent {
  readonly #child: ChildProcess;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** `netnsPath` null: the namespace of the caller. */
  static async start(netnsPath: string | null): Promise<NetnsAgent> {
    const program = [process.execPath, import.meta.filename];
    const command = netnsPath === null ? program : ['nsenter', `--net=${netnsPath}`, ...program];
    const env = { ...process.env };
    delete env['NODE_TEST_CONTEXT'];
    const child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env,
    });
    await once(child, 'message');
    return new NetnsAgent(child);
  }

  /** Answers every connection or datagram with `<name> <address of the client>`. Rejects where it cannot bind. */
  async listen(
    protocol: 'tcp' | 'udp',
    address: string,
    port: number,
    name: string,
    ipv6Only = false,
  ): Promise<void> {
    const answer = await this.#send({ verb: 'listen', protocol, address, port, name, ipv6Only });
    if (answer !== 'listening') throw new Error(answer);
  }

  /** What the other side answers, or the error's code, or `timeout`. */
  ask(protocol: 'tcp' | 'udp', address: string, port: number, timeoutMs = 2000): Promise<string> {
    return this.#send({ verb: 'ask', protocol, address, port, timeoutMs });
  }

  /** Answers every TCP connection with so many bytes. */
  async serve(address: string, port: number, bytes: number): Promise<void> {
    const answer = await this.#send({ verb: 'serve', address, port, bytes });
    if (answer !== 'listening') throw new Error(answer);
  }

  /** SHA-256 of what comes, and how many bytes: `<hex> <count>`. */
  download(address: string, port: number): Promise<string> {
    return this.#send({ verb: 'download', address, port });
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** One at a time, so that an answer belongs to its command. */
  #send(command: Command): Promise<string> {
    const answer = this.#last.then(async () => {
      this.#child.send(command);
      const [text] = await once(this.#child, 'message');
      return String(text);
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }
}

function listen(command: Command & { verb: 'listen' }): Promise<string> {
  const { address, port, name, ipv6Only } = command;
  return new Promise((resolve) => {
    if (command.protocol === 'tcp') {
      const server = createServer((socket) => {
        socket.on('error', () => socket.destroy());
        socket.end(`${name} ${socket.remoteAddress}`);
      });
      server.on('error', (error) => resolve(String(Reflect.get(error, 'code'))));
      server.listen({ port, host: address, ipv6Only }, () => resolve('listening'));
      return;
    }
    const ipv6 = address.includes(':');
    const socket = createSocket({ type: ipv6 ? 'udp6' : 'udp4', ipv6Only });
    socket.on('message', (_, from) => socket.send(`${name} ${from.address}`, from.port, from.address));
    socket.on('error', (error) => resolve(String(Reflect.get(error, 'code'))));
    socket.bind(port, address, () => resolve('listening'));
  });
}

function ask(command: Command & { verb: 'ask' }): Promise<string> {
  const { address, port, timeoutMs } = command;
  return new Promise((resolve) => {
    if (command.protocol === 'tcp') {
      const socket = createConnection({ host: address, port });
      let text = '';
      const timer = setTimeout(() => {
        socket.destroy();
        resolve('timeout');
      }, timeoutMs);
      const finish = (result: string) => {
        clearTimeout(timer);
        resolve(result);
      };
      socket.on('data', (data) => {
        text += String(data);
      });
      socket.on('end', () => finish(text));
      socket.on('error', (error) => finish(String(Reflect.get(error, 'code'))));
      return;
    }
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const finish = (result: string) => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => finish('timeout'), timeoutMs);
    socket.on('message', (data) => finish(String(data)));
    socket.on('error', (error) => finish(String(Reflect.get(error, 'code'))));
    socket.send('hello', port, address);
  });
}

/** The same bytes for all that serve as many. */
export function servedBytes(bytes: number): Buffer {
  return Buffer.alloc(bytes, 'of no two blocks the same: 0123456789abcdefghijklmnopqrstuvwxyz\n');
}

function serve({ address, port, bytes }: Command & { verb: 'serve' }): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(servedBytes(bytes));
    });
    server.on('error', (error) => resolve(String(Reflect.get(error, 'code'))));
    server.listen(port, address, () => resolve('listening'));
  });
}

function download({ address, port }: Command & { verb: 'download' }): Promise<string> {
  return new Promise((resolve) => {
    const hash = createHash('sha256');
    let count = 0;
    const socket = createConnection({ host: address, port });
    socket.setTimeout(10_000, () => socket.destroy(new Error('timeout')));
    socket.on('data', (data) => {
      hash.update(data);
      count += data.length;
    });
    socket.on('end', () => resolve(`${hash.digest('hex')} ${count}`));
    socket.on('error', (error) => resolve(error.message));
  });
}

function obey(command: Command): Promise<string> {
  if (command.verb === 'listen') return listen(command);
  if (command.verb === 'serve') return serve(command);
  return command.verb === 'download' ? download(command) : ask(command);
}

if (process.argv[1] === import.meta.filename) {
  process.on('message', (message) => {
    void obey(message as Command).then((text) => process.send?.(text));
  });
  process.on('disconnect', () => process.exit());
  process.send?.('ready');
}
