/**
 * The socket of the host that stands for a published port. It keeps other programs off the port, and carries on what
 * the kernel does not translate: the other address family, [::1], and all where somebody removed the rules. What the
 * kernel translates never arrives here. SCTP is only held, never carried.
 */
import { closeSync } from 'node:fs';
import { errnoCode } from '../../base/errors.ts';
import { bindPort, offer, withdraw } from '../../native/bound-ports.ts';
import type { Family } from '../ip-address.ts';
import type { BoundPort } from '../model.ts';
import { forwardConnections } from './connection-forwarder.ts';
import { forwardDatagrams } from './datagram-forwarder.ts';
import type { DescriptorBudget } from './descriptor-budget.ts';

/** Where a forwarder sends; it may change while it works. */
export interface ForwardTarget {
  address: string;
  family: Family;
  port: number;
}

export interface PortSocket {
  /** Frees the port, and ends what is being carried unless `keepCarried`: connections then go on to their own end. */
  close(keepCarried?: boolean): void;
  /** From the next connection or client on. */
  retarget(target: ForwardTarget): void;
}

/** The host's kernel has no SCTP, so no program of the host can take the port. */
const NO_SCTP = new Set(['EPROTONOSUPPORT', 'ESOCKTNOSUPPORT', 'EAFNOSUPPORT']);

/** Throws the system error (EADDRINUSE, EADDRNOTAVAIL, EACCES) of the bind. `carried` is for what it carries on. */
export function openPortSocket(
  port: BoundPort,
  target: ForwardTarget,
  carried: DescriptorBudget,
): PortSocket {
  if (port.protocol === 'sctp') return holdSctp(port);
  const fd = bindPort(port.protocol, port.hostIp, port.hostPort);
  try {
    const socket =
      port.protocol === 'tcp'
        ? forwardConnections(fd, target, carried)
        : forwardDatagrams(fd, port.hostIp, target, carried);
    offerPort(port, fd);
    return {
      close(keepCarried) {
        withdraw(fd);
        socket.close(keepCarried);
      },
      retarget: (next) => socket.retarget(next),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function holdSctp(port: BoundPort): PortSocket {
  let fd: number | undefined;
  try {
    fd = bindPort('sctp', port.hostIp, port.hostPort);
    offerPort(port, fd);
  } catch (error) {
    if (!NO_SCTP.has(errnoCode(error) ?? '')) throw error;
  }
  return {
    close() {
      if (fd === undefined) return;
      withdraw(fd);
      closeSync(fd);
      fd = undefined;
    },
    retarget: () => undefined,
  };
}

function offerPort({ protocol, hostIp, hostPort }: BoundPort, fd: number): void {
  offer({ protocol, address: hostIp, port: hostPort, netnsPath: null }, fd);
}
