/**
 * Who is at the other end of a connection, for the audit log: of a Unix socket what the kernel says (SO_PEERCRED of
 * unix(7): process, user and group at the moment of connect(2)), of TLS the subject of the client's certificate. Asked
 * when it is first needed: connections that only read cost nothing.
 */
import { readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errorMessage } from '../base/errors.ts';
import { addon } from '../native/addon.ts';
import { descriptorOf } from '../native/descriptor.ts';

/** Fields of a log line. */
export type Peer = Readonly<Record<string, string | number>>;

const known = new WeakMap<Socket, Peer>();

/** Never throws; what cannot be known is said as such. To be called while the connection is open. */
export function peerOf(socket: Socket): Peer {
  const before = known.get(socket);
  if (before !== undefined) return before;
  const peer = socket instanceof TLSSocket ? certificatePeer(socket) : localPeer(socket);
  known.set(socket, peer);
  return peer;
}

function certificatePeer(socket: TLSSocket): Peer {
  const { subject, fingerprint256 } = socket.getPeerCertificate();
  const address = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
  const name = Object.entries(subject ?? {})
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(',');
  return { address, subject: name || 'unknown', fingerprint: fingerprint256 ?? 'unknown' };
}

function localPeer(socket: Socket): Peer {
  try {
    const { pid, uid, gid } = addon().peerCredentials(descriptorOf(socket));
    return { uid, gid, pid, program: programName(pid) };
  } catch (error) {
    return { peer: `unknown: ${errorMessage(error)}` };
  }
}

/** What the process executes now: it may have ended, or have become another program. 0 is of a foreign namespace. */
function programName(pid: number): string {
  try {
    return pid === 0 ? 'unknown' : readlinkSync(`/proc/${pid}/exe`);
  } catch {
    // Ended: nothing more can be said than its number.
    return 'unknown';
  }
}
