/**
 * Both ends of the name server for its tests: a client inside a network namespace, and a scripted name server that
 * stands for the host's. Messages are built byte by byte here, not with the code that is tested.
 */
import type { Socket as DatagramSocket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Server } from 'node:net';
import { createServer, Socket } from 'node:net';
import { addon } from '../../native/addon.ts';

export const TYPES = { A: 1, CNAME: 5, PTR: 12, MX: 15, TXT: 16, AAAA: 28, ANY: 255 } as const;

export function wireName(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.');
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])),
    Buffer.of(0),
  ]);
}

export interface QueryOptions {
  id?: number;
  type?: number;
  /** EDNS payload size; none: no EDNS. */
  edns?: number;
  version?: number;
  dnssecOk?: boolean;
}

export function queryBytes(name: string, options: QueryOptions = {}): Buffer {
  const head = Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, options.edns === undefined ? 0 : 1]);
  head.writeUInt16BE(options.id ?? 0x1234, 0);
  const question = Buffer.concat([wireName(name), Buffer.of(0, options.type ?? TYPES.A, 0, 1)]);
  if (options.edns === undefined) return Buffer.concat([head, question]);
  const opt = Buffer.from([0, 0, 41, 0, 0, 0, options.version ?? 0, options.dnssecOk ? 0x80 : 0, 0, 0, 0]);
  opt.writeUInt16BE(options.edns, 3);
  return Buffer.concat([head, question, opt]);
}

export function resourceRecord(name: string, type: number, ttl: number, data: Uint8Array): Buffer {
  const middle = Buffer.alloc(10);
  middle.writeUInt16BE(type, 0);
  middle.writeUInt16BE(1, 2);
  middle.writeUInt32BE(ttl, 4);
  middle.writeUInt16BE(data.length, 8);
  return Buffer.concat([wireName(name), middle, data]);
}

/** An answer to `query`, whose question has no more than one name of plain labels. */
export function answerBytes(query: Buffer, rcode: number, records: readonly Buffer[], flags = 0): Buffer {
  const end = query.indexOf(0, 12) + 5;
  const head = Buffer.from(query.subarray(0, end));
  head.writeUInt16BE(0x8180 | flags | rcode, 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt16BE(0, 10);
  return Buffer.concat([head, ...records]);
}

/** The name of the question, its case kept. */
export function questionName(message: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; (message[at] ?? 0) !== 0; at += 1 + (message[at] ?? 0)) {
    labels.push(message.toString('latin1', at + 1, at + 1 + (message[at] ?? 0)));
  }
  return labels.join('.');
}

export interface Reply {
  bytes: Buffer;
  id: number;
  rcode: number;
  truncated: boolean;
  name: string;
  /** Addresses as dotted bytes or hex, other data as hex. */
  answers: string[];
  ttls: number[];
  /** Flags of the OPT record, undefined without one. */
  edns: { payload: number; dnssecOk: boolean; extendedRcode: number } | undefined;
}

/** Reads what the resolver itself writes: names in answers are pointers. */
export function readReply(bytes: Buffer): Reply {
  const questions = bytes.readUInt16BE(4);
  const reply: Reply = {
    bytes,
    id: bytes.readUInt16BE(0),
    rcode: bytes.readUInt16BE(2) & 15,
    truncated: (bytes.readUInt16BE(2) & 0x200) !== 0,
    name: questions === 1 ? questionName(bytes) : '',
    answers: [],
    ttls: [],
    edns: undefined,
  };
  let at = questions === 1 ? bytes.indexOf(0, 12) + 5 : 12;
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  for (let count = 0; count < records; count++) {
    at = (bytes[at] ?? 0) >= 0xc0 ? at + 2 : bytes.indexOf(0, at) + 1;
    const length = bytes.readUInt16BE(at + 8);
    const data = bytes.subarray(at + 10, at + 10 + length);
    if (bytes.readUInt16BE(at) === 41) {
      const flags = bytes.readUInt16BE(at + 6);
      reply.edns = {
        payload: bytes.readUInt16BE(at + 2),
        dnssecOk: (flags & 0x8000) !== 0,
        extendedRcode: bytes[at + 4] ?? 0,
      };
    } else {
      reply.answers.push(length === 4 ? [...data].join('.') : data.toString('hex'));
      reply.ttls.push(bytes.readUInt32BE(at + 4));
    }
    at += 10 + length;
  }
  return reply;
}

/** What comes back over UDP, or the error's code, or `timeout`. */
export async function exchangeUdp(
  netnsPath: string,
  message: Buffer,
  { address = '127.0.0.11', timeoutMs = 3000 } = {},
): Promise<Buffer | string> {
  const socket = createSocket('udp4');
  const fd = addon().openSocket('udp', 4, netnsPath);
  socket.bind({ fd });
  // Or the kernel could give two of them one port when they connect.
  addon().keepPort(fd);
  try {
    return await new Promise<Buffer | string>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs, 'timeout');
      const finish = (result: Buffer | string) => {
        clearTimeout(timer);
        resolve(result);
      };
      socket.on('message', finish);
      socket.on('error', (error) => finish(String(Reflect.get(error, 'code'))));
      socket.connect(53, address, () => socket.send(message));
    });
  } finally {
    socket.close();
  }
}

/** A TCP connection inside the namespace; the caller connects, resumes and destroys it. */
export function tcpSocket(netnsPath: string): Socket {
  const options = { fd: addon().openSocket('tcp', 4, netnsPath), pauseOnCreate: true };
  return new Socket(options);
}

/** The answers to `messages`, which go out at once over one TCP connection; fewer where it is closed before. */
export async function exchangeTcp(
  netnsPath: string,
  messages: readonly Buffer[],
  address = '127.0.0.11',
): Promise<Buffer[]> {
  const socket = tcpSocket(netnsPath);
  const answers: Buffer[] = [];
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      answers.push(rest.subarray(2, 2 + rest.readUInt16BE(0)));
      rest = rest.subarray(2 + rest.readUInt16BE(0));
    }
    if (answers.length >= messages.length) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  socket.setTimeout(5000, () => socket.destroy());
  socket.connect(53, address);
  socket.resume();
  for (const message of messages) {
    socket.write(Buffer.of(message.length >> 8, message.length & 255));
    socket.write(message);
  }
  await once(socket, 'close');
  return answers;
}

export type Script = (query: Buffer, transport: 'udp' | 'tcp') => Buffer | Buffer[] | undefined;

/** A name server on port 53 of one address; `script` says what it answers. */
export class UpstreamFixture {
  readonly queries: { name: string; from: string; port: number; transport: 'udp' | 'tcp'; id: number }[] = [];
  script: Script;
  readonly #udp: DatagramSocket;
  readonly #tcp: Server;

  constructor(netnsPath: string | null, address: string, script: Script) {
    this.script = script;
    this.#udp = createSocket('udp4');
    this.#udp.on('message', (query, from) => {
      for (const answer of this.#run(query, 'udp', from.address, from.port)) {
        this.#udp.send(answer, from.port, from.address);
      }
    });
    this.#udp.bind({ fd: addon().bindPort('udp', address, 53, netnsPath) });
    this.#tcp = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk) => {
        const { remoteAddress = '', remotePort = 0 } = socket;
        for (const answer of this.#run(chunk.subarray(2), 'tcp', remoteAddress, remotePort)) {
          socket.write(Buffer.concat([Buffer.of(answer.length >> 8, answer.length & 255), answer]));
        }
      });
    });
    this.#tcp.listen({ fd: addon().bindPort('tcp', address, 53, netnsPath) });
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  #run(query: Buffer, transport: 'udp' | 'tcp', from: string, port: number): Buffer[] {
    this.queries.push({ name: questionName(query), from, port, transport, id: query.readUInt16BE(0) });
    const answer = this.script(query, transport);
    return answer === undefined ? [] : Array.isArray(answer) ? answer : [answer];
  }
}
