/** What the `daemon` verbs must know of mydockd's arguments: where it listens, and where its files are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Listener } from '../../client/daemon-process.ts';
import { DEFAULT_SOCKET, parseHost } from '../../client/host.ts';
import { CliError } from '../cli-error.ts';

const DEFAULT_CONFIG_FILE = '/etc/mydock/daemon.json';
export const DEFAULT_EXEC_ROOT = '/run/mydock';

export interface DaemonSettings {
  readonly listener: Listener;
  readonly pidFile: string;
  readonly execRoot: string;
}

/**
 * Reads mydockd's own arguments, then its configuration file. `host` (the client's `-H`) counts as `--host` where
 * the arguments name none. Throws for an address that cannot be waited on (`fd://`).
 */
export function daemonSettings(words: readonly string[], host: string | undefined): DaemonSettings {
  const config = readConfig(lastValue(words, ['--config-file']));
  const execRoot = lastValue(words, ['--exec-root']) ?? textOf(config['exec-root']) ?? DEFAULT_EXEC_ROOT;
  const pidFile =
    lastValue(words, ['--pidfile']) ?? textOf(config['pidfile']) ?? join(execRoot, 'mydockd.pid');
  const hosts = config['hosts'];
  const configured = Array.isArray(hosts) ? textOf(hosts[0]) : undefined;
  const address = valuesOf(words, ['--host', '-H'])[0] ?? host ?? configured ?? `unix://${DEFAULT_SOCKET}`;
  return { listener: listenerOf(address), pidFile, execRoot };
}

/** mydockd's arguments, with the client's `-H` where they name no host. */
export function daemonArguments(words: readonly string[], host: string | undefined): string[] {
  const named = valuesOf(words, ['--host', '-H']).length > 0;
  return named || host === undefined ? [...words] : ['--host', host, ...words];
}

function listenerOf(address: string): Listener {
  if (address.startsWith('fd://'))
    throw new CliError(`a daemon on ${address} is started by systemd, not from here`);
  const host = parseHost(address);
  if (host.kind === 'unix') return { path: host.path };
  if (host.kind === 'tcp')
    return { host: host.hostname === '0.0.0.0' ? '127.0.0.1' : host.hostname, port: host.port };
  throw new CliError(`the daemon at ${address} is not on this machine`);
}

function lastValue(words: readonly string[], names: readonly string[]): string | undefined {
  return valuesOf(words, names).at(-1);
}

/** Values given as `--name value`, `--name=value` or `-Hvalue`. */
function valuesOf(words: readonly string[], names: readonly string[]): string[] {
  const values: string[] = [];
  for (const [index, word] of words.entries()) {
    for (const name of names) {
      const next = words[index + 1];
      if (word === name && next !== undefined) values.push(next);
      else if (word.startsWith(`${name}=`)) values.push(word.slice(name.length + 1));
      else if (name.length === 2 && word.length > 2 && word.startsWith(name)) values.push(word.slice(2));
    }
  }
  return values;
}

function readConfig(path: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(path ?? DEFAULT_CONFIG_FILE, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // Absent, or broken: the daemon itself reports that.
    return {};
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
