/** Containers and execs as one scoped socket has them: those that it may see, and requests within its limits. */
import type { ContainerCreateRequest, ContainerCreateResponse } from '../../api/containers.ts';
import type { ExecCreateRequest } from '../../api/exec.ts';
import type { HostConfig } from '../../api/host-config.ts';
import { EGRESS_OPTION, type EndpointSettings } from '../../api/networks.ts';
import { PortSpecError, parsePublishSpec } from '../../api/port-spec.ts';
import { ConflictError, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import type { CreateOptions } from '../../container/create.ts';
import { parseLink } from '../../container/links.ts';
import type { ContainersBackend } from '../routes/containers/backend.ts';
import type { ExecBackend } from '../routes/exec/backend.ts';
import { excessOfConfig, excessOfHostConfig, unknownFieldOf } from './create-policy.ts';
import { beyond } from './guard.ts';
import { limitMounts, refuseForeignFolders } from './mount-policy.ts';
import { SHOW_ENVIRONMENT } from './operations.ts';
import { showsProcessesOnly } from './ps-arguments.ts';
import { portExcess } from './published-ports.ts';
import { refuseEndpointExcess } from './scoped-networks.ts';
import type { VisibleObjects } from './visible.ts';

export type ContainerEngineBackend = Omit<ContainersBackend, 'create'> & {
  create(request: ContainerCreateRequest, options: CreateOptions): Promise<ContainerCreateResponse>;
  /** Whether a container has that name, whoever it belongs to. */
  nameTaken(name: string): boolean;
};

export function scopedContainers(engine: ContainerEngineBackend, visible: VisibleObjects): ContainersBackend {
  const { scope } = visible;
  const id = (reference: string): string => visible.container(reference).id;
  const inside = (reference: string): string => visible.containerToEnter(reference).id;
  return {
    list: ({ all, limit, filters }) => {
      const own = visible.containerIds();
      // These name containers: others must not be found by them.
      const named = { ...filters };
      for (const name of ['before', 'since']) {
        if (named[name] !== undefined) named[name] = named[name].map(id);
      }
      const found = engine
        .list({ all: all || limit > 0, limit: 0, filters: named })
        .filter(({ Id }) => own.has(Id));
      return limit > 0 ? found.slice(0, limit) : found;
    },
    inspect: (reference) => {
      const found = engine.inspect(id(reference));
      if (scope.allows(SHOW_ENVIRONMENT)) return found;
      const Env = (found.Config.Env ?? []).map((entry) => entry.replace(/=.*$/s, '=***'));
      return { ...found, Config: { ...found.Config, Env } };
    },
    egress: (reference) => engine.egress(id(reference)),
    sizes: (reference) => engine.sizes(id(reference)),
    create: (request, options) => {
      const limited = limitCreate(request, visible);
      requireFreeName(engine, visible, options.name);
      return engine.create(limited, { ...options, limitMounts: (mounts) => limitMounts(mounts, visible) });
    },
    start: (reference) => engine.start(id(reference)),
    stop: (reference, options) => engine.stop(id(reference), options),
    restart: (reference, options) => engine.restart(id(reference), options),
    kill: (reference, signal) => engine.kill(id(reference), signal),
    remove: (reference, options) => engine.remove(id(reference), options),
    wait: (reference, condition, signal) => engine.wait(id(reference), condition, signal),
    removeLink: (reference) => {
      const [parent = ''] = reference.replace(/^\//, '').split('/');
      visible.container(reference);
      visible.container(parent);
      engine.removeLink(reference);
    },
    pause: (reference) => engine.pause(id(reference)),
    unpause: (reference) => engine.unpause(id(reference)),
    rename: (reference, name) => {
      const own = id(reference);
      requireFreeName(engine, visible, name);
      return engine.rename(own, name);
    },
    update: (reference, request) => {
      const own = id(reference);
      refuseHostExcess(request, visible);
      return engine.update(own, request);
    },
    changePorts: (reference, request) => {
      const own = id(reference);
      for (const spec of request.add) refusePortExcess(spec, visible);
      return engine.changePorts(own, request);
    },
    top: (reference, psArgs) => {
      const own = id(reference);
      refuseHiddenColumns(psArgs, visible);
      return engine.top(own, psArgs);
    },
    stats: (reference, options, signal) => engine.stats(id(reference), options, signal),
    prune: (filters, signal) =>
      engine.prune({ ...filters, ...labelFilter(filters['label'], visible) }, signal),
    files: {
      // Its mounts are seen as well.
      stat: (reference, path) => engine.files.stat(inside(reference), path),
      copyOut: (reference, path, begin, signal) =>
        engine.files.copyOut(inside(reference), path, begin, signal),
      copyIn: (reference, options, archive, signal) =>
        engine.files.copyIn(inside(reference), options, archive, signal),
      export: (reference, begin, signal) => engine.files.export(id(reference), begin, signal),
      changes: (reference) => engine.files.changes(id(reference)),
      commit: (reference, request, signal) => {
        const own = id(reference);
        if (request.config !== undefined) refuseConfigExcess(request.config, visible);
        if (request.repository !== '')
          visible.requireImageName(`${request.repository}:${request.tag || 'latest'}`);
        return engine.files.commit(own, request, signal);
      },
    },
    resize: (reference, rows, cols) => engine.resize(id(reference), rows, cols),
    attach: (reference, connection, request) => {
      const container = request.stdin ? inside(reference) : id(reference);
      engine.attach(container, connection, request);
    },
    clearLogs: (reference) => engine.clearLogs(id(reference)),
    logs: (reference, range, signal) => engine.logs(id(reference), range, signal),
  };
}

/** What a prune of a socket may remove. */
export function labelFilter(
  given: readonly string[] | undefined,
  { scope }: VisibleObjects,
): Record<string, string[]> {
  return scope.limitsObjects ? { label: [...(given ?? []), ...scope.labelFilter] } : {};
}

const EXEC_FIELDS: ReadonlySet<string> = new Set<keyof ExecCreateRequest>([
  ...(['AttachStdin', 'AttachStdout', 'AttachStderr', 'ConsoleSize', 'DetachKeys', 'Tty', 'Env'] as const),
  ...(['Cmd', 'Privileged', 'User', 'WorkingDir', 'Detach'] as const),
]);

export function scopedExec(engine: ExecBackend, visible: VisibleObjects): ExecBackend {
  /** Throws the engine's NotFound for an exec that does not exist, and the same for one of another's container. */
  const own = (exec: string): string => {
    const { ContainerID } = engine.inspectExec(exec);
    if (!visible.containerIds().has(ContainerID)) engine.inspectExec(`${exec}-`);
    return exec;
  };
  return {
    createExec: (reference, request) => {
      const container = visible.containerToEnter(reference).id;
      const excess =
        request.Privileged === true ? 'exec --privileged' : unknownFieldOf(request, EXEC_FIELDS, '');
      if (excess !== undefined) throw beyond(visible.scope, excess);
      return engine.createExec(container, request);
    },
    checkExec: (exec) => engine.checkExec(own(exec)),
    startExec: (exec, start, connection) => {
      const { ContainerID, ProcessConfig } = engine.inspectExec(own(exec));
      visible.containerToEnter(ContainerID);
      // Declared over another socket.
      if (ProcessConfig.privileged) throw beyond(visible.scope, 'exec --privileged');
      return engine.startExec(exec, start, connection);
    },
    resizeExec: (exec, rows, cols) => engine.resizeExec(own(exec), rows, cols),
    inspectExec: (exec) => engine.inspectExec(own(exec)),
  };
}

/** The request with what it names resolved and with the socket's labels. Throws Forbidden, NotFound. */
function limitCreate(request: ContainerCreateRequest, visible: VisibleObjects): ContainerCreateRequest {
  const { HostConfig: hostConfig, NetworkingConfig: networking, ...config } = request;
  refuseConfigExcess(config, visible);
  const host = hostConfig ?? {};
  refuseHostExcess(host, visible);
  visible.requireDefaultRuntime(host.Runtime ?? '');
  refuseForeignFolders(host, visible);
  visible.requireImage(config.Image ?? '');
  const Labels = visible.scope.withLabels(config.Labels);
  if (Labels === undefined) throw foreignLabel(visible);
  const excess = unknownFieldOf(networking ?? {}, new Set(['EndpointsConfig']), 'NetworkingConfig.');
  if (excess !== undefined) throw beyond(visible.scope, excess);
  const asked = endpointsOf(request);
  for (const name of Object.keys(asked)) refuseOwnServers(name, host, visible);
  const EndpointsConfig = limitEndpoints(asked, host.NetworkMode ?? '', visible);
  return {
    ...config,
    Labels,
    HostConfig: limitReferences(host, visible),
    NetworkingConfig: { EndpointsConfig },
  };
}

/** For a request that gives one of the socket's labels another value. */
export function foreignLabel({ scope }: VisibleObjects): Error {
  return beyond(scope, 'another value of its label', `the socket's label is ${scope.labelFilter.join(', ')}`);
}

function refuseConfigExcess(config: object, { scope }: VisibleObjects): void {
  const excess = excessOfConfig(config);
  if (excess !== undefined) throw beyond(scope, excess);
}

function refuseHostExcess(hostConfig: HostConfig, { scope }: VisibleObjects): void {
  const excess = excessOfHostConfig(hostConfig);
  if (excess !== undefined) throw beyond(scope, excess);
}

function refusePortExcess(spec: string, { scope }: VisibleObjects): void {
  try {
    for (const { hostPort, hostPortEnd } of parsePublishSpec(spec)) {
      const excess = portExcess(`${hostPort}${hostPortEnd === undefined ? '' : `-${hostPortEnd}`}`);
      if (excess !== undefined) throw beyond(scope, excess);
    }
  } catch (error) {
    throw error instanceof PortSpecError ? new InvalidParameterError(error.message) : error;
  }
}

function refuseHiddenColumns(psArgs: string, { scope }: VisibleObjects): void {
  if (showsProcessesOnly(psArgs)) return;
  throw beyond(
    scope,
    `top with the arguments "${psArgs.slice(0, 80)}"`,
    'they may show environments or other containers: use -ef, aux or -eo COLUMN,COLUMN',
  );
}

/** Names of containers are free or not for all; whose they are is not told. */
function requireFreeName(
  engine: ContainerEngineBackend,
  visible: VisibleObjects,
  name: string | undefined,
): void {
  const wanted = (name ?? '').replace(/^\//, '');
  if (wanted === '' || !engine.nameTaken(wanted)) return;
  const own = [...visible.containerIds()].some((one) => engine.inspect(one).Name === `/${wanted}`);
  if (own) return;
  throw new ConflictError(
    `Conflict. The container name "/${wanted}" is already in use. You have to use another name.`,
  );
}

/** Containers that are named are those that the socket sees, by their IDs from here on. */
function limitReferences(host: HostConfig, visible: VisibleObjects): HostConfig {
  const limited: HostConfig = { ...host };
  for (const field of ['PidMode', 'IpcMode', 'NetworkMode'] as const) {
    const name = /^container:(.+)$/.exec(host[field] ?? '')?.[1];
    if (name !== undefined) limited[field] = `container:${visible.containerToEnter(name).id}`;
  }
  const mode = host.NetworkMode ?? '';
  if (!mode.startsWith('container:')) inRequest(() => visible.networkToJoin(mode === '' ? 'bridge' : mode));
  if (host.Links) {
    // They show the other's environment as well.
    for (const link of host.Links) inRequest(() => visible.containerToEnter(parseLink(link).name));
    limited.Links = host.Links.map((link) => limitLink(link, visible));
  }
  if (host.VolumesFrom) {
    limited.VolumesFrom = host.VolumesFrom.map((from) => {
      const [name = '', ...mode] = from.split(':');
      return [inRequest(() => visible.containerToEnter(name)).id, ...mode].join(':');
    });
  }
  return limited;
}

/** As the engine says it: NotFound in a create is for images, which clients then pull. */
function inRequest<T>(find: () => T): T {
  try {
    return find();
  } catch (error) {
    throw error instanceof NotFoundError ? new InvalidParameterError(error.message) : error;
  }
}

function limitLink(link: string, visible: VisibleObjects): string {
  const { name, alias } = parseLink(link);
  return `${inRequest(() => visible.container(name)).id}:${alias}`;
}

/** Which addresses an egress policy's names stand for is what the name servers say: a client's own could say anything. */
export function refuseOwnServers(network: string, { Dns }: HostConfig, visible: VisibleObjects): void {
  if ((Dns ?? []).length === 0 || network.startsWith('container:')) return;
  const { Name, Options } = inRequest(() => visible.networkToJoin(network));
  if (!Object.hasOwn(Options ?? {}, EGRESS_OPTION)) return;
  throw beyond(
    visible.scope,
    `name servers of its own (--dns) on network ${Name}`,
    'it limits what leaves it',
  );
}

/** Those of the request, or the network of its mode, as the engine takes it. */
function endpointsOf({
  NetworkingConfig: networking,
  HostConfig: host,
  NetworkDisabled: disabled = false,
}: ContainerCreateRequest): Record<string, EndpointSettings | null> {
  const asked = networking?.EndpointsConfig ?? {};
  const mode = host?.NetworkMode || 'default';
  if (Object.keys(asked).length > 0 || disabled || mode.startsWith('container:')) return asked;
  return { [mode]: {} };
}

function limitEndpoints(
  endpoints: Record<string, EndpointSettings | null>,
  mode: string,
  visible: VisibleObjects,
): Record<string, EndpointSettings | null> {
  const limited: Record<string, EndpointSettings | null> = {};
  for (const [name, settings] of Object.entries(endpoints)) {
    // With another container's network clients repeat the mode here.
    if (name === mode && mode.startsWith('container:')) continue;
    const { Id: NetworkID } = inRequest(() => visible.networkToJoin(name));
    if (settings) refuseEndpointExcess(settings, visible);
    // By the time of a start the name may be another's.
    limited[name] = { ...limitEndpointLinks(settings, visible), NetworkID };
  }
  return limited;
}

export function limitEndpointLinks<T extends EndpointSettings | null>(
  settings: T,
  visible: VisibleObjects,
): T {
  if (!settings?.Links) return settings;
  return { ...settings, Links: settings.Links.map((link) => limitLink(link, visible)) };
}
