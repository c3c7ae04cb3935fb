/**
 * What networking remembers in the database: the predefined networks, the address that was given out last, the
 * network namespace of each container, and its endpoint. Everything that is written here before it is made in the
 * kernel can be found and removed after a crash.
 */
import { randomBytes } from 'node:crypto';
import type { StatementSync } from 'node:sqlite';
import type { Database, Migrations } from '../base/database.ts';
import { transaction } from '../base/database.ts';
import { ForbiddenError, InvalidParameterError, UnavailableError } from '../base/errors.ts';
import type { Subnet } from './address.ts';
import { contains, formatIPv4, subnetSize } from './address.ts';
import type { BoundPort } from './ports.ts';

export const NETWORK_MIGRATIONS: Migrations = {
  concept: 'network',
  steps: [
    `CREATE TABLE network_predefined (
       name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, created TEXT NOT NULL,
       subnet TEXT NOT NULL DEFAULT '', gateway TEXT NOT NULL DEFAULT '', last_address INTEGER NOT NULL DEFAULT 0
     ) STRICT;
     CREATE TABLE network_sandbox (container_id TEXT PRIMARY KEY, netns_path TEXT NOT NULL UNIQUE) STRICT;
     CREATE TABLE network_endpoint (
       container_id TEXT PRIMARY KEY, endpoint_id TEXT NOT NULL UNIQUE, container_name TEXT NOT NULL,
       address INTEGER NOT NULL UNIQUE, mac_address TEXT NOT NULL, host_interface TEXT NOT NULL,
       ports TEXT NOT NULL DEFAULT '[]'
     ) STRICT;
     CREATE TABLE network_host (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`,
  ],
};

export const PREDEFINED_NAMES = ['bridge', 'host', 'none'] as const;
export type PredefinedName = (typeof PREDEFINED_NAMES)[number];

export interface PredefinedNetwork {
  name: PredefinedName;
  id: string;
  /** RFC 3339. */
  created: string;
  /** `172.17.0.0/16` and its gateway; empty for host and none, and before a subnet was chosen. */
  subnet: string;
  gateway: string;
}

export interface EndpointRow {
  containerId: string;
  endpointId: string;
  containerName: string;
  address: number;
  macAddress: string;
  hostInterface: string;
  ports: BoundPort[];
}

type Row = Record<string, unknown>;

export class NetworkStore {
  readonly #db: Database;

  readonly #statements = new Map<string, StatementSync>();

  constructor(db: Database) {
    this.#db = db;
    transaction(db, () => {
      const insert = db.prepare(
        'INSERT OR IGNORE INTO network_predefined (name, id, created) VALUES (?, ?, ?)',
      );
      for (const name of PREDEFINED_NAMES) insert.run(name, randomId(), new Date().toISOString());
    });
  }

  predefined(name: PredefinedName): PredefinedNetwork {
    const row: Row = this.#statement('SELECT * FROM network_predefined WHERE name = ?').get(name) ?? {};
    return {
      name,
      id: String(row['id']),
      created: String(row['created']),
      subnet: String(row['subnet']),
      gateway: String(row['gateway']),
    };
  }

  setBridgeSubnet(subnet: string, gateway: string): void {
    this.#statement(
      "UPDATE network_predefined SET subnet = ?, gateway = ?, last_address = 0 WHERE name = 'bridge'",
    ).run(subnet, gateway);
  }

  sandbox(containerId: string): string | undefined {
    const row = this.#statement('SELECT netns_path FROM network_sandbox WHERE container_id = ?').get(
      containerId,
    );
    return row === undefined ? undefined : String(row['netns_path']);
  }

  /** Paths of namespaces by container. */
  sandboxes(): Map<string, string> {
    const rows = this.#statement('SELECT container_id, netns_path FROM network_sandbox').all();
    return new Map(rows.map((row) => [String(row['container_id']), String(row['netns_path'])]));
  }

  addSandbox(containerId: string, netnsPath: string): void {
    this.#statement('INSERT INTO network_sandbox VALUES (?, ?)').run(containerId, netnsPath);
  }

  removeSandbox(containerId: string): void {
    this.#statement('DELETE FROM network_sandbox WHERE container_id = ?').run(containerId);
  }

  endpoint(containerId: string): EndpointRow | undefined {
    const row = this.#statement('SELECT * FROM network_endpoint WHERE container_id = ?').get(containerId);
    return row === undefined ? undefined : endpointRow(row);
  }

  endpoints(): EndpointRow[] {
    return this.#statement('SELECT * FROM network_endpoint').all().map(endpointRow);
  }

  /**
   * Writes an endpoint with a free address: `wanted`, or the next one after the last that was given out. Throws
   * Forbidden where the wanted one is taken, Unavailable where none is left.
   */
  addEndpoint(
    endpoint: Omit<EndpointRow, 'address' | 'ports' | 'macAddress'>,
    choice: { subnet: Subnet; gateway: number; wanted?: number; mac: (address: number) => string },
  ): EndpointRow {
    return transaction(this.#db, () => {
      const address = choice.wanted ?? this.#nextAddress(choice.subnet, choice.gateway);
      if (choice.wanted !== undefined) this.#checkWanted(choice.wanted, choice.subnet, choice.gateway);
      const row: EndpointRow = { ...endpoint, address, macAddress: choice.mac(address), ports: [] };
      this.#db
        .prepare(
          `INSERT INTO network_endpoint (container_id, endpoint_id, container_name, address, mac_address,
             host_interface) VALUES (?, ?, ?, ?, ?, ?)`,
        )
        .run(row.containerId, row.endpointId, row.containerName, address, row.macAddress, row.hostInterface);
      return row;
    });
  }

  setPorts(containerId: string, ports: readonly BoundPort[]): void {
    this.#statement('UPDATE network_endpoint SET ports = ? WHERE container_id = ?').run(
      JSON.stringify(ports),
      containerId,
    );
  }

  removeEndpoint(containerId: string): void {
    this.#statement('DELETE FROM network_endpoint WHERE container_id = ?').run(containerId);
  }

  /** Facts about this boot of the host, forgotten with the next one. */
  hostFact(key: string): string | undefined {
    const row = this.#statement('SELECT value FROM network_host WHERE key = ?').get(key);
    return row === undefined ? undefined : String(row['value']);
  }

  setHostFact(key: string, value: string): void {
    this.#statement(
      'INSERT INTO network_host VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    ).run(key, value);
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

  #isTaken(address: number): boolean {
    return this.#statement('SELECT 1 FROM network_endpoint WHERE address = ?').get(address) !== undefined;
  }

  #checkWanted(address: number, subnet: Subnet, gateway: number): void {
    if (
      !contains(subnet, address) ||
      address === subnet.base ||
      address === subnet.base + subnetSize(subnet) - 1
    ) {
      throw new InvalidParameterError(
        `invalid address ${formatIPv4(address)}: it does not belong to the subnet of the network`,
      );
    }
    if (address === gateway || this.#isTaken(address)) {
      throw new ForbiddenError(`address ${formatIPv4(address)} is already in use`);
    }
  }

  #nextAddress(subnet: Subnet, gateway: number): number {
    const row = this.#statement("SELECT last_address FROM network_predefined WHERE name = 'bridge'").get();
    const usable = subnetSize(subnet) - 2;
    const last = Number(row?.['last_address'] ?? 0);
    // Offsets 1 to usable, going round; 0 is the network's own address, the one behind them the broadcast.
    const start = contains(subnet, last) ? last - subnet.base : 0;
    for (let i = 0; i < usable; i++) {
      const address = subnet.base + ((start + i) % usable) + 1;
      if (address === gateway || this.#isTaken(address)) continue;
      this.#statement("UPDATE network_predefined SET last_address = ? WHERE name = 'bridge'").run(address);
      return address;
    }
    throw new UnavailableError("no available IPv4 addresses on this network's address pools: bridge");
  }
}

/** 64 hex digits. */
export function randomId(): string {
  return randomBytes(32).toString('hex');
}

function endpointRow(row: Row): EndpointRow {
  return {
    containerId: String(row['container_id']),
    endpointId: String(row['endpoint_id']),
    containerName: String(row['container_name']),
    address: Number(row['address']),
    macAddress: String(row['mac_address']),
    hostInterface: String(row['host_interface']),
    ports: JSON.parse(String(row['ports'])) as BoundPort[],
  };
}
