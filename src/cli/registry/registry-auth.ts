/**
 * The headers with which a user's credentials travel to the daemon: `X-Registry-Auth` for one registry,
 * `X-Registry-Config` for several (Engine API, "Authentication"). Only what a request needs is sent.
 */
import type { AuthConfig } from '../../api/images.ts';
import type { SystemInfo } from '../../api/system.ts';
import type { Client } from '../../client/client.ts';
import type { Io } from '../io.ts';
import { ConfigFile } from './config-file.ts';
import { CredentialStore } from './credential-store.ts';
import { HUB_SERVER, hostOf, serverOfRepository } from './server-address.ts';

type AuthIo = Pick<Io, 'env' | 'stderr'>;

/** The user's credentials; a configuration that cannot be read is told to the user and has none. */
export function credentialStore(io: AuthIo): CredentialStore {
  const config = ConfigFile.readOrWarn(io.env, (text) => io.stderr.write(`${text}\n`));
  return new CredentialStore(config, io);
}

/** `X-Registry-Auth` for the registry of `repository` (its full name); undefined where nothing is stored for it. */
export async function registryAuth(repository: string, io: AuthIo): Promise<string | undefined> {
  const auth = await credentialStore(io).getOrWarn(serverOfRepository(repository));
  return auth === undefined ? undefined : encode(auth);
}

/** Both headers for a request that reads `repository`: its registry's credentials, and those of its mirrors. */
export async function registryHeaders(
  client: Client,
  repository: string,
  io: AuthIo,
): Promise<Record<string, string>> {
  const store = credentialStore(io);
  const server = serverOfRepository(repository);
  const auth = await store.getOrWarn(server);
  const mirrors: Record<string, AuthConfig> = {};
  // Only who has credentials of other servers can have some of a mirror: all others are spared the question.
  const others = store.servers.filter((name) => name !== server);
  const hosts = others.length === 0 ? [] : await mirrorHosts(client, server);
  for (const host of hosts) {
    const found = others.some((name) => hostOf(name) === host) ? await store.getOrWarn(host) : undefined;
    if (found !== undefined) mirrors[host] = found;
  }
  return {
    ...(auth === undefined ? {} : { 'x-registry-auth': encode(auth) }),
    ...(Object.keys(mirrors).length === 0 ? {} : { 'x-registry-config': encode(mirrors) }),
  };
}

/** `X-Registry-Config` with everything, for a build, whose Dockerfile may name any registry. */
export async function allRegistryHeaders(io: AuthIo): Promise<Record<string, string>> {
  const all = await credentialStore(io).all();
  return Object.keys(all).length === 0 ? {} : { 'x-registry-config': encode(all) };
}

async function mirrorHosts(client: Client, server: string): Promise<string[]> {
  const { RegistryConfig } = await client.json<SystemInfo>('GET', '/info');
  const index = RegistryConfig?.IndexConfigs?.[server === HUB_SERVER ? 'docker.io' : server];
  return (index?.Mirrors ?? []).map((url) => hostOf(url));
}

function encode(value: AuthConfig | Record<string, AuthConfig>): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
