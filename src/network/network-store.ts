/**
 * What networking remembers: networks, each container's sandbox, and its endpoint on each network. The database holds
 * it, and memory a copy that all questions are answered from; only this daemon writes it. Everything is written here
 * before it is made in the kernel, so that whatever an interruption leaves behind can be found and removed.
 */
import { randomBytes } from 'node:crypto';
import type { StatementSync } from 'node:sqlite';
import type { Database, Migrations } from '../base/database.ts';
import { transaction } from '../base/database.ts';
import type { DnsPorts } from './dns/dns-server.ts';
import type { BoundPort, DnsSettings, EgressPolicy, NetworkRecord, PortMapping } from './model.ts';
import { NETWORK_SCHEMA } from './network-schema.ts';

export const NETWORK_MIGRATIONS: Migrations = { concept: 'network', steps: NETWORK_SCHEMA };

export const PREDEFINED_NAMES = ['bridge', 'host', 'none'] as const;

/** `coming` and `going`: what the kernel has of it is unknown, and it is removed when a daemon starts. */
export type NetworkState = 'coming' | 'ready' | 'going';

export interface StoredNetwork {
  record: NetworkRecord;
  state: NetworkState;
  /** The address that was given out last, by subnet. */
  lastAddresses: Record<string, string>;
}

export interface SandboxRow {
  containerId: string;
  containerName: string;
  hostname: string;
  netnsPath: string;
  /** What is to be published whenever there is a network to publish by; ephemeral numbers are settled once. */
  mappings: PortMapping[];
  /** What is published. */
  ports: BoundPort[];
  dns: DnsSettings;
  /** The container's own; null where only its networks may have one. */
  egress: EgressPolicy | null;
  /** The resolver's, once there is one. */
  dnsPorts: DnsPorts | null;
  /** An endpoint is coming or going: routes, ports and policies may still be those of before. */
  settling?: boolean;
  /** By prefix (`eth`), the number of the next interface. */
  nextInterface: Record<string, number>;
}

export interface EndpointRow {
  containerId: string;
  networkId: string;
  endpointId: string;
  /** Text; empty where the network has no such family. */
  ipv4: string;
  ipv6: string;
  macAddress: string;
  containerInterface: string;
  hostInterface: string;
  gwPriority: number;
  aliases: string[];
  /** Names of other containers and what only this one calls them. */
  links: { name: string; alias: string }[];
  linkLocal: string[];
  driverOptions: Record<string, string>;
}

export class NetworkStore {
  readonly #db: Database;
  readonly #statements = new Map<string, StatementSync>();
  readonly #networks = new Map<string, StoredNetwork>();
  readonly #sandboxes = new Map<string, SandboxRow>();
  /** By container, in the order of being connected. */
  readonly #endpoints = new Map<string, EndpointRow[]>();
  /** By network. */
  readonly #taken = new Map<string, Set<string>>();

  constructor(db: Database) {
    this.#db = db;
    for (const row of this.#statement('SELECT state, last_addresses, record FROM network').all()) {
      const record = JSON.parse(String(row['record'])) as NetworkRecord;
      const lastAddresses = JSON.parse(String(row['last_addresses'])) as Record<string, string>;
      this.#networks.set(record.id, { record, state: row['state'] as NetworkState, lastAddresses });
    }
    for (const row of this.#statement('SELECT record FROM network_sandbox').all()) {
      const sandbox = JSON.parse(String(row['record'])) as SandboxRow;
      this.#sandboxes.set(sandbox.containerId, sandbox);
    }
    for (const row of this.#statement('SELECT record FROM network_endpoint ORDER BY rowid').all()) {
      this.#remember(JSON.parse(String(row['record'])) as EndpointRow);
    }
  }

  /** All of them, also those that are coming or going. */
  networks(): StoredNetwork[] {
    return [...this.#networks.values()];
  }

  network(id: string): StoredNetwork | undefined {
    return this.#networks.get(id);
  }

  /** Written anew or over what was there. */
  putNetwork(record: NetworkRecord, state: NetworkState): void {
    const lastAddresses = this.#networks.get(record.id)?.lastAddresses ?? {};
    this.#statement(
      `INSERT INTO network (id, name, state, record) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET state = excluded.state, record = excluded.record`,
    ).run(record.id, record.name, state, JSON.stringify(record));
    this.#networks.set(record.id, { record, state, lastAddresses });
  }

  removeNetwork(id: string): void {
    this.#statement('DELETE FROM network WHERE id = ?').run(id);
    this.#networks.delete(id);
    this.#taken.delete(id);
  }

  sandbox(containerId: string): SandboxRow | undefined {
    return this.#sandboxes.get(containerId);
  }

  sandboxes(): SandboxRow[] {
    return [...this.#sandboxes.values()];
  }

  endpoints(containerId: string): readonly EndpointRow[] {
    return this.#endpoints.get(containerId) ?? [];
  }

  endpointsOf(networkId: string): EndpointRow[] {
    return [...this.#endpoints.values()].flat().filter((row) => row.networkId === networkId);
  }

  /** Addresses of both families that containers of a network have, as text. */
  takenAddresses(networkId: string): ReadonlySet<string> {
    return this.#taken.get(networkId) ?? new Set();
  }

  /**
   * Writes a sandbox and endpoints, all or nothing. `lastAddresses` are what was given out last, by network and subnet.
   */
  put(
    sandbox: SandboxRow,
    endpoints: readonly EndpointRow[],
    lastAddresses: readonly { networkId: string; subnet: string; address: string }[],
  ): void {
    transaction(this.#db, () => {
      this.#writeSandbox(sandbox);
      for (const row of endpoints) {
        this.#statement(
          'INSERT INTO network_endpoint (container_id, network_id, record) VALUES (?, ?, ?)',
        ).run(row.containerId, row.networkId, JSON.stringify(row));
      }
      for (const { networkId, subnet, address } of lastAddresses) {
        this.#statement(
          'UPDATE network SET last_addresses = json_set(last_addresses, ?, ?) WHERE id = ?',
        ).run(`$."${subnet}"`, address, networkId);
      }
    });
    this.#sandboxes.set(sandbox.containerId, sandbox);
    for (const row of endpoints) this.#remember(row);
    for (const { networkId, subnet, address } of lastAddresses) {
      const network = this.#networks.get(networkId);
      if (network !== undefined) network.lastAddresses[subnet] = address;
    }
  }

  /** What `body` stores, here and elsewhere in the database, lasts as one. */
  together(body: () => void): void {
    transaction(this.#db, body);
  }

  putSandbox(sandbox: SandboxRow): void {
    this.#writeSandbox(sandbox);
    this.#sandboxes.set(sandbox.containerId, sandbox);
  }

  removeEndpoint(containerId: string, networkId: string): void {
    this.#statement('DELETE FROM network_endpoint WHERE container_id = ? AND network_id = ?').run(
      containerId,
      networkId,
    );
    this.#forget(containerId, (row) => row.networkId === networkId);
  }

  /** With its endpoints. */
  removeSandbox(containerId: string): void {
    transaction(this.#db, () => {
      this.#statement('DELETE FROM network_endpoint WHERE container_id = ?').run(containerId);
      this.#statement('DELETE FROM network_sandbox WHERE container_id = ?').run(containerId);
    });
    this.#forget(containerId, () => true);
    this.#sandboxes.delete(containerId);
  }

  /** Facts about the host: of this boot (forwarding), or for ever (the daemon's IPv6 prefix). */
  hostFact(key: string): string | undefined {
    const row = this.#statement('SELECT value FROM network_host WHERE key = ?').get(key);
    return row === undefined ? undefined : String(row['value']);
  }

  setHostFact(key: string, value: string): void {
    this.#statement(
      'INSERT INTO network_host VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    ).run(key, value);
  }

  #writeSandbox(sandbox: SandboxRow): void {
    this.#statement(
      `INSERT INTO network_sandbox VALUES (?, ?, ?)
       ON CONFLICT (container_id) DO UPDATE SET netns_path = excluded.netns_path, record = excluded.record`,
    ).run(sandbox.containerId, sandbox.netnsPath, JSON.stringify(sandbox));
  }

  #remember(row: EndpointRow): void {
    const rows = this.#endpoints.get(row.containerId) ?? [];
    this.#endpoints.set(row.containerId, [...rows, row]);
    const taken = this.#taken.get(row.networkId) ?? new Set<string>();
    this.#taken.set(row.networkId, taken);
    for (const address of addressesOf(row)) taken.add(address);
  }

  #forget(containerId: string, which: (row: EndpointRow) => boolean): void {
    const rows = this.#endpoints.get(containerId) ?? [];
    for (const row of rows.filter(which)) {
      for (const address of addressesOf(row)) this.#taken.get(row.networkId)?.delete(address);
    }
    const rest = rows.filter((row) => !which(row));
    if (rest.length > 0) this.#endpoints.set(containerId, rest);
    else this.#endpoints.delete(containerId);
  }

  /** Compiled once. */
  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** Those that it has, of both families. */
export function addressesOf(row: Pick<EndpointRow, 'ipv4' | 'ipv6'>): string[] {
  return [row.ipv4, row.ipv6].filter((address) => address !== '');
}

/** 64 hex digits. */
export function randomId(): string {
  return randomBytes(32).toString('hex');
}
