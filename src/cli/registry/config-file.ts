/**
 * Docker's client configuration, `config.json` in DOCKER_CONFIG or ~/.docker, as far as credentials and proxies go. Written as
 * Docker writes it (tabs, servers in order, no line feed at the end, readable by its owner alone); whatever else
 * stands in it is kept byte for byte.
 */
import { chownSync, lstatSync, mkdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { AuthConfig } from '../../api/images.ts';
import { writeFileAtomic } from '../../base/atomic-file.ts';
import { errnoCode } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';
import { goEscape, indentJson, objectMembers } from '../format/json-indent.ts';
import { hostOf } from './server-address.ts';

interface KnownFields {
  auths?: unknown;
  credsStore?: unknown;
  credHelpers?: unknown;
  proxies?: unknown;
}

interface StoredAuth {
  auth?: unknown;
  username?: unknown;
  password?: unknown;
  identitytoken?: unknown;
  registrytoken?: unknown;
}

export class ConfigFile {
  readonly path: string;
  /** Each key with its value's text, in the file's order. */
  #members: Map<string, string>;
  /** The text of each server's entry. */
  #auths: Map<string, string>;
  readonly credsStore: string;
  readonly credHelpers: Readonly<Record<string, string>>;
  /** By the daemon's address, or `default`: what containers and builds there are to use. */
  readonly proxies: Readonly<Record<string, unknown>>;

  private constructor(path: string, text: string) {
    this.path = path;
    const fields = JSON.parse(text) as KnownFields;
    this.#members = new Map(objectMembers(text));
    const auths = this.#members.get('auths');
    this.#auths = new Map(isObject(fields.auths) && auths !== undefined ? objectMembers(auths) : []);
    this.credsStore = typeof fields.credsStore === 'string' ? fields.credsStore : '';
    this.proxies = isObject(fields.proxies) ? fields.proxies : {};
    const helpers = isObject(fields.credHelpers) ? Object.entries(fields.credHelpers) : [];
    this.credHelpers = Object.fromEntries(
      helpers.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    );
  }

  /** A file that is not there is an empty one. Throws `CliError` for one that cannot be read or understood. */
  static read(env: Record<string, string | undefined>): ConfigFile {
    const path = join(env['DOCKER_CONFIG'] || join(env['HOME'] || '/root', '.docker'), 'config.json');
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return new ConfigFile(path, '{}');
      throw new CliError(`Error loading config file: ${(error as Error).message}`);
    }
    try {
      if (!isObject(JSON.parse(text))) throw new Error('it is not a JSON object');
      return new ConfigFile(path, text);
    } catch (error) {
      throw new CliError(`Error parsing config file (${path}): ${(error as Error).message}`);
    }
  }

  /** As `read`; what cannot be read is an empty configuration, and `warn` is told why. */
  static readOrWarn(env: Record<string, string | undefined>, warn: (text: string) => void): ConfigFile {
    try {
      return ConfigFile.read(env);
    } catch (error) {
      warn(`WARNING: ${(error as Error).message}`);
      return new ConfigFile('', '{}');
    }
  }

  /** The servers that have an entry, with credentials or (where a helper has those) without. */
  get servers(): string[] {
    return [...this.#auths.keys()];
  }

  /** The helper that keeps a server's credentials; empty where they are in this file. */
  helperOf(server: string): string {
    return (Object.hasOwn(this.credHelpers, server) && this.credHelpers[server]) || this.credsStore;
  }

  /** An entry under the server's name, or under one that older clients wrote (`https://host/v1/`). */
  auth(server: string): AuthConfig | undefined {
    const text = this.#auths.get(server) ?? [...this.#auths].find(([name]) => hostOf(name) === server)?.[1];
    return text === undefined ? undefined : decodeAuth(server, JSON.parse(text) as StoredAuth);
  }

  /** Returns whether anything changed. An undefined `auth` leaves an entry that says that a helper has it. */
  setAuth(server: string, auth: AuthConfig | undefined): boolean {
    const text = JSON.stringify(auth === undefined ? {} : encodeAuth(auth));
    const before = this.#auths.get(server);
    if (before !== undefined && indentJson(before) === indentJson(text)) return false;
    this.#auths.set(server, text);
    return true;
  }

  /** Returns whether it was there. */
  deleteAuth(server: string): boolean {
    return this.#auths.delete(server);
  }

  /** Replaces the file in one step; a link stays one. Throws `CliError`. */
  save(): void {
    const entries = [...this.#auths].toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const members = new Map([['auths', objectText(entries)], ...this.#members]);
    members.set('auths', objectText(entries));
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      const target = linkTarget(this.path);
      const owner = statSync(target, { throwIfNoEntry: false });
      writeFileAtomic(target, indentJson(objectText([...members]), '\t'), { mode: 0o600 });
      // Under sudo the file stays its owner's.
      if (owner !== undefined && owner.uid !== process.getuid?.()) chownSync(target, owner.uid, owner.gid);
    } catch (error) {
      throw new CliError(`Error saving credentials: ${(error as Error).message}`);
    }
    this.#members = members;
  }
}

/** The file behind a link, also where it does not exist yet. */
function linkTarget(path: string): string {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return isLink ? resolve(dirname(path), readlinkSync(path)) : path;
}

function objectText(members: readonly (readonly [string, string])[]): string {
  return `{${members.map(([key, value]) => `${goEscape(JSON.stringify(key))}:${value}`).join(',')}}`;
}

function encodeAuth({ username = '', password = '', identitytoken }: AuthConfig): Record<string, string> {
  const pair = username === '' && password === '' ? '' : `${username}:${password}`;
  return {
    ...(pair === '' ? {} : { auth: Buffer.from(pair).toString('base64') }),
    ...(identitytoken ? { identitytoken } : {}),
  };
}

/** Undefined for an entry without credentials. */
function decodeAuth(server: string, stored: StoredAuth): AuthConfig | undefined {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const pair = Buffer.from(text(stored?.auth), 'base64').toString();
  const colon = pair.indexOf(':');
  const username = colon < 0 ? text(stored?.username) : pair.slice(0, colon);
  const password = colon < 0 ? text(stored?.password) : pair.slice(colon + 1).replace(/\0+$/, '');
  const identitytoken = text(stored?.identitytoken);
  const registrytoken = text(stored?.registrytoken);
  if (username === '' && identitytoken === '' && registrytoken === '') return undefined;
  return {
    username,
    password,
    serveraddress: server,
    ...(identitytoken === '' ? {} : { identitytoken }),
    ...(registrytoken === '' ? {} : { registrytoken }),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
