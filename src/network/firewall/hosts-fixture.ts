/**
 * A host with bridges, containers and another host beside it, made of network namespaces, for tests of the firewall.
 * The namespace that the test runs in stands for the host.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addon } from '../../native/addon.ts';
import { parseSubnet } from '../ip-address.ts';
import { NetnsAgent } from '../netns-agent-fixture.ts';
import { removeNetns } from '../netns-pool.ts';
import type { FirewallNetwork } from './model.ts';

export const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', timeout: 10_000 });

export const shell = (script: string): string => run('sh', '-ec', script);

/** Usable at once, without a search for others that have it. */
const noDad = (address: string): string => (address.includes(':') ? ' nodad' : '');

export interface Place {
  name: string;
  agent: NetnsAgent;
  path: string;
  /** Its addresses, without prefix lengths. */
  ipv4: string;
  ipv6: string;
  macAddress: string;
  hostInterface: string;
}

export class HostsFixture {
  readonly #directory = mkdtempSync(join(tmpdir(), 'mydock-firewall-'));
  readonly #places: Place[] = [];
  local!: NetnsAgent;

  static async create(): Promise<HostsFixture> {
    const hosts = new HostsFixture();
    shell('ip link set lo up');
    for (const name of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) {
      writeFileSync(`/proc/sys/${name}`, '1');
    }
    hosts.local = await NetnsAgent.start(null);
    return hosts;
  }

  /** Addresses like `172.17.0.1/16`. */
  bridge(name: string, ...addresses: string[]): void {
    shell(`ip link add ${name} type bridge; ip link set ${name} up
      ${addresses.map((address) => `ip addr add ${address} dev ${name}${noDad(address)}`).join('\n')}
      echo 1 >/proc/sys/net/ipv4/conf/${name}/route_localnet`);
  }

  /**
   * Another namespace on a cable: on a bridge, or with `hostAddresses` on a cable to the host alone. The first host
   * of each family's subnet is its gateway.
   */
  async place(
    name: string,
    addresses: readonly string[],
    at: { bridge: string } | { hostAddresses: readonly string[] },
  ): Promise<Place> {
    const path = join(this.#directory, name);
    await addon().createNetns(path);
    const end = `v-${name}`;
    const inside = (command: string) => `nsenter --net=${path} ${command}`;
    const gateways = addresses.map((address) => (address.includes(':') ? ['-6', '::'] : ['-4', '.']));
    const routes = addresses.map((address, index) => {
      const [flag, mark] = gateways[index] ?? [];
      const base = address.replace(/\/.*/, '');
      const gateway = mark === '.' ? base.replace(/\.\d+$/, '.1') : base.replace(/::.*/, '::1');
      return inside(`ip ${flag} route add default via ${gateway}`);
    });
    shell(`ip link add ${end} type veth peer name eth0 netns ${path}
      ip link set ${end} up
      ${'bridge' in at ? `ip link set ${end} master ${at.bridge}` : at.hostAddresses.map((address) => `ip addr add ${address} dev ${end}${noDad(address)}`).join('\n')}
      ${inside('ip link set eth0 up')}
      ${addresses.map((address) => inside(`ip addr add ${address} dev eth0${noDad(address)}`)).join('\n')}
      ${routes.join('\n')}`);
    const found = (mark: string) =>
      addresses.find((address) => address.includes(mark))?.replace(/\/.*/, '') ?? '';
    const place = {
      name,
      path,
      agent: await NetnsAgent.start(path),
      ipv4: found('.'),
      ipv6: found(':'),
      macAddress: /link\/ether (\S+)/.exec(shell(inside('ip link show eth0')))?.[1] ?? '',
      hostInterface: end,
    };
    this.#places.push(place);
    return place;
  }

  async remove(): Promise<void> {
    await this.local.stop();
    for (const place of this.#places) {
      await place.agent.stop();
      removeNetns(place.path);
    }
    rmSync(this.#directory, { recursive: true });
  }
}

export function network(
  id: string,
  bridge: string,
  subnets: readonly string[],
  more: Partial<FirewallNetwork> = {},
): FirewallNetwork {
  return {
    id,
    bridge,
    subnets: subnets.map(parseSubnet),
    internal: false,
    icc: true,
    masquerade: { ipv4: true, ipv6: true },
    gatewayMode: { ipv4: 'nat', ipv6: 'nat' },
    ...more,
  };
}
