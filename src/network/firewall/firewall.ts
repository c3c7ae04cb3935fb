/** The nftables table of an engine: networks kept apart, published ports, containers kept in. */
import { NotImplementedError } from '../../base/errors.ts';
import type { IpAddress } from '../ip-address.ts';
import type { BlockedReport, EgressRule, FirewallNetwork, FirewallState, PublishedPort } from './model.ts';

export interface FirewallOptions {
  table: string;
  /** Interfaces between which the host did not forward before the engine switched forwarding on: it still does not. */
  uplinks: { ipv4: readonly string[]; ipv6: readonly string[] };
  mode: 'default' | 'strict';
}

export class Firewall {
  constructor(_options: FirewallOptions) {
    throw new NotImplementedError('firewall');
  }

  /** Makes the table say exactly this, whatever it said before, in one transaction. */
  install(_state: FirewallState): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  addNetwork(_network: FirewallNetwork): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  /** Idempotent. */
  removeNetwork(_id: string): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  /** All or none. Conflict where a port leads to another container. */
  publish(_ports: readonly PublishedPort[]): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  /** Those that are not there are no error. */
  withdraw(_ports: readonly PublishedPort[]): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  /** Forgets the tracked connections to a container's address, so that nothing is sent on to a later owner of it. */
  forgetConnections(_address: IpAddress): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  /** From the next packet on. One rule for each interface of a container; again for the same interface replaces it. */
  restrict(_rule: EgressRule): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  /** All its rules, or that of one interface. Idempotent. */
  unrestrict(_containerId: string, _hostInterface?: string): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  /** Lets a restricted container reach addresses for some time; never shortens what was given before. */
  admit(_containerId: string, _addresses: readonly IpAddress[], _ttlSec: number): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  blocked(_containerId: string): Promise<BlockedReport> {
    throw new NotImplementedError('firewall');
  }
  uninstall(): Promise<void> {
    throw new NotImplementedError('firewall');
  }
  close(): Promise<void> {
    throw new NotImplementedError('firewall');
  }
}
