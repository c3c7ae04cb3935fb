/** The names under which credentials of registries are kept. */

/** Docker Hub's name in configuration files and credential helpers. */
export const HUB_SERVER = 'https://index.docker.io/v1/';

/** `https://host:5000/v2/` as `host:5000`. */
export function hostOf(address: string): string {
  return address.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

/** What `login` and `logout` get as a server; nothing and `docker.io` are Docker Hub. */
export function serverAddress(given: string | undefined): string {
  if (given === undefined || given === '' || given === 'docker.io' || given === HUB_SERVER) return HUB_SERVER;
  return hostOf(given);
}

/** The server of a repository's full name: `ghcr.io/user/app` is at `ghcr.io`. */
export function serverOfRepository(repository: string): string {
  const domain = repository.slice(0, repository.indexOf('/'));
  return domain === 'docker.io' ? HUB_SERVER : domain;
}
