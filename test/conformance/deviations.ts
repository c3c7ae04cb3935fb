/**
 * Where Docker's own answers differ from its definition. Clients are written against the answers, so these are what
 * is served, and the definition is not asked in these places. Each follows how clients know Docker's answers.
 */

/** Statuses that an operation's definition does not list. */
const STATUSES: Record<string, readonly number[]> = {
  // A container whose log driver keeps nothing that could be read.
  'GET /containers/{id}/logs': [409, 501],
  'GET /containers/{id}/top': [409],
  'POST /containers/{id}/start': [409],
  'POST /containers/{id}/pause': [409],
  'POST /containers/{id}/unpause': [409],
  'POST /containers/{id}/resize': [409],
  'POST /containers/{id}/attach': [409],
  'POST /containers/{id}/update': [409],
  // The definition knows the answer without an upgrade only.
  'POST /exec/{id}/start': [101],
  'POST /exec/{id}/resize': [409],
  'POST /commit': [409],
  'POST /networks/create': [409],
  'DELETE /networks/{id}': [409],
  'POST /networks/{id}/connect': [409],
  // A volume driver that is not installed; a cluster volume without a swarm.
  'POST /volumes/create': [404, 503],
  'POST /images/load': [404],
  'GET /images/{name}/get': [404],
  'GET /images/get': [404],
  // What the registry says of a repository or tag that it does not have.
  'GET /distribution/{name}/json': [404],
};

/** A wrong parameter or body is 400 everywhere; the definition says so for some operations only. */
export function mayAnswer(operation: string, documented: ReadonlySet<number>, status: number): boolean {
  return documented.has(status) || status === 400 || (STATUSES[operation] ?? []).includes(status);
}

/** Docker says no type of a connection that becomes a client's session. */
export function isUntyped(operation: string): boolean {
  return operation === 'POST /session';
}

interface Deviation {
  readonly operation: RegExp;
  /** Matches a line of complaint: `/field/path: message`. */
  readonly complaint: RegExp;
  readonly why: string;
}

const DEVIATIONS: readonly Deviation[] = [
  {
    operation: /^POST \/containers\/prune$/,
    complaint: /^\/ContainersDeleted: must be array$/,
    why: 'null where there was nothing to remove',
  },
  {
    operation: /^GET \/containers\/\{id\}\/stats$/,
    complaint:
      /^\/blkio_stats(\/io_service_bytes_recursive: must be array|: must (be null|match a schema in anyOf))$/,
    why: 'null for a container that does not run, as its other lists are',
  },
  {
    operation: /^GET \/events$/,
    complaint: /^\/: must NOT have unevaluated properties \((status|id|from)\)$/,
    why: 'the fields of the first API versions, which are still sent for containers and images',
  },
  {
    operation: /^GET \/containers\/\{id\}\/json$/,
    complaint:
      /^\/HostConfig\/(Binds|CapAdd|CapDrop|DeviceCgroupRules|DeviceRequests|ExtraHosts|GroupAdd|Links|SecurityOpt|VolumesFrom): must be array$/,
    why: 'lists that a container was made without are null, not empty',
  },
  {
    operation: /^GET \/containers\/\{id\}\/json$/,
    complaint: /^\/HostConfig\/(MemorySwappiness: must be integer|OomKillDisable: must be boolean)$/,
    why: 'null where it is not set: 0 and false would be settings',
  },
  {
    operation: /^GET \/containers\/\{id\}\/json$/,
    complaint: /^\/Config\/(Entrypoint: must be array|Cmd: must be array|Volumes: must be object)$/,
    why: 'null where neither image nor request has one',
  },
  {
    operation: /^GET \/(containers\/(json|\{id\}\/json)|system\/df)$/,
    complaint: /\/NetworkSettings\/Networks\/[^/]+\/(Links|Aliases|DNSNames): must be array$/,
    why: 'null where the endpoint has none',
  },
  {
    operation: /^GET \/exec\/\{id\}\/json$/,
    complaint: /^\/ExitCode: must be integer$/,
    why: 'null while the command runs: there is no exit code yet',
  },
  {
    operation: /\/(volumes|system\/df)/,
    complaint: /(\/(Options|Labels): must be object|^\/Warnings: must be array)$/,
    why: 'null where there are none',
  },
  {
    operation: /^GET \/networks/,
    complaint: /\/IPAM\/(Options: must be object|Config: must be array)$/,
    why: 'null where the network has none: host and none have no addresses',
  },
  {
    operation: /^POST \/networks\/prune$/,
    complaint: /^\/NetworksDeleted: must be array$/,
    why: 'null where there was nothing to remove',
  },
  {
    operation: /^GET \/containers\/(json|\{id\}\/json)$/,
    complaint: /^\/(\d+)?: must NOT have unevaluated properties \((OpenPorts|Egress)\)$/,
    why: 'not Docker’s: what other hosts can reach, and what may leave the container',
  },
  {
    operation: /^GET \/info$/,
    complaint: /^\/(Plugins\/Authorization|GenericResources|Warnings): must be array$/,
    why: 'null where there are none',
  },
  {
    operation: /^GET \/(images\/json|system\/df)$/,
    complaint: /^\/(Images\/)?\d+\/Labels: must be object$/,
    why: 'null where the image has none',
  },
  {
    operation: /^GET \/images\/(json|\{name\}\/json)$/,
    complaint:
      /^(\/\d+)?\/Manifests(\/\d+\/ImageData)?: must (have required property 'UnpackedSize'|be null|match a schema in anyOf)$/,
    why: 'the definition requires a property that it does not define; the size stands in Size.Unpacked',
  },
  {
    operation: /^GET \/images\/\{name\}\/json$/,
    complaint: /^\/Config\/((Cmd|Entrypoint|Env): must be array|(Labels|Volumes): must be object)$/,
    why: 'null where the image has none',
  },
  {
    operation: /^GET \/images\/\{name\}\/history$/,
    complaint: /^\/\d+\/Tags: must be array$/,
    why: 'null for steps that no name stands for',
  },
  {
    operation: /^POST \/images\/prune$/,
    complaint: /^\/ImagesDeleted: must be array$/,
    why: 'null where there was nothing to remove',
  },
  {
    operation: /^GET \/images\/\{name\}\/json$/,
    complaint: /^\/GraphDriver\/Data: must be object$/,
    why: 'null for storage drivers that have nothing to say of an image',
  },
];

export function isDeviation(operation: string, complaint: string): boolean {
  return DEVIATIONS.some((known) => known.operation.test(operation) && known.complaint.test(complaint));
}
