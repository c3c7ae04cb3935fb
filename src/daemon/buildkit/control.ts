/** BuildKit's Control service: builds and their progress, the cache, and what does the builds. */
import { Duplex, PassThrough } from 'node:stream';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { BuildStatus } from '../../api/build-status.ts';
import {
  type BytesMessage,
  Control,
  type SolveRequest,
  type UsageRecordSchema,
} from '../../api/buildkit/control_pb.ts';
import type { Definition } from '../../api/buildkit/types_pb.ts';
import type { GrpcServices, ServerCallContext } from '../../api/grpc/server.ts';
import { GrpcError } from '../../api/grpc/status.ts';
import { InvalidParameterError } from '../../base/errors.ts';
import type { BuildCacheEntry } from '../../build/builder.ts';
import { cacheFilter } from '../../build/cache/cache-filter.ts';
import type { CacheSpec } from '../../build/solve-request.ts';
import type { BuildBackend } from '../routes/build/backend.ts';
import type { BuildHistory, DoneBuild } from './build-history.ts';
import { BuildJob } from './build-job.ts';
import type { BuildJobs } from './build-jobs.ts';
import { timestamp } from './build-record.ts';
import { type BuildResults, resultOf } from './build-results.ts';
import { outputsOf } from './exporters.ts';
import { clientCache } from './frontend-attributes.ts';
import type { SessionRegistry } from './session/session-registry.ts';
import { statusMessage } from './status-messages.ts';
import { version, workerRecord } from './worker-record.ts';

export interface ControlParts {
  backend: BuildBackend;
  sessions: SessionRegistry;
  jobs: BuildJobs;
  results: BuildResults;
  history: BuildHistory;
}

const NANOSECONDS = 1_000_000n;

export function addControl(services: GrpcServices, parts: ControlParts): void {
  const { backend, jobs, sessions, history } = parts;
  services
    .unary(Control.method.solve, async (request, call) => ({
      exporterResponse: await recorded(parts, request, call).catch((error: unknown) => {
        jobs.refuse(request.ref, error);
        throw error;
      }),
    }))
    .stream(Control.method.status, async function* (requests, { signal }) {
      const { ref } = await first(requests);
      // Whoever comes first gets all of it as it happens, every other what is kept.
      const record = jobs.find(ref)?.status.taken === false ? undefined : history.find(ref);
      if (record !== undefined) {
        for await (const status of record.follow(signal)) yield statusMessage(status);
        return;
      }
      const job = await jobs.get(ref, signal);
      for await (const status of job.status.read(signal)) yield statusMessage(status);
    })
    .unary(Control.method.info, async () => ({ buildkitVersion: version() }))
    .unary(Control.method.listWorkers, async () => ({ record: [workerRecord(backend)] }))
    .unary(Control.method.diskUsage, async ({ filter }) => {
      const wanted = cacheFilter(filtersOf(filter), Date.now());
      return { record: (await backend.cacheEntries()).filter(wanted).map(usageRecord) };
    })
    .stream(Control.method.prune, async function* (requests, { signal }) {
      const request = await first(requests);
      const { entries } = await backend.prune(pruneRequest(request), signal);
      yield* entries.map(usageRecord);
    })
    .stream(Control.method.session, (requests, call) => overCall(sessions, requests, call));
}

async function recorded(
  parts: ControlParts,
  request: SolveRequest,
  call: ServerCallContext,
): Promise<Record<string, string>> {
  refuseUnbuilt(request);
  // Of what clients do for themselves, and of an order that is there already, there is nothing to look back at.
  if (request.internal || parts.jobs.find(request.ref) !== undefined)
    return (await solve(parts, request, call)).response;
  return await parts.history.during(request, call.signal, (tell) => solve(parts, request, call, tell));
}

async function solve(
  parts: ControlParts,
  request: SolveRequest,
  call: ServerCallContext,
  onStatus: (status: BuildStatus) => void = () => undefined,
): Promise<DoneBuild> {
  const { sessions, jobs } = parts;
  const session = request.session === '' ? undefined : await sessions.get(request.session, call.signal);
  const { cache } = request;
  const order = {
    entitlements: request.entitlements,
    cacheFrom: [
      ...(cache?.importRefsDeprecated ?? []).map((ref) => ({ type: 'registry', attributes: { ref } })),
      ...(cache?.imports ?? []).map(cacheSpec),
    ],
    cacheTo: [
      ...(cache === undefined || cache.exportRefDeprecated === ''
        ? []
        : [
            {
              type: 'registry',
              attributes: { ...cache.exportAttrsDeprecated, ref: cache.exportRefDeprecated },
            },
          ]),
      ...(cache?.exports ?? []).map(cacheSpec),
    ],
    outputs: outputsOf(exportersOf(request)),
    onStatus,
  };
  const job = new BuildJob(request.ref, parts, order, session);
  const cancel = (): void => job.cancel(call.signal.reason);
  call.signal.addEventListener('abort', cancel);
  try {
    const response = await jobs.during(job, async () => {
      if (call.signal.aborted) cancel();
      // Without a frontend the client steers the build itself, by LLBBridge.
      if (request.frontend === '') return await job.returned();
      const given = { cacheFrom: [], results: inputResults(request.frontendInputs) };
      return await job.export(await job.solve(request.frontendAttrs, given, call.signal));
    });
    return { response, materials: job.materials };
  } finally {
    call.signal.removeEventListener('abort', cancel);
  }
}

function exportersOf({ exporters, exporterDeprecated, exporterAttrsDeprecated }: SolveRequest) {
  if (exporters.length > 0) return exporters;
  return exporterDeprecated === '' ? [] : [{ type: exporterDeprecated, attrs: exporterAttrsDeprecated }];
}

/** What would otherwise silently not be obeyed. */
function refuseUnbuilt(request: SolveRequest): void {
  if (request.ref === '' || request.ref.length > 200) {
    throw new GrpcError('InvalidArgument', `invalid build reference "${request.ref.slice(0, 200)}"`);
  }
  if ((request.definition?.def.length ?? 0) > 0) {
    throw new GrpcError(
      'Unimplemented',
      'not implemented: low-level build definitions (LLB); use a Dockerfile',
    );
  }
  if ((request.sourcePolicy?.rules.length ?? 0) > 0 || request.sourcePolicySession !== '') {
    throw new GrpcError('Unimplemented', 'not implemented: source policies');
  }
  if (request.frontend !== '') requireDockerfile(request.frontend, request.frontendAttrs);
}

/** The names of the results that a build is to take from, by the names of its inputs. */
export function inputResults(inputs: Readonly<Record<string, Definition>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, definition]) => {
      const ref = resultOf(definition);
      if (ref !== undefined) return [name, ref];
      throw new GrpcError(
        'Unimplemented',
        `not implemented: input "${name}" that is no result of a build here (low-level build definitions)`,
      );
    }),
  );
}

/** Frontends that come as images are the Dockerfile's own, in other versions, or nothing that is built here. */
export function requireDockerfile(frontend: string, attributes: Readonly<Record<string, string>>): void {
  if (frontend === 'dockerfile.v0') return;
  const source = attributes['source'] ?? '';
  if (frontend === 'gateway.v0' && /^(docker\.io\/)?docker\/dockerfile(-upstream)?([:@]|$)/.test(source))
    return;
  const name = frontend === 'gateway.v0' ? `${frontend} with ${source}` : frontend;
  throw new GrpcError(
    'Unimplemented',
    `not implemented: frontend ${name}; mydock has that of Dockerfiles built in`,
  );
}

export function cacheSpec({ type, attrs }: { type: string; attrs: Record<string, string> }): CacheSpec {
  return clientCache({ type, attributes: attrs });
}

/** `type==regular`, `id~=abc`; several on one line of CSV must all hold. */
function filtersOf(lines: readonly string[]): Record<string, string[]> {
  const filters: Record<string, string[]> = {};
  for (const filter of lines.flatMap((line) => line.split(','))) {
    if (filter === '') continue;
    const [, name = '', sign = '', value = ''] = /^([a-z-]+)(?:(={1,2}|~=)(.*))?$/s.exec(filter) ?? [];
    if (name === '') throw new InvalidParameterError(`invalid filter '${filter}'`);
    filters[name] = [...(filters[name] ?? []), `${sign === '~=' ? '~' : ''}${value}`];
  }
  return filters;
}

function pruneRequest(request: {
  filter: readonly string[];
  all: boolean;
  keepDuration: bigint;
  reservedSpace: bigint;
  maxUsedSpace: bigint;
  minFreeSpace: bigint;
}): Parameters<BuildBackend['prune']>[0] {
  const filters = filtersOf(request.filter);
  if (request.keepDuration > 0n) filters['until'] = [`${request.keepDuration / NANOSECONDS}ms`];
  return {
    all: request.all,
    filters,
    ...bytes('reservedSpaceBytes', request.reservedSpace),
    ...bytes('maxUsedSpaceBytes', request.maxUsedSpace),
    ...bytes('minFreeSpaceBytes', request.minFreeSpace),
  };
}

function bytes<Name extends string>(name: Name, value: bigint): { [Key in Name]?: number } {
  return (value > 0n ? { [name]: Number(value) } : {}) as { [Key in Name]?: number };
}

function usageRecord(entry: BuildCacheEntry): MessageInitShape<typeof UsageRecordSchema> {
  return {
    id: entry.id,
    recordType: entry.type,
    description: entry.description,
    inUse: entry.inUse,
    shared: entry.shared,
    mutable: entry.type === 'exec.cachemount' || entry.type === 'source.local',
    size: BigInt(entry.sizeBytes),
    usageCount: BigInt(entry.usageCount),
    parents: [...entry.parents],
    createdAt: timestamp(entry.createdMs),
    ...(entry.lastUsedMs === undefined ? {} : { lastUsedAt: timestamp(entry.lastUsedMs) }),
  };
}

async function first<T>(requests: AsyncGenerator<T>): Promise<T> {
  const { value, done } = await requests.next();
  if (done === true) throw new GrpcError('Internal', 'a call without a request');
  return value;
}

/** A session whose bytes travel inside of a call, its headers as those of the call. */
async function* overCall(
  sessions: SessionRegistry,
  requests: AsyncGenerator<BytesMessage>,
  { headers, signal }: ServerCallContext,
): AsyncGenerator<{ data: Uint8Array }> {
  const text = (name: string): string => [headers[name] ?? ''].flat()[0] ?? '';
  const out = new PassThrough();
  const connection = Duplex.from({
    readable: bytesOf(requests),
    writable: out,
  });
  const methods = [headers['x-docker-expose-session-grpc-method'] ?? []]
    .flat()
    .flatMap((value) => value.split(', '));
  const session = sessions.add(
    {
      id: text('x-docker-expose-session-uuid'),
      sharedKey: text('x-docker-expose-session-sharedkey'),
      methods,
    },
    connection,
  );
  try {
    for await (const data of out.iterator() as AsyncIterable<Buffer>) {
      if (signal.aborted) return;
      yield { data };
    }
  } finally {
    session.close();
  }
}

async function* bytesOf(requests: AsyncGenerator<BytesMessage>): AsyncGenerator<Uint8Array> {
  for await (const { data } of requests) if (data.length > 0) yield data;
}
