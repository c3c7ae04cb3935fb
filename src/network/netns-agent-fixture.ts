/**
 * A process inside a network namespace that listens and connects on command, for tests. Run as a program it is the
 * agent (commands over Node's IPC channel); `NetnsAgent` starts and drives one.
 */

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';

type Command =
  | { verb: 'listen'; protocol: 'tcp' | 'udp'; address: string; port: number; name: string }
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
  async listen(protocol: 'tcp' | 'udp', address: string, port: number, name: string): Promise<void> {
    const answer = await this.#send({ verb: 'listen', protocol, address, port, name });
    if (answer !== 'listening') throw new Error(answer);
  }

  /** What the other side answers, or the error's code, or `timeout`. */
  ask(protocol: 'tcp' | 'udp', address: string, port: number, timeoutMs = 2000): Promise<string> {
    return this.#send({ verb: 'ask', protocol, address, port, timeoutMs });
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
  const { address, port, name } = command;
  return new Promise((resolve) => {
    if (command.protocol === 'tcp') {
      const server = createServer((socket) => {
        socket.on('error', () => socket.destroy());
        socket.end(`${name} ${socket.remoteAddress}`);
      });
      server.on('error', (error) => resolve(String(Reflect.get(error, 'code'))));
      server.listen(port, address, () => resolve('listening'));
      return;
    }
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
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

if (process.argv[1] === import.meta.filename) {
  process.on('message', (message) => {
    const command = message as Command;
    const answer = command.verb === 'listen' ? listen(command) : ask(command);
    void answer.then((text) => process.send?.(text));
  });
  process.on('disconnect', () => process.exit());
  process.send?.('ready');
}
