/**
 * The tables of networking, step by step (see base/database.ts). Records are JSON of the types in network-store.ts;
 * columns beside them are what must be unique.
 */

/** Kept of databases that knew one network: the predefined networks' IDs, and running containers with their ports. */
const MANY_NETWORKS = `
  CREATE TABLE network (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL, record TEXT NOT NULL,
    last_addresses TEXT NOT NULL DEFAULT '{}'
  ) STRICT;
  INSERT INTO network (id, name, state, record)
    SELECT id, name, 'ready', json_object(
      'id', id, 'name', name, 'created', created,
      'driver', CASE name WHEN 'none' THEN 'null' ELSE name END,
      'internal', json('false'), 'attachable', json('false'), 'ipv4', json('true'), 'ipv6', json('false'),
      'pools', CASE subnet WHEN '' THEN json('[]') ELSE json_array(json_object(
        'subnet', subnet, 'range', '', 'gateway', gateway, 'auxiliary', json('{}'), 'configured', json('false')
      )) END,
      'ipamOptions', json('{}'), 'options', json('{}'), 'labels', json('{}'),
      'configOnly', json('false'), 'configFrom', '', 'egress', NULL,
      'hostInterface', '', 'ownsHostInterface', json('false')
    ) FROM network_predefined;

  ALTER TABLE network_sandbox RENAME TO old_sandbox;
  ALTER TABLE network_endpoint RENAME TO old_endpoint;
  CREATE TABLE network_sandbox (
    container_id TEXT PRIMARY KEY, netns_path TEXT NOT NULL UNIQUE, record TEXT NOT NULL
  ) STRICT;
  CREATE TABLE network_endpoint (
    container_id TEXT NOT NULL REFERENCES network_sandbox (container_id),
    network_id TEXT NOT NULL REFERENCES network (id),
    record TEXT NOT NULL, UNIQUE (container_id, network_id)
  ) STRICT;
  INSERT INTO network_sandbox
    SELECT s.container_id, s.netns_path, json_object(
      'containerId', s.container_id, 'containerName', coalesce(e.container_name, substr(s.container_id, 1, 12)),
      'hostname', '', 'netnsPath', s.netns_path, 'mappings', json(coalesce(e.ports, '[]')),
      'ports', json(coalesce(e.ports, '[]')),
      'dns', json('{"servers":[],"search":[],"options":[]}'), 'egress', NULL, 'dnsPorts', NULL,
      'nextInterface', json(CASE WHEN e.container_id IS NULL THEN '{}' ELSE '{"eth":1}' END)
    ) FROM old_sandbox s LEFT JOIN old_endpoint e ON e.container_id = s.container_id;
  INSERT INTO network_endpoint
    SELECT e.container_id, n.id, json_object(
      'containerId', e.container_id, 'networkId', n.id, 'endpointId', e.endpoint_id,
      'ipv4', printf('%d.%d.%d.%d', (e.address >> 24) & 255, (e.address >> 16) & 255, (e.address >> 8) & 255,
        e.address & 255),
      'ipv6', '', 'macAddress', e.mac_address, 'containerInterface', 'eth0', 'hostInterface', e.host_interface,
      'gwPriority', 0, 'aliases', json('[]'), 'links', json('[]'), 'linkLocal', json('[]'),
      'driverOptions', json('{}')
    ) FROM old_endpoint e JOIN old_sandbox s ON s.container_id = e.container_id, network_predefined n
      WHERE n.name = 'bridge';
  DROP TABLE old_endpoint;
  DROP TABLE old_sandbox;
  DROP TABLE network_predefined;`;

/** Append-only. */
export const NETWORK_SCHEMA: readonly string[] = [
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
  MANY_NETWORKS,
];
