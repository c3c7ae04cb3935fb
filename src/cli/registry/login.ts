/** `mydock login`: the daemon asks the registry, the client keeps the credentials, as `docker login` does. */
import type { AuthConfig, AuthResponse } from '../../api/images.ts';
import { type Client, readText } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printError, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { ConfigFile } from './config-file.ts';
import { CredentialStore } from './credential-store.ts';
import { Prompt } from './prompt.ts';
import { HUB_SERVER, serverAddress } from './server-address.ts';

export interface LoginOptions {
  password?: string;
  passwordStdin: boolean;
  username?: string;
}

export const login = defineVerb<LoginOptions>({
  usage: '[OPTIONS] [SERVER]',
  summary: 'Log in to a registry (Docker Hub where none is named)',
  args: { min: 0, max: 1 },
  flags(command) {
    stringFlag(command, '-p, --password <string>', 'Password or access token');
    boolFlag(command, '--password-stdin', 'Read the password or access token from stdin');
    stringFlag(command, '-u, --username <string>', 'User name');
  },
  run: ({ client, io }, [server], options) => runLogin(client, io, server, options),
});

/**
 * Credentials that are stored already are tried first where none are given. What the registry accepts is stored.
 * Throws `CliError`, `ApiError` with the registry's refusal.
 */
export async function runLogin(
  client: Client,
  io: Io,
  server: string | undefined,
  options: LoginOptions,
): Promise<number> {
  const password = await givenPassword(io, options);
  const username = (options.username ?? '').trim();
  const address = serverAddress(server);
  const store = new CredentialStore(ConfigFile.read(io.env), io);
  const stored = username === '' && password === '' ? await store.getOrWarn(address) : undefined;
  const usable = stored?.password || stored?.identitytoken ? stored : undefined;
  const status = usable === undefined ? undefined : await tryStored(client, io, store, usable);
  if (status !== undefined) {
    printLine(io, status);
    return 0;
  }
  const asked = await askMissing(io, { username, password, known: stored?.username ?? '', address });
  printLine(io, await authenticate(client, store, { ...asked, serveraddress: address }));
  return 0;
}

async function givenPassword(io: Io, options: LoginOptions): Promise<string> {
  const { password, passwordStdin, username } = options;
  if (password !== undefined && passwordStdin)
    throw new CliError('conflicting options: cannot specify both --password and --password-stdin');
  if (password !== undefined) {
    printError(io, 'WARNING! Using --password via the CLI is insecure. Use --password-stdin.');
  }
  if (!passwordStdin) return password ?? '';
  if (!username) throw new CliError('the --password-stdin option requires --username to be set');
  return (await readText(io.stdin)).replace(/\r?\n$/, '');
}

/** Undefined where the registry refuses them: the user is asked for others. */
async function tryStored(
  client: Client,
  io: Io,
  store: CredentialStore,
  stored: AuthConfig,
): Promise<string | undefined> {
  const user = stored.username ? ` [Username: ${stored.username}]` : '';
  printError(io, `Authenticating with existing credentials...${user}`);
  printError(io, "\nTo log in as somebody else, run 'mydock logout' first.\n");
  try {
    return await authenticate(client, store, stored);
  } catch (error) {
    printError(io, `Login did not succeed, error: ${errorText(error)}`);
    return undefined;
  }
}

function errorText(error: unknown): string {
  const { name, message } = error as Error;
  return name === 'ApiError' ? `Error response from daemon: ${message}` : message;
}

/** Returns what the daemon says of the success. */
async function authenticate(client: Client, store: CredentialStore, auth: AuthConfig): Promise<string> {
  const { Status, IdentityToken } = await client.json<AuthResponse>('POST', '/auth', { json: auth });
  const accepted = IdentityToken ? { ...auth, identitytoken: IdentityToken } : auth;
  try {
    await store.store(accepted);
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof CliError) throw error;
    throw new CliError(`Error saving credentials: ${message}`);
  }
  return Status;
}

interface Missing {
  readonly username: string;
  readonly password: string;
  /** The name that an empty answer stands for. */
  readonly known: string;
  readonly address: string;
}

async function askMissing(
  io: Io,
  { username, password, known, address }: Missing,
): Promise<{ username: string; password: string }> {
  if (username !== '' && password.trim() !== '') return { username, password };
  if (io.stdin.isTTY !== true)
    throw new CliError('Error: Cannot perform an interactive login from a non TTY device');
  const prompt = new Prompt(io);
  let name = username;
  if (name === '') {
    if (address === HUB_SERVER) printLine(io, 'Log in with your Docker ID or email address of Docker Hub.');
    const question = known === '' ? 'Username: ' : `Username (${known}): `;
    name = (await prompt.line(question)).trim() || known;
    if (name === '') throw new CliError('Error: Non-null Username Required');
  }
  const secret = password.trim() === '' ? await prompt.secret('Password: ') : password;
  if (secret === '') throw new CliError('Error: Password Required');
  return { username: name, password: secret };
}
