/**
 * A build as BuildKit's clients order it from the Dockerfile frontend: a flat map of attributes (`filename`,
 * `build-arg:NAME`, `context:NAME`, …; docs of BuildKit, "Dockerfile frontend"), made into a SolveRequest. Attributes
 * that mean nothing here are passed over: what only tells where a build comes from. Attestations are not made
 * (`unmadeAttestations`).
 */
import type { Ulimit } from '../../api/host-config.ts';
import { InvalidParameterError, NotImplementedError } from '../../base/errors.ts';
import type { BuiltImage } from '../../build/solve/solved.ts';
import {
  type CacheSpec,
  type ContextSpec,
  NO_LIMITS,
  type OutputSpec,
  type SolveRequest,
  type Subrequest,
} from '../../build/solve-request.ts';
import { parseGitUrl } from '../../build/source/git-url.ts';
import { parseDigest } from '../../image/digest.ts';

export type Attributes = Readonly<Record<string, string>>;

export interface FrontendOrder {
  attributes: Attributes;
  entitlements: readonly string[];
  cacheFrom: readonly CacheSpec[];
  cacheTo: readonly CacheSpec[];
  outputs: readonly OutputSpec[];
  /** Results of other builds, by the names that `input:NAME` has. */
  inputs: Readonly<Record<string, readonly BuiltImage[]>>;
}

/** Uploads of the session look like downloads from this host. */
const UPLOAD = /^https?:\/\/buildkit-session\/([^/?#]+)$/;

/** Throws InvalidParameter for what cannot be read, NotImplemented by name for what would not be obeyed. */
export function solveRequestOf(order: FrontendOrder): SolveRequest {
  const { attributes, entitlements, outputs } = order;
  const context = mainContext(attributes);
  return {
    context,
    namedContexts: namedContexts(order),
    dockerfile: dockerfile(attributes, context),
    buildArgs: prefixed(attributes, 'build-arg:'),
    labels: prefixed(attributes, 'label:'),
    target: attributes['target'] ?? '',
    platforms: list(attributes['platform']),
    noCache: noCache(attributes['no-cache']),
    pull: attributes['image-resolve-mode'] === 'pull',
    networkMode: networkMode(attributes, entitlements),
    extraHosts: extraHosts(attributes['add-hosts']),
    limits: { ...NO_LIMITS, shmSize: size(attributes['shm-size']) },
    ulimits: ulimits(attributes['ulimit']),
    cgroupParent: attributes['cgroup-parent'] ?? '',
    entitlements,
    cacheFrom: once([...importsOf(attributes), ...order.cacheFrom]),
    cacheTo: order.cacheTo,
    outputs,
    squash: false,
    lock: { mode: 'off', content: '' },
    auth: {},
    keepFailed: false,
    check: false,
    ...subrequest(attributes['requestid']),
  };
}

/**
 * Attestations that were asked for: none is made. Left out is what clients ask for unasked, for stores that keep it
 * beside the image at no cost.
 */
export function unmadeAttestations(attributes: Attributes): string[] {
  return Object.entries(prefixed(attributes, 'attest:'))
    .filter(([, text]) => !/(^|,)(inline-only=true|disabled=true)(,|$)/.test(text))
    .map(([name]) => name)
    .sort();
}

const SUBREQUESTS: readonly string[] = ['frontend.lint', 'frontend.outline', 'frontend.targets'];

/** The answer to `frontend.subrequests.describe`: what else may be asked instead of a build. */
export function describedSubrequests(): Record<string, Uint8Array> {
  const kinds = SUBREQUESTS.map((Name) => ({
    Name,
    Version: '1.0.0',
    Type: 'rpc',
    Description: '',
    Opts: null,
    Inputs: null,
    Metadata: [{ Name: 'result.json' }, { Name: 'result.txt' }],
    Refs: null,
  }));
  const text = ['NAME                  VERSION', ...SUBREQUESTS.map((name) => `${name.padEnd(22)}1.0.0`), ''];
  return { 'result.json': Buffer.from(JSON.stringify(kinds)), 'result.txt': Buffer.from(text.join('\n')) };
}

export function isSubrequest(name: string): name is Subrequest {
  return SUBREQUESTS.includes(name);
}

function subrequest(name: string | undefined): Pick<SolveRequest, 'subrequest'> {
  return name !== undefined && isSubrequest(name) ? { subrequest: name } : {};
}

function mainContext(attributes: Attributes): ContextSpec {
  const text = attributes['context'];
  const folder = attributes['contextsubdir'] ?? '';
  const context: ContextSpec =
    text === undefined || text === ''
      ? { kind: 'session', name: attributes['contextkey'] ?? 'context' }
      : remoteContext('the build context', text);
  if (folder === '') return context;
  if (context.kind !== 'git')
    throw new NotImplementedError('not implemented: contextsubdir of contexts other than git');
  const [, ref = ''] = context.url.split('#', 2);
  if (ref.includes(':'))
    throw new InvalidParameterError(
      `contextsubdir "${folder}" for ${context.url}, which names a folder already`,
    );
  return { kind: 'git', url: `${context.url}${ref === '' ? '#' : ''}:${folder}` };
}

function remoteContext(what: string, text: string): ContextSpec {
  const upload = UPLOAD.exec(text)?.[1];
  if (upload !== undefined) return { kind: 'upload', id: upload };
  if (parseGitUrl(text) !== undefined) return { kind: 'git', url: text };
  if (/^https?:\/\//.test(text)) return { kind: 'http', url: text };
  throw new InvalidParameterError(
    `invalid address "${text}" of ${what}: expected a git repository or http(s)://…`,
  );
}

/** Clients say the same in several places, for daemons of several ages. */
function once(specs: readonly CacheSpec[]): CacheSpec[] {
  return [...new Map(specs.map((spec) => [JSON.stringify([spec.type, spec.attributes]), spec])).values()];
}

function namedContexts({ attributes, inputs }: FrontendOrder): Record<string, ContextSpec> {
  const named = Object.entries(prefixed(attributes, 'context:'));
  return Object.fromEntries(named.map(([name, text]) => [name, namedContext(name, text, inputs)]));
}

function namedContext(name: string, text: string, inputs: FrontendOrder['inputs']): ContextSpec {
  const [scheme, rest] = cut(text, ':');
  const path = rest.replace(/^\/\//, '');
  switch (scheme) {
    case 'docker-image':
      return { kind: 'image', reference: path };
    case 'local':
      return { kind: 'session', name: path };
    case 'target':
      return { kind: 'stage', name: path };
    case 'oci-layout':
      return layout(name, path);
    case 'input': {
      const images = Object.hasOwn(inputs, rest) ? inputs[rest] : undefined;
      if (images === undefined) throw new InvalidParameterError(`invalid input ${rest} for ${name}`);
      return { kind: 'result', images };
    }
    default:
      return remoteContext(`named context "${name}"`, text);
  }
}

/** `STORE[:TAG]@DIGEST`: the client has looked up the tag, and says what it stands for. */
function layout(name: string, path: string): ContextSpec {
  const [, store, digest = ''] = /^([^:@]+)(?::[^@]*)?@(.+)$/.exec(path) ?? [];
  if (store === undefined) {
    throw new InvalidParameterError(
      `invalid oci-layout "${path}" of named context "${name}": expected STORE[:TAG]@DIGEST`,
    );
  }
  return { kind: 'oci-layout', store: `oci:${store}`, digest: parseDigest(digest) };
}

function dockerfile(attributes: Attributes, context: ContextSpec): SolveRequest['dockerfile'] {
  const path = attributes['filename'] ?? '';
  const key = attributes['dockerfilekey'];
  if (context.kind === 'session') return { path, session: key ?? 'dockerfile' };
  return key === undefined ? { path } : { path, session: key };
}

/** `no-cache` alone is everything; with a value it is a list of stages. */
function noCache(text: string | undefined): SolveRequest['noCache'] {
  if (text === undefined) return false;
  return text === '' ? true : list(text);
}

function networkMode(attributes: Attributes, entitlements: readonly string[]): string {
  const mode = attributes['force-network-mode'] ?? '';
  if (mode === '' || mode === 'none') return mode;
  if (mode === 'sandbox' || mode === 'default') return '';
  if (mode !== 'host') throw new InvalidParameterError(`network mode "${mode}" not supported by buildkit`);
  if (!entitlements.includes('network.host')) throw new InvalidParameterError('network.host is not allowed');
  return mode;
}

/** `name=address` each, as CSV. */
function extraHosts(text: string | undefined): string[] {
  return list(text).map((entry) => {
    const [name, address] = cut(entry, '=');
    if (name === '' || address === '')
      throw new InvalidParameterError(`invalid key-value pair ${entry} of add-hosts`);
    return `${name}:${address}`;
  });
}

/** `name=soft[:hard]` each, as CSV. */
function ulimits(text: string | undefined): Ulimit[] {
  return list(text).map((entry) => {
    const found = /^([a-z]+)=(-?\d{1,15})(?::(-?\d{1,15}))?$/.exec(entry);
    if (found === null) throw new InvalidParameterError(`invalid ulimit argument: ${entry}`);
    const [, name = '', soft = '', hard = soft] = found;
    return { Name: name, Soft: Number(soft), Hard: Number(hard) };
  });
}

function size(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (!/^\d{1,15}$/.test(text)) throw new InvalidParameterError(`invalid shm size "${text}": expected bytes`);
  return Number(text);
}

/** `cache-imports` is a JSON list, `cache-from` (older clients) one of references. */
function importsOf(attributes: Attributes): CacheSpec[] {
  const references = list(attributes['cache-from']).map((ref) => ({ type: 'registry', attributes: { ref } }));
  const text = attributes['cache-imports'] ?? '';
  if (text === '') return references;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError('failed to unmarshal cache-imports', error);
  }
  if (!Array.isArray(parsed))
    throw new InvalidParameterError('failed to unmarshal cache-imports: expected a list');
  return [...references, ...parsed.map(cacheImport)];
}

function cacheImport(entry: unknown): CacheSpec {
  const { Type: type, Attrs: attributes = {} } = (entry ?? {}) as Record<string, unknown>;
  if (typeof type !== 'string' || typeof attributes !== 'object' || attributes === null) {
    throw new InvalidParameterError('failed to unmarshal cache-imports: expected Type and Attrs');
  }
  const texts = Object.entries(attributes).map(([name, value]) => [name, String(value)]);
  return clientCache({ type, attributes: Object.fromEntries(texts) });
}

/** Folders are the client's, which serves them as stores of blobs by these names. */
export function clientCache({ type, attributes }: CacheSpec): CacheSpec {
  if (type === 'session') throw new InvalidParameterError('unknown cache type "session"');
  if (type !== 'local') return { type, attributes };
  return {
    type: 'session',
    attributes: { ...attributes, store: `local:${attributes['dest'] ?? attributes['src'] ?? ''}` },
  };
}

function prefixed(attributes: Attributes, prefix: string): Record<string, string> {
  const found = Object.entries(attributes).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(found.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** One line of CSV. */
function list(text: string | undefined): string[] {
  if (text === undefined || text === '') return [];
  const fields: string[] = [];
  const field = /(?:"((?:[^"]|"")*)"|([^,"]*))(,|$)/y;
  for (let more = true; more; ) {
    const found = field.exec(text);
    if (found === null) throw new InvalidParameterError(`invalid list "${text}": a quote is not closed`);
    fields.push((found[1] ?? '').replaceAll('""', '"') || (found[2] ?? ''));
    more = found[3] === ',';
  }
  return fields.map((value) => value.trim()).filter((value) => value !== '');
}

function cut(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}
