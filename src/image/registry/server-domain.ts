/** Docker Hub has many names; users and clients write registries as hosts, as URLs, or as nothing at all. */
import { DEFAULT_DOMAIN } from '../reference.ts';

/** The address under which clients keep credentials of Docker Hub. */
export const HUB_INDEX = 'https://index.docker.io/v1/';

const HUB_NAMES = new Set([
  '',
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
]);

/** The registry of references (`docker.io`, `host:5000`) behind an address such as `https://index.docker.io/v1/`. */
export function serverDomain(address: string): string {
  const host = (address.replace(/^https?:\/\//i, '').split('/', 1)[0] ?? '').toLowerCase();
  return HUB_NAMES.has(host) ? DEFAULT_DOMAIN : host;
}
