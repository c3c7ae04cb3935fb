/**
 * One question to one name server, over UDP or TCP, from the host's network namespace or a container's. Each has a
 * socket of its own, so that the kernel picks a fresh source port, and a fresh ID; only an answer from the server's
 * address, to that port, with that ID and question counts (RFC 5452).
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { isIPv6, Socket } from 'node:net';
import { UnavailableError } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';
import { framed, MessageReader } from './framing.ts';
import type { Query } from './message.ts';
import { MESSAGE_BYTES_MAX } from './message.ts';
import { answersQuery } from './upstream-answer.ts';

export const DNS_PORT = 53;

export interface Upstream {
  address: string;
  /** Where it is asked from; null: the host's namespace. */
  netnsPath: string | null;
}

/** `answer` carries the client's ID. It rejects on errors of the network; a server's refusal is an answer. */
export interface Attempt {
  answer: Promise<Buffer>;
  /** Lets go of the socket; `answer` then stays pending. Idempotent. */
  cancel(): void;
}

/** Addresses need no look-up; dgram and net would go through getaddrinfo's code path all the same. */
type LookupCallback = (error: null, address: string, family: number) => void;
function noLookup(host: string, ...rest: unknown[]): void {
  const callback = rest.at(-1) as LookupCallback;
  callback(null, host, isIPv6(host) ? 6 : 4);
}

export function askOverUdp(upstream: Upstream, query: Query): Attempt {
  const { packet, id } = withFreshId(query);
  const ipv6 = isIPv6(upstream.address);
  const socket = createSocket({ type: ipv6 ? 'udp6' : 'udp4', lookup: noLookup as never });
  let closed = false;
  const cancel = (): void => {
    if (closed) return;
    closed = true;
    socket.close();
  };
  const answer = new Promise<Buffer>((resolve, reject) => {
    socket.on('error', (error) => {
      cancel();
      reject(failure(upstream, error));
    });
    socket.on('message', (message) => {
      if (!answersQuery(message, id, query)) return;
      cancel();
      resolve(withId(message, query.id));
    });
    if (upstream.netnsPath !== null) {
      const fd = addon().openSocket('udp', ipv6 ? 6 : 4, upstream.netnsPath);
      socket.bind({ fd });
      // Or the kernel could give two of them one port when they connect.
      addon().keepPort(fd);
    }
    // Connected: the kernel takes datagrams of that server only, and reports a closed port.
    // Without a route to the server this is called with the error, which then is no event.
    socket.connect(DNS_PORT, upstream.address, (error?: Error) => {
      if (error !== undefined) {
        cancel();
        reject(failure(upstream, error));
      } else if (!closed) socket.send(packet);
    });
  });
  return { answer, cancel };
}

export function askOverTcp(upstream: Upstream, query: Query): Attempt {
  const { packet, id } = withFreshId(query);
  const socket = openTcp(upstream);
  const reader = new MessageReader(MESSAGE_BYTES_MAX);
  const answer = new Promise<Buffer>((resolve, reject) => {
    socket.on('error', (error) => reject(failure(upstream, error)));
    socket.on('close', () => reject(failure(upstream, new Error('the connection was closed'))));
    socket.on('data', (chunk) => {
      const message = reader.push(chunk).find((each) => answersQuery(each, id, query));
      if (message === undefined) return;
      resolve(withId(message, query.id));
      socket.destroy();
    });
    socket.connect({ host: upstream.address, port: DNS_PORT, lookup: noLookup as never });
    socket.resume();
    socket.write(framed(packet));
  });
  return { answer, cancel: () => socket.destroy() };
}

function openTcp({ address, netnsPath }: Upstream): Socket {
  if (netnsPath === null) return new Socket();
  const fd = addon().openSocket('tcp', isIPv6(address) ? 6 : 4, netnsPath);
  // Paused, or it would be read from before it is connected.
  const options = { fd, pauseOnCreate: true };
  return new Socket(options);
}

function withFreshId(query: Query): { packet: Buffer; id: number } {
  const id = randomInt(0x10000);
  return { packet: withId(query.packet, id), id };
}

/** A copy: the received bytes may belong to somebody else's buffer. */
function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

function failure(upstream: Upstream, cause: Error): UnavailableError {
  return new UnavailableError(`name server ${upstream.address} cannot be asked`, cause);
}
