/**
 * The files that tell programs in a container about its network: /etc/hosts, /etc/hostname, /etc/resolv.conf. They
 * are written anew at a start. In a running container they are bound over its own, so they are changed in place, and
 * only what the engine has put there: whatever somebody has edited stays.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { InternalError } from '../base/errors.ts';
import { buildHosts, buildResolvConf, ownHostLines, replaceHostLines } from '../network/hosts-files.ts';
import type { DnsSettings, Sandbox } from '../network/model.ts';
import type { Container } from './container.ts';
import { editBoundFile } from './edit-bound-file.ts';
import type { EngineContext } from './engine-context.ts';
import { linkHostLines } from './links.ts';
import { containerHostname, dnsSettings, tryFindNetwork } from './network.ts';
import { networkKind } from './network-mode.ts';
import { type ContainerPaths, containerPaths } from './paths.ts';
import type { ContainerRecord } from './record.ts';

/** Writes the files of a container that is about to start. */
export function writeNetworkFiles(engine: EngineContext, container: Container, paths: ContainerPaths): void {
  const { record } = container;
  const { hostConfig, sandbox } = record;
  const kind = networkKind(hostConfig.NetworkMode);
  if (kind === 'container') return;
  const host = kind === 'host';
  const hostname = containerHostname(engine, container);
  writeReadable(paths.hostname, `${hostname}\n`);
  writeReadable(
    paths.hosts,
    host && (hostConfig.ExtraHosts ?? []).length === 0
      ? readFileSync('/etc/hosts')
      : buildHosts({
          base: host ? readFileSync('/etc/hosts', 'utf8') : undefined,
          extraHosts: hostConfig.ExtraHosts ?? [],
          hostGateway: hostGateway(engine, sandbox),
          own: [...sandboxHostLines(record, sandbox), ...linkHostLines(engine, container)],
        }),
  );
  const resolvConf = resolvConfOf(dnsSettings(engine, record), host, sandbox?.dns === true);
  writeReadable(paths.resolvConf, resolvConf);
  record.resolvConfHash = hash(resolvConf);
}

/** What Node says of a full disk does not name the file. */
function writeReadable(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content, { mode: 0o644 });
  } catch (error) {
    throw new InternalError(`cannot write ${path}`, error);
  }
}

/** After a change of a running container's networks; `before` is its sandbox before that. */
export function refreshNetworkFiles(engine: EngineContext, container: Container, before: Sandbox): void {
  const { record } = container;
  const { sandbox } = record;
  if (sandbox === null) return;
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  editBoundFile(container, paths.hosts, (text) =>
    replaceHostLines(text, sandboxHostLines(record, before), sandboxHostLines(record, sandbox)),
  );
  if (before.dns === sandbox.dns) return;
  editBoundFile(container, paths.resolvConf, (text) => {
    const settings = dnsSettings(engine, record);
    const written = record.resolvConfHash ?? hash(resolvConfOf(settings, false, before.dns));
    if (hash(text) !== written) return text;
    const changed = resolvConfOf(settings, false, sandbox.dns);
    record.resolvConfHash = hash(changed);
    return changed;
  });
}

/** The whole of resolv.conf. Throws InvalidParameter for a server that is no IP address. */
export function resolvConfOf(dns: DnsSettings, host: boolean, internal: boolean): string {
  return buildResolvConf({ host, internal, ...dns });
}

/** The container's own lines in its hosts file: every address of every network. */
export function sandboxHostLines(
  { config }: Pick<ContainerRecord, 'config'>,
  sandbox: Sandbox | null,
): string[] {
  const addresses = sandbox?.endpoints.flatMap(({ ipAddress, ipv6Address }) => [ipAddress, ipv6Address]);
  return ownHostLines(addresses ?? [], config.Hostname ?? '', config.Domainname ?? '');
}

/** What `host-gateway` stands for: the host's address on a bridge of the container, else on the default one. */
export function hostGateway(engine: EngineContext, sandbox: Sandbox | null): string {
  if (sandbox === null) return '127.0.0.1';
  for (const { networkId, gateway, ipv6Gateway } of sandbox.endpoints) {
    const own = gateway || ipv6Gateway;
    if (own !== '' && tryFindNetwork(engine, networkId)?.driver === 'bridge') return own;
  }
  return defaultGateway(engine);
}

/** The host's address on the default bridge. */
export function defaultGateway(engine: EngineContext): string {
  return tryFindNetwork(engine, 'bridge')?.pools[0]?.gateway || '127.0.0.1';
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
