/** What the firewall is told: networks, published ports, and containers that may not go everywhere. Plain data. */
import type { IpAddress, Subnet } from '../ip-address.ts';

/** `nat`: reached through published ports. `routed`: published ports are open at the container's own address. */
export type GatewayMode = 'nat' | 'nat-unprotected' | 'routed' | 'isolated';

/** A network whose traffic goes through a bridge of this host. macvlan and ipvlan networks pass no firewall of ours. */
export interface FirewallNetwork {
  id: string;
  bridge: string;
  /** At most one of a family. A family without one is closed. */
  subnets: readonly Subnet[];
  internal: boolean;
  /** Containers of this network reach each other. */
  icc: boolean;
  masquerade: { ipv4: boolean; ipv6: boolean };
  gatewayMode: { ipv4: GatewayMode; ipv6: GatewayMode };
}

/**
 * A port of the host that leads to a container, both of one family (`containerAddress` says which). In a `routed`
 * network `hostIp` and `hostPort` mean nothing: the port is open at the container's address.
 */
export interface PublishedPort {
  protocol: 'tcp' | 'udp' | 'sctp';
  /** '' stands for every address of the host. */
  hostIp: string;
  hostPort: number;
  containerAddress: IpAddress;
  containerPort: number;
  networkId: string;
}

/** One interface of a container that reaches nothing outside its network but what is named. */
export interface EgressRule {
  containerId: string;
  /** Its own, of both families. */
  addresses: readonly IpAddress[];
  macAddress: string;
  /** The host's end of its cable. */
  hostInterface: string;
  /** Where it may go. */
  subnets: readonly Subnet[];
  /** Names whose addresses it may be admitted to. */
  names: readonly string[];
}

export interface FirewallState {
  networks: readonly FirewallNetwork[];
  ports: readonly PublishedPort[];
  restricted: readonly EgressRule[];
}

/** Packets of a container that were refused, and where the last ones went to: newest first. */
export interface BlockedReport {
  packets: number;
  /** RFC 3339, and `192.0.2.7:443/tcp` or `[2001:db8::7]:443/tcp`; without ports for other protocols. */
  recent: { time: string; destination: string }[];
}
