/** The user's credentials of one registry, as BuildKit's Auth service tells them. */
import type { Io } from '../../io.ts';
import { credentialStore } from '../../registry/registry-auth.ts';
import { HUB_SERVER } from '../../registry/server-address.ts';

const HUB_NAMES = ['registry-1.docker.io', 'docker.io', 'index.docker.io'];

/** Empty where there are none: the daemon then asks the registry without. */
export async function credentialsFor(host: string, io: Io): Promise<{ username: string; secret: string }> {
  const auth = await credentialStore(io).getOrWarn(HUB_NAMES.includes(host) ? HUB_SERVER : host);
  if (auth?.identitytoken) return { username: '', secret: auth.identitytoken };
  return { username: auth?.username ?? '', secret: auth?.password ?? '' };
}
