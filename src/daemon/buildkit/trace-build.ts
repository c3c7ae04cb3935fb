/**
 * `POST /build?version=2`: BuildKit by way of the classic route, as Docker's own client did before it spoke BuildKit's
 * protocol (Docker 18.09 to 20.10). The query orders the build, the client's session (`session=`) has its files, and
 * progress comes as messages `moby.buildkit.trace`, each a StatusResponse.
 *
 * A context from the client's standard input comes as the body of a second request with `buildid=upload-request:ID`,
 * which the build with `remote=upload-request&buildid=ID` waits for.
 */
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { create, toBinary } from '@bufbuild/protobuf';
import type { BuildStatus } from '../../api/build-status.ts';
import { StatusResponseSchema } from '../../api/buildkit/control_pb.ts';
import { ConflictError, errorMessage, InvalidParameterError, UnavailableError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { ParsedBuildQuery } from '../../build/build-query.ts';
import type { SolveRequest } from '../../build/solve-request.ts';
import type { ApiRequest } from '../request.ts';
import type { ApiResponse, ResponseStream } from '../response.ts';
import type { BuildBackend } from '../routes/build/backend.ts';
import { Arrivals } from './arrivals.ts';
import type { BuildHistory } from './build-history.ts';
import { BuildJob } from './build-job.ts';
import type { BuildJobs } from './build-jobs.ts';
import type { RecordedOrder } from './build-record.ts';
import type { BuildResults } from './build-results.ts';
import type { SessionRegistry } from './session/session-registry.ts';
import { statusMessage } from './status-messages.ts';

const UPLOAD_PREFIX = 'upload-request:';
const UPLOAD_WAIT_MAX_MS = 5_000;
const UPLOADS_MAX = 100;

interface Upload {
  readonly body: Readable;
  /** The build that took it is over. */
  readonly used: () => void;
}

interface TraceParts {
  backend: BuildBackend;
  sessions: SessionRegistry;
  jobs: BuildJobs;
  results: BuildResults;
  history: BuildHistory;
}

export class TraceBuilds {
  readonly #parts: TraceParts;
  readonly #uploads = new Map<string, Upload>();
  readonly #arrivals = new Arrivals();

  constructor(parts: TraceParts) {
    this.#parts = parts;
  }

  /** Answers one request, which may be a build, or the context of one. */
  async answer(parsed: ParsedBuildQuery, request: ApiRequest, response: ApiResponse): Promise<void> {
    const id = request.text('buildid');
    if (id.startsWith(UPLOAD_PREFIX)) {
      await this.#upload(id.slice(UPLOAD_PREFIX.length), request);
      response.empty(200);
    } else {
      await this.#build(id === '' ? randomBytes(16).toString('hex') : id, parsed, request, response);
    }
  }

  /** `POST /build/cancel`: a build that is not there any more is no error, as it ends beside the request. */
  cancel(id: string): void {
    this.#parts.jobs.find(id)?.cancel(new InvalidParameterError('the build was canceled'));
  }

  /** Holds the request's body for the build, until that has read it. */
  async #upload(id: string, request: ApiRequest): Promise<void> {
    if (this.#uploads.has(id)) throw new ConflictError(`upload ${id} exists already`);
    if (this.#uploads.size >= UPLOADS_MAX) {
      throw new UnavailableError(`there are ${UPLOADS_MAX} uploads already`);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const waited = setTimeout(resolve, UPLOAD_WAIT_MAX_MS);
    let taken = false;
    const upload = {
      get body(): Readable {
        taken = true;
        clearTimeout(waited);
        return request.message;
      },
      used: resolve,
    };
    this.#uploads.set(id, upload);
    this.#arrivals.announce();
    request.signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    clearTimeout(waited);
    if (this.#uploads.get(id) === upload) this.#uploads.delete(id);
    if (!taken) throw new InvalidParameterError(`no build took the upload ${id}`);
  }

  async #build(
    id: string,
    parsed: ParsedBuildQuery,
    request: ApiRequest,
    response: ApiResponse,
  ): Promise<void> {
    const { jobs, sessions, history } = this.#parts;
    const { signal } = request;
    const session = parsed.session === undefined ? undefined : await sessions.get(parsed.session, signal);
    const upload = await this.#uploadFor(parsed, id, signal);
    // The history hears of it once it is the one of that name.
    let tell: (status: BuildStatus) => void = () => undefined;
    const onStatus = (status: BuildStatus): void => tell(status);
    const order = { ...parsed.request, cacheFrom: [], cacheTo: [], onStatus };
    const job = new BuildJob(id, this.#parts, order, session);
    const cancel = (): void => job.cancel(signal.reason);
    signal.addEventListener('abort', cancel);
    const stream = response.stream(200, 'application/json');
    const telling = tellStatus(job, stream, signal);
    try {
      const body = upload?.body ?? request.message;
      const result = await jobs.during(job, async () => {
        if (signal.aborted) cancel();
        return await history.during(recordedOrder(id, parsed), signal, async (listener) => {
          tell = listener;
          const built = await job.run(traceRequest(parsed, upload !== undefined), signal, body);
          return { response: await job.export(built), materials: job.materials };
        });
      });
      await telling;
      const image = result['containerimage.config.digest'] ?? '';
      if (image !== '') stream.message({ id: 'moby.image.id', aux: { ID: image } });
    } catch (error) {
      await telling;
      const message = errorMessage(error);
      log.debug({ error: message }, 'build failed');
      stream.message({ errorDetail: { message }, error: message });
    } finally {
      signal.removeEventListener('abort', cancel);
      upload?.used();
    }
    stream.end();
  }

  async #uploadFor(
    { request: { context } }: ParsedBuildQuery,
    id: string,
    signal: AbortSignal,
  ): Promise<Upload | undefined> {
    if (context.kind !== 'upload') return undefined;
    const upload = await this.#arrivals.find(() => this.#uploads.get(id), UPLOAD_WAIT_MAX_MS, signal);
    if (upload === undefined) throw new InvalidParameterError(`the context of build ${id} was not uploaded`);
    this.#uploads.delete(id);
    return upload;
  }
}

function traceRequest({ request }: ParsedBuildQuery, uploaded: boolean): SolveRequest {
  const { context, dockerfile } = request;
  if (uploaded) return { ...request, context: { kind: 'tar' } };
  if (context.kind !== 'session') return request;
  // The folder that has the Dockerfile is a folder of its own for the client, also where it is the context.
  return { ...request, dockerfile: { ...dockerfile, session: 'dockerfile' } };
}

/** As a client of BuildKit's protocol would have ordered the same. */
function recordedOrder(ref: string, { request }: ParsedBuildQuery): RecordedOrder {
  const { context, dockerfile, target, platforms, buildArgs, labels, outputs, noCache } = request;
  const frontendAttrs: Record<string, string> = dockerfile.path === '' ? {} : { filename: dockerfile.path };
  if (context.kind === 'git' || context.kind === 'http') frontendAttrs['context'] = context.url;
  if (target !== '') frontendAttrs['target'] = target;
  if (platforms.length > 0) frontendAttrs['platform'] = platforms.join(',');
  if (noCache === true) frontendAttrs['no-cache'] = '';
  for (const [name, value] of Object.entries(buildArgs))
    if (value !== null) frontendAttrs[`build-arg:${name}`] = value;
  for (const [name, value] of Object.entries(labels)) frontendAttrs[`label:${name}`] = value;
  const names = outputs.flatMap((output) => ('names' in output ? output.names : []));
  const exporters = [{ type: 'moby', attrs: { name: names.join(',') } }];
  return { ref, frontend: 'dockerfile.v0', frontendAttrs, exporters };
}

async function tellStatus(job: BuildJob, stream: ResponseStream, signal: AbortSignal): Promise<void> {
  for await (const status of job.status.read(signal)) {
    const bytes = toBinary(StatusResponseSchema, create(StatusResponseSchema, statusMessage(status)));
    await stream.write(
      `${JSON.stringify({ id: 'moby.buildkit.trace', aux: Buffer.from(bytes).toString('base64') })}\r\n`,
    );
  }
}
