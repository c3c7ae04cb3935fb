/**
 * The words that all parts of networking share: a network, a container's endpoint on it, its sandbox (namespace, all
 * endpoints, published ports), and what the engine asks of them. Plain data and interfaces; addresses are canonical
 * text (address.ts), subnets `10.9.0.0/24`.
 */
import type {
  EndpointSettings,
  Network,
  NetworkCreateRequest,
  NetworkCreateResponse,
} from '../api/networks.ts';

export type NetworkDriver = 'bridge' | 'macvlan' | 'ipvlan' | 'host' | 'null';

/** What may leave a container or network: nothing but what is named. Connections that come in are answered. */
export interface EgressPolicy {
  /** Subnets and addresses, as subnets. */
  subnets: string[];
  /** DNS names; `*.example.com` stands for everything below it. */
  names: string[];
}

export interface AddressPool {
  subnet: string;
  /** Where addresses are taken from; empty for the whole subnet. */
  range: string;
  /** Empty where there is none (`--internal` ipvlan in L3 mode). */
  gateway: string;
  /** Addresses that are never given out, by name. */
  auxiliary: Record<string, string>;
  /** A user asked for this subnet: only then may containers ask for addresses of it. */
  configured: boolean;
}

/** A network as it is stored, settled: every pool has its subnet and gateway. */
export interface NetworkRecord {
  id: string;
  name: string;
  /** RFC 3339. */
  created: string;
  driver: NetworkDriver;
  internal: boolean;
  attachable: boolean;
  ipv4: boolean;
  ipv6: boolean;
  /** IPv4 first. */
  pools: AddressPool[];
  ipamOptions: Record<string, string>;
  options: Record<string, string>;
  labels: Record<string, string>;
  configOnly: boolean;
  /** Name of the configuration network it was made from; empty for none. */
  configFrom: string;
  egress: EgressPolicy | null;
  /** The bridge; for macvlan and ipvlan the parent; empty for host and none. */
  hostInterface: string;
  /** The parent (a VLAN or a bridge without uplink) was made for this network and goes with it. */
  ownsHostInterface: boolean;
}

export interface PortMapping {
  containerPort: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** Empty: all addresses of the host, of both families. */
  hostIp: string;
  /** 0: an ephemeral port. */
  hostPort: number;
  /** The first free one from hostPort to this. */
  hostPortEnd?: number;
}

/** A port as it was bound; a mapping without hostIp gives one entry for `0.0.0.0` and one for `::`. */
export interface BoundPort {
  containerPort: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  hostIp: string;
  hostPort: number;
}

/** A container's part in one network, live. Addresses are empty where the network has no such family. */
export interface Endpoint {
  networkId: string;
  networkName: string;
  endpointId: string;
  ipAddress: string;
  prefixLength: number;
  gateway: string;
  ipv6Address: string;
  ipv6PrefixLength: number;
  ipv6Gateway: string;
  macAddress: string;
  /** Names that other containers of the network find it by: name, aliases, short ID, hostname. */
  dnsNames: string[];
  /** `eth0`, in the order of being connected. */
  containerInterface: string;
  /** `veth…`; empty for macvlan and ipvlan. */
  hostInterface: string;
}

/** All networking of one running container. Kept in its record while it runs. */
export interface Sandbox {
  netnsPath: string;
  /** In the order in which they were connected. */
  endpoints: Endpoint[];
  ports: BoundPort[];
  /** The resolver at 127.0.0.11 answers in it. */
  dns: boolean;
}

export interface DnsSettings {
  /** `--dns` of container or daemon; empty for the host's servers. */
  servers: readonly string[];
  search: readonly string[];
  options: readonly string[];
}

export interface AttachRequest {
  containerId: string;
  containerName: string;
  hostname: string;
  /** By name, ID or unique start of an ID. `host` never stands here; none makes a namespace without networks. */
  networks: readonly { network: string; settings: EndpointSettings }[];
  ports: readonly PortMapping[];
  dns: DnsSettings;
  egress: EgressPolicy | null;
  /** Path of the user namespace that the container's namespace belongs to; left out for the host's. */
  userNamespace?: string;
}

export interface EgressReport {
  policy: EgressPolicy;
  /** Packets that were refused since the container started, and the last destinations of those, newest first. */
  blockedPackets: number;
  /** Lookups of names outside the policy, since the daemon started. */
  refusedQueries: number;
  /** Addresses with ports, and names. */
  recent: { time: string; destination: string }[];
}

/** What the engine and the API need of networking. Errors are EngineErrors with Docker's texts. */
/** What a running container is to publish besides, and no more. */
export interface PortsChange {
  add: readonly PortMapping[];
  remove: readonly BoundPort[];
  /** What the caller stores of it, which comes to last together with the change; `restore` where it fails after that. */
  kept?: { store(): void; restore(): void };
}

export interface Networking {
  /** Checked whole before anything is made. Throws InvalidParameter, Conflict (name), Forbidden (overlaps), NotImplemented. */
  create(request: NetworkCreateRequest): Promise<NetworkCreateResponse>;
  /** By name, ID, or unique start of an ID. Throws NotFound, InvalidParameter where several begin so. */
  find(reference: string): NetworkRecord;
  /** As `GET /networks` lists them; without containers. */
  list(): Network[];
  /** With its live containers. */
  inspect(reference: string): Network;
  /** Throws Forbidden for predefined ones and while endpoints are active, NotFound. */
  remove(reference: string): Promise<void>;

  /** Throws InvalidParameter on ports that no host can publish. */
  validatePorts(ports: readonly PortMapping[]): void;
  /** What a create request asks of a network, judged without making anything. Throws as `create`. */
  validateEndpoint(network: string, settings: EndpointSettings): void;

  /**
   * A namespace with all its networks, ports and names: all of it or nothing. Throws Conflict where it has one. `begun`
   * hears what it will be, but for its ports, as soon as the namespace is there and while the rest is made.
   */
  attach(request: AttachRequest, begun?: (sandbox: Sandbox) => void): Promise<Sandbox>;
  /** Everything of a container goes. Idempotent. */
  detach(containerId: string): Promise<void>;
  /** One more network for a running container. Throws Forbidden where it is on it, NotFound. Returns the whole sandbox. */
  connect(containerId: string, network: string, settings: EndpointSettings): Promise<Sandbox>;
  /** Throws Forbidden where it is not on it. Returns the whole sandbox. */
  disconnect(containerId: string, network: string): Promise<Sandbox>;
  /** Publishes and withdraws ports of a running container, all or nothing. Throws NotFound for what is not published. */
  changePorts(containerId: string, change: PortsChange): Promise<Sandbox>;
  /** The names that others find it by follow. */
  rename(containerId: string, name: string): void;
  /**
   * After a start of the daemon: keeps containers in `live` connected, removes whatever is left of all others. The
   * sandboxes of those that are attached, by container.
   */
  reconcile(live: ReadonlySet<string>): Promise<Map<string, Sandbox>>;
  /** Undefined where neither the container nor its networks restrict it. */
  egressReport(containerId: string): Promise<EgressReport | undefined>;
  /** Whether other hosts can reach a published port, as far as this host decides. */
  isOpenToWorld(port: BoundPort): boolean;
}
