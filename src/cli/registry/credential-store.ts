/** A user's credentials, wherever they are: in the configuration file, or with the helper that it names for a server. */
import type { AuthConfig } from '../../api/images.ts';
import type { Io } from '../io.ts';
import type { ConfigFile } from './config-file.ts';
import { eraseInHelper, getFromHelper, listHelper, storeInHelper } from './credential-helper.ts';

type StoreIo = Pick<Io, 'env' | 'stderr'>;

export class CredentialStore {
  readonly #config: ConfigFile;
  readonly #io: StoreIo;

  constructor(config: ConfigFile, io: StoreIo) {
    this.#config = config;
    this.#io = io;
  }

  /** Undefined where there are none. Throws with the words of a helper that fails. */
  async get(server: string): Promise<AuthConfig | undefined> {
    const helper = this.#config.helperOf(server);
    return helper === '' ? this.#config.auth(server) : await getFromHelper(helper, server, this.#io);
  }

  /** As `get`; a helper that fails is told to the user and has none. */
  async getOrWarn(server: string): Promise<AuthConfig | undefined> {
    try {
      return await this.get(server);
    } catch (error) {
      this.#io.stderr.write(`WARNING: ${server}: ${(error as Error).message}\n`);
      return undefined;
    }
  }

  /** With an identity token the password is not kept. Warns where a password ends in a file. */
  async store(auth: AuthConfig): Promise<void> {
    const server = auth.serveraddress ?? '';
    const kept = auth.identitytoken ? { ...auth, password: '' } : auth;
    const helper = this.#config.helperOf(server);
    if (helper !== '') {
      await storeInHelper(helper, kept, this.#io);
      if (this.#config.setAuth(server, undefined)) this.#config.save();
      return;
    }
    if (!this.#config.setAuth(server, kept)) return;
    this.#config.save();
    if (kept.password) this.#io.stderr.write(unencryptedWarning(this.#config.path));
  }

  /** Erasing what is not there is no error. */
  async erase(server: string): Promise<void> {
    const helper = this.#config.helperOf(server);
    if (helper !== '') await eraseInHelper(helper, server, this.#io);
    if (this.#config.deleteAuth(server)) this.#config.save();
  }

  /** Every server that may have credentials, without asking a helper. */
  get servers(): string[] {
    return [...new Set([...this.#config.servers, ...Object.keys(this.#config.credHelpers)])];
  }

  /** All credentials by server, for what may need any of them. Helpers that fail are told to the user. */
  async all(): Promise<Record<string, AuthConfig>> {
    const { credsStore } = this.#config;
    const servers = new Set(this.servers);
    try {
      if (credsStore !== '') for (const server of await listHelper(credsStore, this.#io)) servers.add(server);
    } catch (error) {
      this.#io.stderr.write(`WARNING: ${(error as Error).message}\n`);
    }
    const found: [string, AuthConfig][] = [];
    for (const server of servers) {
      const auth = await this.getOrWarn(server);
      if (auth !== undefined) found.push([server, auth]);
    }
    return Object.fromEntries(found);
  }
}

/** What Docker prints, because people and scripts know it. */
function unencryptedWarning(path: string): string {
  return [
    '',
    `WARNING! Your credentials are stored unencrypted in '${path}'.`,
    'Configure a credential helper to remove this warning. See',
    'https://docs.docker.com/go/credential-store/',
    '',
    '',
  ].join('\n');
}
