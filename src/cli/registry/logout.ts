/** `mydock logout`: forgets the credentials of a registry, under every name that they may have. */
import { CliError } from '../cli-error.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { ConfigFile } from './config-file.ts';
import { CredentialStore } from './credential-store.ts';
import { HUB_SERVER, serverAddress } from './server-address.ts';

export const logout = defineVerb<Record<string, never>>({
  usage: '[SERVER]',
  summary: 'Log out from a registry (Docker Hub where none is named)',
  args: { min: 0, max: 1 },
  flags() {},
  run: ({ io }, [server]) => runLogout(io, server),
});

/** Credentials that are not there are no error; those that cannot be erased are, unlike in Docker. */
export async function runLogout(io: Io, server: string | undefined): Promise<number> {
  const address = serverAddress(server);
  const store = new CredentialStore(ConfigFile.read(io.env), io);
  const names =
    address === HUB_SERVER
      ? [HUB_SERVER]
      : [...new Set([address, server ?? address, `http://${address}`, `https://${address}`])];
  printLine(io, `Removing login credentials for ${address}`);
  const failures: string[] = [];
  for (const name of names) {
    try {
      await store.erase(name);
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message}`);
    }
  }
  // Helpers may refuse a name under which they never had anything.
  if (failures.length < names.length) return 0;
  throw new CliError(`WARNING: could not erase credentials:\n${failures.join('\n')}`);
}
