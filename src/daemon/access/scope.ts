/**
 * What one scoped socket may do: operations by name, objects by label, images by pattern, networks by name, host
 * folders. Made from what is stored of the socket; the default is to deny.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { compilePathPattern } from '../../base/path-pattern.ts';
import { OPEN_OPERATIONS, OPERATIONS } from './operations.ts';

export interface ScopeSettings {
  name: string;
  readOnly: boolean;
  allow: readonly string[];
  /** `KEY` or `KEY=VALUE`. */
  labels: readonly string[];
  /** Real paths. */
  mountRoots: readonly string[];
  images: readonly string[];
  networks: readonly string[];
}

/** Attributes of containers' events that are no labels: a label of that name could not be told from them. */
const EVENT_ATTRIBUTES = new Set([
  ...['container', 'destination', 'driver', 'execDuration', 'execID', 'exitCode', 'height', 'image', 'name'],
  ...['oldName', 'propagation', 'read/write', 'reclaimed', 'signal', 'type', 'width', 'comment', 'imageID'],
]);

export class AccessScope {
  readonly name: string;
  readonly mountRoots: readonly string[];
  readonly networks: readonly string[];
  readonly operations: ReadonlySet<string>;
  readonly #labels: readonly { key: string; value: string | undefined }[];
  readonly #images: readonly ((name: string) => boolean)[];

  /** Throws InvalidParameter naming what cannot be read. */
  constructor(settings: ScopeSettings) {
    this.name = settings.name;
    this.mountRoots = settings.mountRoots;
    this.networks = settings.networks;
    this.operations = expandOperations(settings);
    this.#labels = settings.labels.map(parseScopeLabel);
    this.#images = settings.images.map(compilePathPattern);
  }

  allows(operation: string): boolean {
    return OPEN_OPERATIONS.has(operation) || this.operations.has(operation);
  }

  /** Only objects with the socket's labels exist on it. */
  get limitsObjects(): boolean {
    return this.#labels.length > 0;
  }

  /** Only images that match its patterns may be named. */
  get limitsImages(): boolean {
    return this.#images.length > 0;
  }

  includes(labels: Readonly<Record<string, string>> | null | undefined): boolean {
    return this.#labels.every(
      ({ key, value }) =>
        Object.hasOwn(labels ?? {}, key) && (value === undefined || labels?.[key] === value),
    );
  }

  /** What a new object is labelled with. Returns undefined where the request says another value for one of them. */
  withLabels(
    labels: Readonly<Record<string, string>> | null | undefined,
  ): Record<string, string> | undefined {
    const result: Record<string, string> = { ...labels };
    for (const { key, value } of this.#labels) {
      if (!Object.hasOwn(result, key)) result[key] = value ?? '';
      else if (value !== undefined && result[key] !== value) return undefined;
    }
    return result;
  }

  /** As `label` filters of the API. */
  get labelFilter(): string[] {
    return this.#labels.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`));
  }

  /** Whether a pattern matches one of an image's names (`busybox:latest`), whole or without tag and digest. */
  includesImage(names: readonly string[]): boolean {
    return names.some((name) => this.#images.some((matches) => matches(name) || matches(repositoryOf(name))));
  }
}

function expandOperations({ readOnly, allow }: ScopeSettings): Set<string> {
  const operations = new Set<string>();
  if (readOnly) for (const [name, kind] of OPERATIONS) if (kind === 'read') operations.add(name);
  for (const wanted of allow) {
    const group = /^([a-z]+)\.\*$/.exec(wanted)?.[1];
    const found = [...OPERATIONS.keys()].filter((name) =>
      group === undefined ? name === wanted : name.startsWith(`${group}.`),
    );
    if (found.length === 0) {
      throw new InvalidParameterError(
        `invalid operation "${wanted}": expected GROUP.OPERATION or GROUP.*, one of ${[...OPERATIONS.keys()].sort().join(', ')}`,
      );
    }
    for (const name of found) operations.add(name);
  }
  return operations;
}

function parseScopeLabel(text: string): { key: string; value: string | undefined } {
  const at = text.indexOf('=');
  const key = at < 0 ? text : text.slice(0, at);
  if (key === '' || key === '__proto__')
    throw new InvalidParameterError(`invalid label "${text}": expected KEY[=VALUE]`);
  if (EVENT_ATTRIBUTES.has(key)) {
    throw new InvalidParameterError(
      `invalid label "${text}": "${key}" is also what events say of containers, choose another key`,
    );
  }
  return { key, value: at < 0 ? undefined : text.slice(at + 1) };
}

/** `localhost:5000/x` of `localhost:5000/x:1` and of `localhost:5000/x@sha256:…`. */
function repositoryOf(name: string): string {
  const bare = name.split('@', 1)[0] ?? '';
  const colon = bare.lastIndexOf(':');
  return colon > bare.lastIndexOf('/') ? bare.slice(0, colon) : bare;
}
