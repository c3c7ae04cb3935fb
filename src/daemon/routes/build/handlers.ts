/** `POST /build` for the classic builder's clients and our own: reads query and credentials, and tells how it goes. */
import { randomBytes } from 'node:crypto';
import type { BuildMessage, BuildQuery } from '../../../api/build.ts';
import type { BuildStatus } from '../../../api/build-status.ts';
import { formatExcerpt } from '../../../api/source-excerpt.ts';
import { EngineError, errorMessage, InvalidParameterError } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { type ParsedBuildQuery, parseBuildQuery } from '../../../build/build-query.ts';
import type { BuildIo, ExportOutcome } from '../../../build/builder.ts';
import { ClassicOutput } from '../../../build/classic-output.ts';
import { Progress } from '../../../build/progress.ts';
import { RunFailedError } from '../../../build/run/run-failed.ts';
import type { BuildSession } from '../../../build/session.ts';
import { BuildError } from '../../../build/solve/build-error.ts';
import type { SolvedBuild } from '../../../build/solve/solved.ts';
import { isFolder, TEXT_MAX_BYTES } from '../../../build/source/inside-file.ts';
import { familiarString, parseReference, withDefaultTag } from '../../../image/reference.ts';
import { decodeRegistryConfig } from '../../../image/registry/credentials.ts';
import type { LazyConnections } from '../../buildkit/routes.ts';
import type { ApiRequest } from '../../request.ts';
import type { ApiResponse, ResponseStream } from '../../response.ts';
import type { Handler } from '../../router.ts';
import type { BuildBackend } from './backend.ts';

export const STATUS_ID = 'mydock.build.status';
export const METADATA_ID = 'mydock.build.metadata';
const DOCKERFILE_TYPE = 'application/x-dockerfile';

export function buildHandler(backend: BuildBackend, buildkit: LazyConnections): Handler {
  return async (request, response) => {
    const auth = decodeRegistryConfig(request.header('x-registry-config') ?? '');
    const parsed = parseBuildQuery(query(request), auth);
    for (const name of namesOf(parsed)) withDefaultTag(parseReference(name));
    if (request.query.get('version') === '2') {
      await (await buildkit()).traces.answer(parsed, request, response);
      return;
    }
    const unseen = parsed.folders.find(
      (folder) => !(backend.contextFolders && isFolder(folder.path, folder)),
    );
    if (unseen !== undefined) {
      response.json(412, { message: `the daemon does not see the folder ${unseen.path} as its client does` });
      return;
    }
    const session = await sessionOf(parsed, request, buildkit);
    await new BuildAnswer(backend, parsed, session, request, response).run();
  };
}

/** The client's session, where it has one; when it goes, what asks for it fails. */
async function sessionOf(
  { session }: ParsedBuildQuery,
  { signal }: ApiRequest,
  buildkit: LazyConnections,
): Promise<BuildSession | undefined> {
  return session === undefined ? undefined : await (await buildkit()).sessions.get(session, signal);
}

function query(request: ApiRequest): BuildQuery {
  const tags = request.query.getAll('t');
  return { ...Object.fromEntries(request.query), t: tags };
}

function namesOf({ request }: ParsedBuildQuery): string[] {
  return request.outputs.flatMap((output) => (output.type === 'cacheonly' ? [] : output.names));
}

class BuildAnswer {
  readonly #backend: BuildBackend;
  readonly #parsed: ParsedBuildQuery;
  readonly #session: BuildSession | undefined;
  readonly #request: ApiRequest;
  readonly #response: ApiResponse;
  readonly #classic: ClassicOutput;
  readonly #held: BuildMessage[] = [];
  /** The status is decided by what comes first: a message, or an error before any. */
  #stream: ResponseStream | undefined;

  constructor(
    backend: BuildBackend,
    parsed: ParsedBuildQuery,
    session: BuildSession | undefined,
    request: ApiRequest,
    response: ApiResponse,
  ) {
    this.#backend = backend;
    this.#parsed = parsed;
    this.#session = session;
    this.#request = request;
    this.#response = response;
    this.#classic = new ClassicOutput((message) => this.#tell(message));
  }

  async run(): Promise<void> {
    try {
      const io = this.#io();
      const build = await this.#withDockerfile();
      const listener = this.#parsed.progress === 'classic' ? this.#classic : undefined;
      const solved = await this.#backend.solve(build, io, listener);
      try {
        const asks = build.check || build.subrequest !== undefined;
        const outputs = asks ? [] : build.outputs;
        this.#announce(solved, await this.#backend.export(solved, outputs, io, build.auth));
      } finally {
        await solved.release();
      }
    } catch (error) {
      const { aborted, reason } = this.#request.signal;
      // A client that has gone is told nothing; one whose build is given up for another daemon is told why.
      if (aborted && !(reason instanceof EngineError)) return;
      this.#fail(aborted ? reason : error);
    }
    this.#stream?.end();
  }

  #io(): BuildIo {
    const id = this.#parsed.id ?? randomBytes(16).toString('hex');
    const send = (status: BuildStatus): void => {
      if (this.#parsed.progress === 'classic') this.#classic.status(status);
      else this.#send({ id: STATUS_ID, aux: status } as unknown as BuildMessage);
    };
    const body = this.#parsed.request.context.kind === 'tar' ? { body: this.#request.message } : {};
    const session = this.#session === undefined ? {} : { session: this.#session };
    return { id, ...body, ...session, progress: new Progress(send, id), signal: this.#request.signal };
  }

  /** With a folder the body is free for a Dockerfile that lies elsewhere. */
  async #withDockerfile(): Promise<ParsedBuildQuery['request']> {
    const { request } = this.#parsed;
    if (request.context.kind === 'tar' || this.#request.header('content-type') !== DOCKERFILE_TYPE)
      return request;
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.#request.message as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > TEXT_MAX_BYTES) {
        throw new InvalidParameterError(`the Dockerfile has more than ${TEXT_MAX_BYTES} bytes`);
      }
      chunks.push(chunk);
    }
    return {
      ...request,
      dockerfile: { ...request.dockerfile, content: Buffer.concat(chunks).toString('utf8') },
    };
  }

  /** Quiet is for success: what led to a failure is shown. */
  #tell(message: BuildMessage): void {
    if (this.#parsed.quiet) this.#held.push(message);
    else this.#send(message);
  }

  #send(message: BuildMessage): void {
    this.#stream ??= this.#response.stream(200, 'application/json');
    this.#stream.message(message);
  }

  #announce(solved: SolvedBuild, { imageId, metadata }: ExportOutcome): void {
    const id = imageId ?? '';
    if (this.#parsed.progress === 'status') {
      if (id !== '') this.#send({ aux: { ID: id } });
      const text = solved.answer?.['result.txt'];
      const answer = text === undefined ? {} : { answer: text.toString() };
      this.#send({
        id: METADATA_ID,
        aux: {
          metadata,
          epochSeconds: solved.epochSeconds,
          materials: solved.materials,
          lock: solved.lock,
          ...answer,
        },
      } as unknown as BuildMessage);
      return;
    }
    if (this.#parsed.quiet) {
      this.#send({ stream: `${id}\n` });
      return;
    }
    if (id === '') return;
    this.#send({ aux: { ID: id } });
    this.#send({ stream: `Successfully built ${id.slice('sha256:'.length, 'sha256:'.length + 12)}\n` });
    for (const name of namesOf(this.#parsed)) {
      this.#send({ stream: `Successfully tagged ${familiarString(withDefaultTag(parseReference(name)))}\n` });
    }
  }

  #fail(error: unknown): void {
    if (this.#parsed.progress === 'classic') {
      this.#classic.fail();
      for (const message of this.#held.splice(0)) this.#send(message);
    }
    if (this.#stream === undefined) throw withExcerpt(error);
    const failure = this.#parsed.progress === 'classic' ? classicFailure(error) : statusFailure(error);
    log.debug({ error: failure.message }, 'build failed');
    // Clients print the error by itself, and scripts know its words: the place goes before it.
    if (this.#parsed.progress === 'classic' && error instanceof BuildError && error.source !== undefined) {
      this.#send({ stream: `\n${formatExcerpt(error.source)}` });
    }
    this.#send({ errorDetail: failure, error: failure.message });
  }
}

/** An error that is the whole answer brings its place along, behind the words that scripts know. */
function withExcerpt(error: unknown): unknown {
  if (!(error instanceof BuildError) || error.source === undefined) return error;
  const excerpt = formatExcerpt(error.source);
  return excerpt === ''
    ? error
    : new EngineError(error.kind, `${error.message}\n\n${excerpt.trimEnd()}`, error);
}

interface Failure {
  code?: number;
  message: string;
  /** The lines of the Dockerfile around the place. */
  excerpt?: string;
  /** Names the state of the step, where that is kept (`POST /build/debug/{id}`). */
  keptStep?: string;
}

/** In the classic builder's words. */
function classicFailure(error: unknown): Failure {
  const cause = error instanceof BuildError ? error.cause : error;
  if (!(cause instanceof RunFailedError)) return { message: errorMessage(error) };
  const command = /^process "(.*)" did not complete successfully/s.exec(cause.message)?.[1] ?? '';
  return {
    code: cause.exitCode,
    message: `The command '${command}' returned a non-zero code: ${cause.exitCode}`,
  };
}

function statusFailure(error: unknown): Failure {
  if (!(error instanceof BuildError)) return { message: errorMessage(error) };
  const { source, exitCode, message, cause } = error;
  const kept = cause instanceof RunFailedError ? cause.keptStep : undefined;
  return {
    ...(exitCode === undefined ? {} : { code: exitCode }),
    message,
    ...(source === undefined ? {} : { excerpt: formatExcerpt(source) }),
    ...(kept === undefined ? {} : { keptStep: kept }),
  };
}
