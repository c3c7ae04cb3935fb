/** Credentials for a registry from Docker's client configuration: `auths`, `credsStore` and `credHelpers`. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AuthConfig } from '../../api/images.ts';

const HUB_KEY = 'https://index.docker.io/v1/';

interface ClientConfig {
  auths?: Record<string, { auth?: string; identitytoken?: string }>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
}

/** The `X-Registry-Auth` header for `repository`'s registry; undefined where nothing is stored for it. */
export async function registryAuth(
  repository: string,
  env: Record<string, string | undefined>,
): Promise<string | undefined> {
  const domain = repository.slice(0, repository.indexOf('/'));
  const key = domain === 'docker.io' ? HUB_KEY : domain;
  const config = readConfig(
    join(env['DOCKER_CONFIG'] || join(env['HOME'] || '/root', '.docker'), 'config.json'),
  );
  const helper = config.credHelpers?.[key] ?? config.credHelpers?.[domain] ?? config.credsStore;
  const auth = (helper ? fromHelper(helper, key) : undefined) ?? fromFile(config, key);
  return auth === undefined ? undefined : Buffer.from(JSON.stringify(auth)).toString('base64url');
}

function readConfig(path: string): ClientConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // No configuration: anonymous.
    return {};
  }
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch (cause) {
    throw new Error(`cannot read the registry credentials in ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function fromFile(config: ClientConfig, key: string): AuthConfig | undefined {
  const bare = (name: string): string => name.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  const found = Object.entries(config.auths ?? {}).find(([name]) => name === key || bare(name) === bare(key));
  if (found === undefined) return undefined;
  const { auth = '', identitytoken } = found[1];
  const text = Buffer.from(auth, 'base64').toString();
  const colon = text.indexOf(':');
  if (colon < 0 && identitytoken === undefined) return undefined;
  return {
    username: text.slice(0, Math.max(colon, 0)),
    password: text.slice(colon + 1).replace(/\0+$/, ''),
    serveraddress: key,
    ...(identitytoken === undefined ? {} : { identitytoken }),
  };
}

/** The credential helper protocol: the server's name on stdin, `{Username, Secret}` on stdout. */
function fromHelper(helper: string, key: string): AuthConfig | undefined {
  const { status, stdout } = spawnSync(`docker-credential-${helper}`, ['get'], {
    input: key,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  if (status !== 0) return undefined;
  const { Username, Secret } = JSON.parse(stdout.toString()) as { Username?: string; Secret?: string };
  if (Username === undefined || Secret === undefined) return undefined;
  if (Username === '<token>') return { identitytoken: Secret, serveraddress: key };
  return { username: Username, password: Secret, serveraddress: key };
}
