/** `mydock info`. */
import type { SystemInfo } from '../../api/system.ts';
import { MYDOCK_VERSION } from '../../base/version.ts';
import { type Client, readText } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { failureMessage } from '../container/each.ts';
import { stringFlag } from '../flags/declare.ts';
import { parseExact } from '../format/json-indent.ts';
import { formatValue } from '../format/objects.ts';
import { goValue } from '../format/template/values.ts';
import { binarySize } from '../format/units.ts';
import { type Io, printError, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface InfoOptions {
  format?: string;
}

export const info = defineVerb<InfoOptions>({
  usage: '[OPTIONS]',
  summary: 'Show information about the system',
  args: { min: 0, max: 0 },
  flags(command) {
    stringFlag(command, '-f, --format <string>', 'Output as "json" or a Go template');
  },
  run: ({ client, io }, _, options) => runInfo(client, io, options),
});

/** The client's half is printed also where no daemon answers; then the exit code is 1. */
export async function runInfo(client: Client, io: Io, options: InfoOptions): Promise<number> {
  const host = client.host.url;
  const clientText = [
    'Client:',
    ` Version:    ${MYDOCK_VERSION}`,
    ` Host:       ${host}`,
    '',
    'Server:',
    '',
  ].join('\n');
  let text: string;
  try {
    text = await readText(await client.stream('GET', '/info'));
  } catch (error) {
    if (!options.format) io.stdout.write(clientText);
    throw new CliError(failureMessage(error));
  }
  const parsed = parseExact(text) as SystemInfo;
  if (options.format) {
    const ClientInfo = { Version: MYDOCK_VERSION, Host: host };
    printLine(io, formatValue(io, goValue({ ...parsed, ClientInfo }), options.format));
    return 0;
  }
  io.stdout.write(`${clientText}${serverLines(parsed).join('\n')}\n\n`);
  for (const warning of parsed.Warnings ?? []) printError(io, warning);
  return 0;
}

function serverLines(server: SystemInfo): string[] {
  return [
    ...stateLines(server),
    ...pluginLines(server),
    ...runtimeLines(server),
    ...securityLines(server),
    ...machineLines(server),
    ...settingLines(server),
  ].map((line) => ` ${line}`);
}

function stateLines(server: SystemInfo): string[] {
  return [
    `Containers: ${server.Containers}`,
    ` Running: ${server.ContainersRunning}`,
    ` Paused: ${server.ContainersPaused}`,
    ` Stopped: ${server.ContainersStopped}`,
    `Images: ${server.Images}`,
    `Server Version: ${server.ServerVersion}`,
    `Storage Driver: ${server.Driver}`,
    ...(server.DriverStatus ?? []).map(([key, value]) => ` ${key}: ${value}`),
    `Logging Driver: ${server.LoggingDriver}`,
    `Cgroup Driver: ${server.CgroupDriver}`,
    ...optional('Cgroup Version', server.CgroupVersion),
  ];
}

function pluginLines({ Plugins, Swarm }: SystemInfo): string[] {
  return [
    'Plugins:',
    ` Volume: ${(Plugins.Volume ?? []).join(' ')}`,
    ` Network: ${(Plugins.Network ?? []).join(' ')}`,
    ...(Plugins.Authorization?.length ? [` Authorization: ${Plugins.Authorization.join(' ')}`] : []),
    ` Log: ${(Plugins.Log ?? []).join(' ')}`,
    `Swarm: ${Swarm?.LocalNodeState || 'inactive'}`,
  ];
}

function runtimeLines(server: SystemInfo): string[] {
  return [
    `Runtimes: ${Object.keys(server.Runtimes ?? {}).join(' ')}`,
    `Default Runtime: ${server.DefaultRuntime}`,
    ...optional('Init Binary', server.InitBinary),
    ...optional('containerd version', server.ContainerdCommit?.ID),
    ...optional('runc version', server.RuncCommit?.ID),
    ...optional('init version', server.InitCommit?.ID),
  ];
}

/** `name=seccomp,profile=builtin` shows as a name with its options under it. */
function securityLines({ SecurityOptions }: SystemInfo): string[] {
  if (!SecurityOptions?.length) return [];
  const lines = ['Security Options:'];
  for (const option of SecurityOptions) {
    for (const part of option.split(',')) {
      const [key = '', value = ''] = part.split('=', 2);
      lines.push(key === 'name' ? ` ${value}` : `  ${key.charAt(0).toUpperCase()}${key.slice(1)}: ${value}`);
    }
  }
  return lines;
}

function machineLines(server: SystemInfo): string[] {
  return [
    `Kernel Version: ${server.KernelVersion}`,
    `Operating System: ${server.OperatingSystem}`,
    `OSType: ${server.OSType}`,
    `Architecture: ${server.Architecture}`,
    `CPUs: ${server.NCPU}`,
    `Total Memory: ${binarySize(server.MemTotal)}`,
    `Name: ${server.Name}`,
    `ID: ${server.ID}`,
    `Root Dir: ${server.DockerRootDir}`,
    `Debug Mode: ${server.Debug}`,
    ...optional('HTTP Proxy', server.HttpProxy),
    ...optional('HTTPS Proxy', server.HttpsProxy),
    ...optional('No Proxy', server.NoProxy),
  ];
}

function settingLines(server: SystemInfo): string[] {
  const registry = server.RegistryConfig;
  const insecure = [
    ...Object.values(registry?.IndexConfigs ?? {})
      .filter((index) => !index.Secure)
      .map((index) => index.Name),
    ...(registry?.InsecureRegistryCIDRs ?? []),
  ];
  return [
    ...(server.Labels?.length ? ['Labels:', ...server.Labels.map((label) => ` ${label}`)] : []),
    `Experimental: ${server.ExperimentalBuild}`,
    ...(insecure.length > 0 ? ['Insecure Registries:', ...insecure.map((name) => ` ${name}`)] : []),
    ...mirrorLines(registry),
    `Live Restore Enabled: ${server.LiveRestoreEnabled}`,
    ...poolLines(server),
    ...firewallLines(server),
  ];
}

function poolLines({ DefaultAddressPools }: SystemInfo): string[] {
  if (!DefaultAddressPools?.length) return [];
  return [
    'Default Address Pools:',
    ...DefaultAddressPools.map(({ Base, Size }) => `  Base: ${Base}, Size: ${Size}`),
  ];
}

function firewallLines({ FirewallBackend }: SystemInfo): string[] {
  if (FirewallBackend === undefined) return [];
  const details = (FirewallBackend.Info ?? []).map(([key, value]) => ` ${key}: ${value}`);
  return [`Firewall Backend: ${FirewallBackend.Driver}`, ...details];
}

/** Docker Hub's as Docker prints them, other registries' with the registry before them. */
function mirrorLines(registry: SystemInfo['RegistryConfig']): string[] {
  const others = Object.values(registry?.IndexConfigs ?? {}).filter((index) => !index.Official);
  const lines = [
    ...(registry?.Mirrors ?? []).map((url) => ` ${url}`),
    ...others.flatMap((index) => (index.Mirrors ?? []).map((url) => ` ${index.Name}=${url}`)),
  ];
  return lines.length === 0 ? [] : ['Registry Mirrors:', ...lines];
}

function optional(name: string, value: string | undefined): string[] {
  return value ? [`${name}: ${value}`] : [];
}
