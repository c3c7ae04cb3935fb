/**
 * One build from the request to its end: the context by name or as an archive, the session where something is needed of it,
 * and progress. A cached build of a folder is one request.
 */
import { resolve } from 'node:path';
import type { BuildMessage } from '../../api/build.ts';
import type { BuildStatus } from '../../api/build-status.ts';
import type { Client } from '../../client/client.ts';
import { ApiError } from '../../client/client-error.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { CliError } from '../cli-error.ts';
import { contextFolder } from '../context/folder.ts';
import type { Io } from '../io.ts';
import { configuredProxies } from '../options/proxies.ts';
import { allRegistryHeaders } from '../registry/registry-auth.ts';
import { type BuildContext, contextEpoch, type SentContext } from './build-context.ts';
import { BuildFailure } from './build-failure.ts';
import type { BuildOptions } from './build-options.ts';
import { type BuildQueryValues, buildQuery } from './build-query.ts';
import { progressMode } from './check-options.ts';
import { remoteContext } from './named-context-flag.ts';
import { layoutDigest } from './oci-layout.ts';
import { askedOfOtherEngine, OTHER_ENGINE, refuseOtherEngine } from './other-engine.ts';
import { planOutputs } from './output-flag.ts';
import { openPrinter } from './progress/build-printer.ts';
import { BuildRecord } from './progress/build-record.ts';
import { needsSession, type SessionParts } from './session/session-parts.ts';

export interface LockOrder {
  readonly mode: 'update' | 'frozen';
  /** Text of the file as it is; empty where there is none. */
  readonly content: string;
}

export interface BuildOutcome {
  /** Empty where no image came out. */
  readonly imageId: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** What the daemon says to a question about the Dockerfile (`--call`). */
  readonly answer: string;
  /** Text of the lock file as it is to be. */
  readonly lock: string | undefined;
  readonly record: BuildRecord;
  /** What an output wrote to stdout is not to be mixed with anything. */
  readonly stdoutUsed: boolean;
}

const STATUS_ID = 'mydock.build.status';
const METADATA_ID = 'mydock.build.metadata';
/** The daemon does not see a folder as its client does. */
const UNSEEN = 412;

/** Throws BuildFailure for a build that failed, ApiError for one that did not begin. */
export async function orderBuild(
  client: Client,
  io: Io,
  context: BuildContext,
  options: BuildOptions,
  lock?: LockOrder,
): Promise<BuildOutcome> {
  const { outputs, sinks } = planOutputs(options.output, options, io);
  const epoch = await contextEpoch(context);
  const query: BuildQueryValues = {
    // A configuration that cannot be read is told of where credentials are looked for.
    ...buildQuery(
      options,
      outputs,
      io,
      configuredProxies(client.host.url, io.env, () => undefined),
    ),
    ...(epoch === undefined ? {} : { contextepoch: epoch }),
    ...(lock === undefined ? {} : { lock: lock.mode, lockcontent: lock.content }),
  };
  const order = { client, io, options, query, sinks };
  const named = client.host.kind === 'unix' ? await context.named() : undefined;
  const foldersHere = options.buildContext.some(({ value }) => remoteContext(value) === undefined);
  const byName = client.host.kind === 'unix' && (named !== undefined || foldersHere);
  if (byName) {
    try {
      return await send(order, named ?? (await context.sent()), true);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== UNSEEN || named === undefined) throw error;
    }
  }
  return await send(order, await context.sent(), false);
}

interface Order {
  readonly client: Client;
  readonly io: Io;
  readonly options: BuildOptions;
  readonly query: BuildQueryValues;
  readonly sinks: SessionParts['sinks'];
}

async function send(order: Order, context: SentContext, byName: boolean): Promise<BuildOutcome> {
  const { client, io, options, query, sinks } = order;
  const { contexts, uploads, layouts } = await namedContexts(options, io, byName);
  const parts = { secrets: options.secret, ssh: options.ssh, sinks, uploads, layouts };
  if (context.body !== undefined) await refuseOtherEngine(client);
  const session = needsSession(parts)
    ? await (await import('./session/open-session.ts')).openSession(client, io, parts)
    : undefined;
  try {
    const response = await client.stream('POST', '/build', {
      query: {
        ...query,
        ...context.query,
        buildcontexts: Object.keys(contexts).length === 0 ? undefined : JSON.stringify(contexts),
        session: session?.id,
      },
      headers: {
        'content-type': context.contentType,
        // A session is asked for one registry at a time.
        ...(session === undefined ? await allRegistryHeaders(io) : {}),
      },
      ...(context.body === undefined ? {} : { body: context.body }),
    });
    const stdoutUsed = [...sinks.values()].some(({ kind }) => kind === 'stdout');
    return { ...(await follow(io, options, jsonLines<BuildMessage>(response))), stdoutUsed };
  } catch (error) {
    throw askedOfOtherEngine(error) ? new CliError(OTHER_ENGINE) : error;
  } finally {
    session?.close();
  }
}

async function namedContexts(
  { buildContext }: BuildOptions,
  io: Io,
  byName: boolean,
): Promise<{ contexts: Record<string, unknown> } & Pick<SessionParts, 'uploads' | 'layouts'>> {
  const contexts: Record<string, unknown> = {};
  const uploads = new Map<string, () => Promise<AsyncIterable<Uint8Array>>>();
  const layouts = new Map<string, string>();
  for (const [index, { name, value }] of buildContext.entries()) {
    const remote = remoteContext(value);
    const folder = resolve(io.cwd, value);
    if (remote?.kind === 'oci-layout') {
      const store = `layout-${index}`;
      const path = resolve(io.cwd, remote.path);
      contexts[name] = { kind: 'oci-layout', store, digest: layoutDigest(path, remote) };
      layouts.set(store, path);
    } else if (remote !== undefined) contexts[name] = remote;
    else if (byName) contexts[name] = { kind: 'folder', ...(await contextFolder(folder)) };
    else {
      const id = `context-${index}`;
      contexts[name] = { kind: 'upload', id };
      uploads.set(id, async () => {
        const { packContext } = await import('../context/pack.ts');
        return await packContext(folder, { dockerfile: '' });
      });
    }
  }
  return { contexts, uploads, layouts };
}

interface MetadataAux {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly lock?: string;
  readonly answer?: string;
}

type Failure = NonNullable<BuildMessage['errorDetail']> & { excerpt?: string; keptStep?: string };

/** Shows the build until it is over. */
async function follow(
  io: Io,
  options: BuildOptions,
  messages: AsyncIterable<BuildMessage>,
): Promise<Omit<BuildOutcome, 'stdoutUsed'>> {
  const record = new BuildRecord();
  const color = !io.env['NO_COLOR'];
  const printer = await openPrinter(progressMode(options, io), {
    output: io.stderr,
    record,
    color,
    now: Date.now,
  });
  let imageId = '';
  let result: MetadataAux = {};
  let failure: Failure | undefined;
  try {
    for await (const message of messages) {
      const { id, aux, stream } = message;
      if (id === STATUS_ID) printer.status(aux as unknown as BuildStatus);
      else if (id === METADATA_ID) result = aux as unknown as MetadataAux;
      else if (aux?.ID) imageId = aux.ID;
      else if (stream !== undefined) io.stderr.write(stream);
      const detail = message.errorDetail ?? (message.error ? { message: message.error } : undefined);
      if (detail !== undefined) failure = detail as Failure;
    }
  } finally {
    printer.end();
  }
  if (failure !== undefined) throw new BuildFailure(failure, record);
  // What else has taken the order knows half of what it says.
  if (result.metadata === undefined) throw new CliError(OTHER_ENGINE);
  return { imageId, metadata: result.metadata, lock: result.lock, answer: result.answer ?? '', record };
}
