/** `GET /containers/json`: which containers a list shows (Engine API, "List containers"). */
import type { ContainerSummary } from '../api/containers.ts';
import { type Filters, InvalidFilterError, requireKnownFilters } from '../api/filters.ts';
import type { EndpointSettings } from '../api/networks.ts';
import { InvalidParameterError } from '../base/errors.ts';
import { compileExpression } from '../base/expression/expression.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { summarize } from './inspect.ts';
import { linkNames } from './links.ts';
import { isRunning } from './state.ts';

export interface ListOptions {
  /** Stopped ones too. */
  all: boolean;
  /** The newest so many, stopped ones too; 0 for no limit. */
  limit: number;
  filters: Filters;
}

const STATUSES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
const HEALTHS = ['none', 'starting', 'healthy', 'unhealthy'];
const FLAGS = { true: ['1', 'true'], false: ['0', 'false'] };
const FILTERS = [
  'ancestor',
  'before',
  'exited',
  'expose',
  'health',
  'id',
  'is-task',
  'label',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
];

/** Newest first. Throws InvalidParameter for a filter that does not exist or cannot be read. */
export function listContainers(engine: EngineContext, options: ListOptions): ContainerSummary[] {
  const matches = buildFilter(engine, options.filters);
  const all =
    options.all ||
    options.limit > 0 ||
    ['status', 'exited', 'before', 'since'].some((name) => name in options.filters);
  const found = engine.containers
    .all()
    .reverse()
    .filter((container) => all || isRunning(container.record.state))
    .filter(matches);
  const nowMs = Date.now();
  const links = linkNames(engine);
  const imageName = shownImages(engine);
  return (options.limit > 0 ? found.slice(0, options.limit) : found).map((one) => ({
    ...summarize(engine, one, { nowMs, linkNames: links.get(one.id) ?? [] }),
    Image: imageName(one),
  }));
}

/** The name that a container was made by, or its image's ID where the name means another image by now, or none. */
function shownImages(engine: EngineContext): (container: Container) => string {
  const ids = new Map<string, string | undefined>();
  return ({ record: { image, imageId } }) => {
    if (!ids.has(image)) ids.set(image, engine.images.tryFind(image));
    return ids.get(image) === imageId ? image : imageId;
  };
}

type Test = (container: Container, value: string) => boolean;

function buildFilter(engine: EngineContext, filters: Filters): (container: Container) => boolean {
  check(filters);
  const matchesPattern = expressions();
  const position = positions(engine);
  const tests: Record<string, Test> = {
    id: ({ id }, value) => id.startsWith(value) || matchesPattern(value, id),
    name: ({ record }, value) =>
      matchesPattern(value, record.name) || matchesPattern(value, `/${record.name}`),
    // Tasks are swarm mode's containers.
    'is-task': (_, value) => !FLAGS.true.includes(value),
    label: ({ record }, value) => matchesLabel(record.config.Labels ?? {}, value),
    status: ({ record }, value) => record.state.status === value,
    health: ({ record }, value) => (record.health?.Status ?? 'none') === value,
    exited: ({ record }, value) =>
      record.state.status === 'exited' && record.state.exitCode === Number(value),
    ancestor: ({ record }, value) => descendsFrom(engine, record.imageId, value),
    before: ({ id }, value) => position(id) < position(value),
    since: ({ id }, value) => position(id) > position(value),
    volume: ({ record }, value) =>
      record.mounts.some((mount) => mount.destination === value || ('name' in mount && mount.name === value)),
    network: ({ record }, value) => matchesNetwork(record.networks, value),
    publish: (container, value) =>
      portsOf(container).some((port) => port.published && matchesPort(port, value)),
    expose: (container, value) => portsOf(container).some((port) => matchesPort(port, value)),
  };
  const given = Object.entries(filters).filter(([, values]) => values.length > 0);
  // Labels must all be there; of other filters one value is enough.
  return (container) =>
    given.every(([name, values]) => {
      const test = tests[name];
      if (test === undefined) return true;
      return name === 'label'
        ? values.every((value) => test(container, value))
        : values.some((value) => test(container, value));
    });
}

/** Where a container stands among all, the oldest first; throws NotFound for a reference to none. Counted when first asked. */
function positions({ containers }: EngineContext): (reference: string) => number {
  let byId: Map<string, number> | undefined;
  return (reference) => {
    byId ??= new Map(containers.all().map(({ id }, index) => [id, index]));
    return byId.get(reference) ?? byId.get(containers.get(reference).id) ?? 0;
  };
}

function check(filters: Filters): void {
  try {
    requireKnownFilters(filters, FILTERS);
  } catch (error) {
    throw error instanceof InvalidFilterError ? new InvalidParameterError(error.message) : error;
  }
  for (const status of filters['status'] ?? []) {
    if (!STATUSES.includes(status)) throw new InvalidParameterError(`invalid filter 'status=${status}'`);
  }
  for (const health of filters['health'] ?? []) {
    if (!HEALTHS.includes(health)) throw new InvalidParameterError(`invalid filter 'health=${health}'`);
  }
  for (const flag of filters['is-task'] ?? []) {
    if (![...FLAGS.true, ...FLAGS.false].includes(flag)) {
      throw new InvalidParameterError(`invalid filter 'is-task=${flag}'`);
    }
  }
  for (const code of filters['exited'] ?? []) {
    if (!/^-?\d+$/.test(code)) throw new InvalidParameterError(`invalid filter 'exited=${code}'`);
  }
}

/** Matches texts by expressions, each of which is read once. */
function expressions(): (pattern: string, text: string) => boolean {
  const compiled = new Map<string, (text: string) => boolean>();
  return (pattern, text) => {
    let matches = compiled.get(pattern);
    if (matches === undefined) {
      matches = expressionTest(pattern);
      compiled.set(pattern, matches);
    }
    return matches(text);
  };
}

/** What is no expression matches nothing, as in Docker: lists have no error for it. */
function expressionTest(pattern: string): (text: string) => boolean {
  try {
    return compileExpression(pattern);
  } catch (error) {
    if (error instanceof InvalidParameterError) return () => false;
    throw error;
  }
}

export function matchesLabel(labels: Record<string, string>, wanted: string): boolean {
  const [key = '', value] = wanted.split(/=(.*)/s);
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}

/** A name counts for the image that it means now, whatever it meant when the container was made. */
function descendsFrom(engine: EngineContext, imageId: string, wanted: string): boolean {
  const ancestorId = engine.images.tryFind(wanted);
  const ancestor = ancestorId === undefined ? undefined : engine.images.get(ancestorId);
  if (ancestor === undefined) return false;
  if (ancestor.id === imageId) return true;
  const own = engine.images.tryResolve(imageId);
  return own !== undefined && ancestor.diffIds.every((diffId, index) => own.diffIds[index] === diffId);
}

function matchesNetwork(networks: Record<string, EndpointSettings>, wanted: string): boolean {
  if (wanted === '') return false;
  return Object.entries(networks).some(
    ([name, { NetworkID }]) => name === wanted || NetworkID?.startsWith(wanted) === true,
  );
}

interface ListedPort {
  number: number;
  protocol: string;
  published: boolean;
}

function portsOf({ record }: Container): ListedPort[] {
  const exposed = Object.keys(record.config.ExposedPorts ?? {});
  return exposed.map((port) => {
    const [number, protocol = 'tcp'] = port.split('/');
    const published = (record.hostConfig.PortBindings?.[port] ?? []).length > 0;
    return { number: Number(number), protocol, published };
  });
}

/** `80`, `80/udp`, `8000-8010/tcp`. Throws InvalidParameter for what is none of these. */
function matchesPort(port: ListedPort, wanted: string): boolean {
  const parsed = /^(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(wanted);
  if (parsed === null) throw new InvalidParameterError(`invalid port specification: "${wanted}"`);
  const first = Number(parsed[1]);
  const last = Number(parsed[2] ?? first);
  return port.number >= first && port.number <= last && port.protocol === (parsed[3] ?? 'tcp');
}
