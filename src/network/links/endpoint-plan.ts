/**
 * What networking wants of one endpoint in the kernel: its interfaces, addresses and routes. Everything in it was
 * decided and written down before; links/ only makes it so.
 */

/** An address of an interface, as canonical text. */
export interface PlannedAddress {
  address: string;
  prefixLength: number;
}

/** Where packets go that no other route takes. An empty gateway: straight out of the interface (ipvlan in L3 mode). */
export interface DefaultRoute {
  gateway: string;
  interface: string;
}

export interface EndpointPlan {
  endpointId: string;
  /** The end that stays with the host, `veth…`; empty for macvlan and ipvlan. */
  hostInterface: string;
  /** The name in the container's namespace; nothing else there may have it. */
  containerInterface: string;
  /** Ignored by ipvlan, whose interfaces have that of their parent. */
  macAddress: string;
  ipv4?: PlannedAddress;
  ipv6?: PlannedAddress;
  /** Further addresses that only this link knows, of either family. */
  linkLocal: readonly string[];
  /** Gateways, of those families whose default route goes out here; empty text as in DefaultRoute. */
  defaultRoutes: { ipv4?: string; ipv6?: string };
  /** The endpoint's DriverOpts; those that links/ knows stand in endpoint-options.ts. */
  options: Readonly<Record<string, string>>;
}
