/**
 * `--link` on the default bridge: a container finds others by an alias, in its hosts file and in variables of its
 * environment (Docker, "Legacy container links"). On user-defined networks links are names of the resolver instead.
 */
import type { HostConfig } from '../api/host-config.ts';
import { ConflictError, InvalidParameterError, NotFoundError } from '../base/errors.ts';
import { replaceHostLines } from '../network/hosts-files.ts';
import type { Endpoint } from '../network/model.ts';
import type { Container } from './container.ts';
import { editBoundFile } from './edit-bound-file.ts';
import type { EngineContext } from './engine-context.ts';
import { isUserDefined } from './network-mode.ts';
import { containerPaths } from './paths.ts';
import type { ContainerLink } from './record.ts';

/** `name` or `name:alias`. Throws InvalidParameter with Docker's text. */
export function parseLink(text: string): { name: string; alias: string } {
  const [name = '', alias = name, ...rest] = text.split(':');
  if (name === '' || alias === '' || rest.length > 0) {
    throw new InvalidParameterError(`bad format for links: ${text}`);
  }
  return { name: name.replace(/^\//, ''), alias: alias.split('/').at(-1) ?? '' };
}

/** The links of a create request. Throws InvalidParameter for containers that do not exist or cannot be linked to. */
export function requestedLinks(engine: EngineContext, hostConfig: HostConfig): ContainerLink[] {
  // With a user-defined network the endpoint has the links; HostConfig repeats them.
  if (isUserDefined(hostConfig.NetworkMode ?? '')) return [];
  const links = new Map<string, string>();
  for (const text of hostConfig.Links ?? []) {
    const { name, alias } = parseLink(text);
    const id = linkTarget(engine, name).id;
    if ((links.get(alias) ?? id) !== id) {
      throw new InvalidParameterError(`link alias "${alias}" is given to two containers`);
    }
    links.set(alias, id);
  }
  return [...links].map(([alias, containerId]) => ({ alias, containerId }));
}

function linkTarget(engine: EngineContext, name: string): Container {
  const seen = new Set<string>();
  for (let wanted = name; ; ) {
    const found = engine.containers.find(wanted);
    if (found === undefined || seen.has(found.id)) {
      throw new InvalidParameterError(`could not get container for ${wanted}: No such container: ${wanted}`);
    }
    seen.add(found.id);
    const mode = found.record.hostConfig.NetworkMode ?? '';
    if (mode === 'host') {
      throw new InvalidParameterError(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    }
    if (!mode.startsWith('container:')) return found;
    wanted = mode.slice('container:'.length);
  }
}

/** `/child:/parent/alias`, as inspect shows `HostConfig.Links`; null where there are none. */
export function describeLinks(engine: EngineContext, { record }: Container): string[] | null {
  if (isUserDefined(record.hostConfig.NetworkMode ?? '')) return record.hostConfig.Links ?? null;
  if (record.links.length === 0) return null;
  return record.links
    .map(({ alias, containerId }) => {
      const name = engine.containers.find(containerId)?.record.name ?? containerId;
      return `/${name}:/${record.name}/${alias}`;
    })
    .sort();
}

/** The names by which containers know others: `/parent/alias`, by the ID of the other. */
export function linkNames(engine: EngineContext): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { record } of engine.containers.all()) {
    for (const { alias, containerId } of record.links) {
      names.set(containerId, [...(names.get(containerId) ?? []), `/${record.name}/${alias}`]);
    }
  }
  return names;
}

/** Takes away the link `parent/alias`. Throws NotFound, or Conflict for what is a container's own name. */
export function removeLink(engine: EngineContext, reference: string): void {
  const target = engine.containers.get(reference);
  const [parentName = '', alias] = reference.replace(/^\//, '').split('/');
  if (alias === undefined) {
    throw new ConflictError('Conflict, cannot remove the default link name of the container');
  }
  const parent = engine.containers.find(parentName);
  if (parent === undefined) {
    throw new NotFoundError(`Cannot get parent ${parentName} for link name ${reference}`);
  }
  const { links } = parent.record;
  parent.record.links = links.filter((link) => link.alias !== alias || link.containerId !== target.id);
  parent.save();
  if (parent.running) replaceLinkLines(engine, parent, alias, []);
}

/** The lines of linked containers in a hosts file. */
export function linkHostLines(engine: EngineContext, container: Container): string[] {
  return liveLinks(engine, container).flatMap(({ alias, target, endpoint }) =>
    linkLines(alias, target, endpoint),
  );
}

/** A container of the default bridge has got its addresses: those that are linked to it learn them. */
export function tellLinkAddresses(engine: EngineContext, target: Container): void {
  const endpoint = bridgeEndpoint(target);
  if (endpoint === undefined) return;
  for (const parent of engine.containers.all()) {
    if (!parent.running || bridgeEndpoint(parent) === undefined) continue;
    for (const { alias, containerId } of parent.record.links) {
      if (containerId !== target.id) continue;
      replaceLinkLines(engine, parent, alias, linkLines(alias, target, endpoint));
    }
  }
}

/** In a running container's hosts file, the lines whose first name is the alias become `lines`. */
function replaceLinkLines(
  { settings }: EngineContext,
  container: Container,
  alias: string,
  lines: readonly string[],
): void {
  const paths = containerPaths(settings.dataRoot, settings.execRoot, container.id);
  editBoundFile(container, paths.hosts, (text) => {
    const old = text.split('\n').filter((line) => line.split('\t')[1]?.split(' ')[0] === alias);
    return replaceHostLines(text, old, lines);
  });
}

/** Variables that tell of linked containers (`DB_PORT_5432_TCP_ADDR=…`); the container's own win over them. */
export function linkEnvironment(engine: EngineContext, container: Container): string[] {
  return liveLinks(engine, container).flatMap(({ alias, target, endpoint }) =>
    linkVariables({
      alias,
      parent: container.record.name,
      address: endpoint.ipAddress,
      ports: Object.keys(target.record.config.ExposedPorts ?? {}),
      environment: target.record.config.Env ?? [],
    }),
  );
}

interface LiveLink {
  alias: string;
  target: Container;
  endpoint: Endpoint;
}

/** None for a container that is not on the default bridge. Throws Conflict where a linked container does not run. */
function liveLinks(engine: EngineContext, container: Container): LiveLink[] {
  if (bridgeEndpoint(container) === undefined) return [];
  return container.record.links.map(({ alias, containerId }) => {
    const target = engine.containers.find(containerId);
    const name = target?.record.name ?? containerId;
    if (target?.running !== true) {
      throw new ConflictError(
        `Cannot link to a non running container: /${name} AS /${container.record.name}/${alias}`,
      );
    }
    const endpoint = bridgeEndpoint(target);
    if (endpoint === undefined) {
      throw new ConflictError(`Cannot link to /${name}, as it does not belong to the default network`);
    }
    return { alias, target, endpoint };
  });
}

function bridgeEndpoint({ record }: Container): Endpoint | undefined {
  return record.sandbox?.endpoints.find(({ networkName }) => networkName === 'bridge');
}

function linkLines(alias: string, { record }: Container, endpoint: Endpoint): string[] {
  const names = [...new Set([alias, record.config.Hostname ?? '', record.name])].filter(
    (name) => name !== '',
  );
  return [endpoint.ipAddress, endpoint.ipv6Address]
    .filter((address) => address !== '')
    .map((address) => `${address}\t${names.join(' ')}`);
}

/** Of a process's variables, those that a container's links gave it. */
export function linkVariablesIn(container: Container, environment: readonly string[]): string[] {
  const prefixes = container.record.links.map(({ alias }) => `${variablePrefix(alias)}_`);
  return environment.filter((entry) =>
    prefixes.some(
      (prefix) => entry.startsWith(prefix) && /^(PORT|NAME|ENV_)/.test(entry.slice(prefix.length)),
    ),
  );
}

function variablePrefix(alias: string): string {
  return alias.toUpperCase().replaceAll('-', '_');
}

export interface LinkVariables {
  alias: string;
  /** Name of the container that has the link. */
  parent: string;
  address: string;
  /** `80/tcp`. */
  ports: readonly string[];
  environment: readonly string[];
}

/** Docker's variables of one link: of every port, and of the ends of every row of consecutive ones. */
export function linkVariables({ alias, parent, address, ports, environment }: LinkVariables): string[] {
  const name = variablePrefix(alias);
  const sorted = sortedPorts(ports);
  const variables = sorted.flatMap(({ number, protocol }, index) => {
    const prefix = `${name}_PORT_${number}_${protocol.toUpperCase()}`;
    const url = `${protocol}://${address}:${number}`;
    return [
      ...(index === 0 ? [`${name}_PORT=${url}`] : []),
      `${prefix}=${url}`,
      `${prefix}_ADDR=${address}`,
      `${prefix}_PORT=${number}`,
      `${prefix}_PROTO=${protocol}`,
    ];
  });
  for (const [first, last] of rows(sorted)) {
    const prefix = `${name}_PORT_${first.number}_${first.protocol.toUpperCase()}`;
    variables.push(
      `${prefix}_START=${first.protocol}://${address}:${first.number}`,
      `${prefix}_PORT_START=${first.number}`,
      `${prefix}_END=${last.protocol}://${address}:${last.number}`,
      `${prefix}_PORT_END=${last.number}`,
    );
  }
  variables.push(`${name}_NAME=/${parent}/${alias}`);
  const passedOn = environment.filter((entry) => /^(?!HOME=|PATH=)[^=]+=/.test(entry));
  return [...variables, ...passedOn.map((entry) => `${name}_ENV_${entry}`)];
}

interface LinkPort {
  number: number;
  protocol: string;
}

/** TCP first. */
function sortedPorts(ports: readonly string[]): LinkPort[] {
  const rank = ({ protocol }: LinkPort): string => (protocol === 'tcp' ? '' : protocol);
  return ports
    .map((port) => {
      const [number, protocol = 'tcp'] = port.split('/');
      return { number: Number(number), protocol };
    })
    .sort((a, b) => rank(a).localeCompare(rank(b)) || a.number - b.number);
}

/** First and last port of every row of two or more consecutive ones. */
function rows(sorted: readonly LinkPort[]): [LinkPort, LinkPort][] {
  const found: [LinkPort, LinkPort][] = [];
  for (const port of sorted) {
    const row = found.at(-1);
    const last = row?.[1];
    if (row !== undefined && last?.protocol === port.protocol && last.number + 1 === port.number)
      row[1] = port;
    else found.push([port, port]);
  }
  return found.filter(([first, last]) => first !== last);
}
