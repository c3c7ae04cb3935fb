/**
 * `HostConfig.NetworkMode`: the host's network, another container's, or networks of the container's own, of which the
 * mode names the first. Pure.
 */
import type { HostConfig } from '../api/host-config.ts';
import type { EndpointSettings } from '../api/networks.ts';

/** `own` is also `none`: a namespace of its own, without networks. */
export type NetworkKind = 'own' | 'host' | 'container';

export function networkKind(mode: string | undefined): NetworkKind {
  if (mode === 'host') return 'host';
  return mode?.startsWith('container:') === true ? 'container' : 'own';
}

/** False for what every host has: `bridge`, `host` and `none`. */
export function isUserDefined(network: string): boolean {
  return !['bridge', 'host', 'none'].includes(network);
}

/** What a container has that was asked for no network but its mode's. */
export function networksOfMode(
  hostConfig: Pick<HostConfig, 'NetworkMode'>,
): Record<string, EndpointSettings> {
  const mode = hostConfig.NetworkMode ?? '';
  if (networkKind(mode) === 'container') return {};
  return { [mode === '' || mode === 'default' ? 'bridge' : mode]: {} };
}
