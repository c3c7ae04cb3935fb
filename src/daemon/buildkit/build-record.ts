/**
 * One build as the history tells of it: what was ordered, how it goes on and how it ended, and its progress for a look
 * back, as far as that is kept. Counts are those of its vertices.
 */
import { createHash } from 'node:crypto';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { BuildStatus } from '../../api/build-status.ts';
import type { BuildHistoryRecordSchema, Exporter, SolveRequest } from '../../api/buildkit/control_pb.ts';
import { StatusSchema } from '../../api/buildkit/rpc-status_pb.ts';
import { codeNumber, type GrpcError } from '../../api/grpc/status.ts';
import type { BuildMaterial } from '../../build/solve/solved.ts';
import { PROVENANCE_ANNOTATIONS, PROVENANCE_MEDIA_TYPE, provenanceOf } from './provenance.ts';

/** Progress of one build; output of steps is left out beyond it, never what says that they began or ended. */
const PROGRESS_MAX_BYTES = 1 << 20;
const VERTICES_MAX = 10_000;
const ERROR_TYPE = 'application/vnd.googeapis.google.rpc.status+proto';

export type RecordMessage = MessageInitShape<typeof BuildHistoryRecordSchema>;
/** What is told of an order. */
export type RecordedOrder = Pick<SolveRequest, 'ref' | 'frontend' | 'frontendAttrs'> & {
  exporters: readonly Pick<Exporter, 'type' | 'attrs'>[];
};

interface Ended {
  completedMs: number;
  error: GrpcError | undefined;
  /** The error with all its details, under its digest. */
  blob: { digest: string; bytes: Uint8Array } | undefined;
  response: Readonly<Record<string, string>>;
  provenance: { digest: string; bytes: Uint8Array } | undefined;
}

/** How a build ended. */
export type BuildOutcome =
  | { response: Readonly<Record<string, string>>; materials?: readonly BuildMaterial[] }
  | { error: GrpcError };

export class BuildRecord {
  readonly ref: string;
  readonly createdMs = Date.now();
  pinned = false;
  readonly #order: RecordedOrder;
  readonly #progress: BuildStatus[] = [];
  readonly #followers = new Set<() => void>();
  readonly #vertices = new Map<string, { cached: boolean; completed: boolean }>();
  #bytes = 0;
  #warnings = 0;
  #ended: Ended | undefined;

  constructor(order: RecordedOrder) {
    this.ref = order.ref;
    this.#order = order;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  get progressBytes(): number {
    return this.#bytes;
  }

  /** What is kept of it, from the first on, until the build has ended. */
  async *follow(signal: AbortSignal): AsyncGenerator<BuildStatus> {
    for (let next = 0; !signal.aborted; ) {
      for (; next < this.#progress.length; next++) {
        const status = this.#progress[next];
        if (status !== undefined) yield status;
      }
      if (this.ended) return;
      await this.#grown(signal);
    }
  }

  async #grown(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#followers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#followers.add(wake);
      signal.addEventListener('abort', wake);
      if (signal.aborted) wake();
    });
  }

  #wake(): void {
    for (const wake of [...this.#followers]) wake();
  }

  /** The error with its details, or the provenance, where that is its digest. */
  blob(digest: string): Uint8Array | undefined {
    const { blob, provenance } = this.#ended ?? {};
    return [blob, provenance].find((one) => one?.digest === digest)?.bytes;
  }

  add(status: BuildStatus): void {
    for (const { digest, cached, completed } of status.vertexes ?? []) {
      if (this.#vertices.size >= VERTICES_MAX && !this.#vertices.has(digest)) continue;
      const known = this.#vertices.get(digest);
      this.#vertices.set(digest, {
        cached: cached === true || known?.cached === true,
        completed: completed !== undefined || known?.completed === true,
      });
    }
    this.#warnings += status.warnings?.length ?? 0;
    this.#keep(status);
    this.#wake();
  }

  #keep(status: BuildStatus): void {
    const { vertexes = [], logs = [], statuses = [], warnings = [] } = status;
    // Of amounts that grow only the last is of interest afterwards.
    const amounts = statuses.filter(({ completed }) => completed !== undefined);
    const kept = { vertexes, logs, statuses: amounts, warnings };
    const bytes = sizeOf(kept);
    const isFull = this.#bytes + bytes > PROGRESS_MAX_BYTES;
    const told = isFull ? { vertexes } : kept;
    if (isFull && (vertexes.length === 0 || this.#bytes > 2 * PROGRESS_MAX_BYTES)) return;
    if (bytes === 0) return;
    this.#progress.push(told);
    this.#bytes += isFull ? sizeOf(told) : bytes;
  }

  end(outcome: BuildOutcome): void {
    const error = 'error' in outcome ? outcome.error : undefined;
    this.#ended = {
      completedMs: Date.now(),
      error,
      blob: error === undefined ? undefined : errorBlob(error),
      response: 'response' in outcome ? outcome.response : {},
      provenance: 'response' in outcome ? this.#provenance(outcome.materials ?? []) : undefined,
    };
    this.#wake();
  }

  #provenance(materials: readonly BuildMaterial[]): Ended['provenance'] {
    const bytes = provenanceOf(this.#order, materials);
    return bytes.length > PROGRESS_MAX_BYTES ? undefined : { digest: digestOf(bytes), bytes };
  }

  /** `running`, `completed`, `error` or `canceled`, as filters name them. */
  get status(): string {
    if (this.#ended === undefined) return 'running';
    const { error } = this.#ended;
    if (error === undefined) return 'completed';
    return error.code === 'Canceled' ? 'canceled' : 'error';
  }

  get completedMs(): number | undefined {
    return this.#ended?.completedMs;
  }

  attribute(name: string): string | undefined {
    return this.#order.frontendAttrs[name];
  }

  message(): RecordMessage {
    const vertices = [...this.#vertices.values()];
    const { frontend, frontendAttrs, exporters } = this.#order;
    return {
      ref: this.ref,
      frontend,
      frontendAttrs,
      exporters: exporters.map(({ type, attrs }) => ({ type, attrs })),
      createdAt: timestamp(this.createdMs),
      generation: 1,
      pinned: this.pinned,
      numTotalSteps: vertices.length,
      numCompletedSteps: vertices.filter(({ completed }) => completed).length,
      numCachedSteps: vertices.filter(({ cached }) => cached).length,
      numWarnings: this.#warnings,
      ...this.#outcome(),
    };
  }

  #results({
    digest,
    bytes,
  }: {
    digest: string;
    bytes: Uint8Array;
  }): Pick<RecordMessage, 'result' | 'results'> {
    const size = BigInt(bytes.length);
    const mediaType = PROVENANCE_MEDIA_TYPE;
    const attestations = [{ mediaType, digest, size, annotations: PROVENANCE_ANNOTATIONS }];
    const platforms = (this.attribute('platform') ?? '').split(',').filter((name) => name !== '');
    if (platforms.length < 2) return { result: { attestations } };
    return { results: Object.fromEntries(platforms.map((name) => [name, { attestations }])) };
  }

  #outcome() {
    if (this.#ended === undefined) return {};
    const { completedMs, error, blob, response, provenance } = this.#ended;
    return {
      completedAt: timestamp(completedMs),
      exporterResponse: response,
      ...(provenance === undefined ? {} : this.#results(provenance)),
      ...(error === undefined
        ? {}
        : { error: { code: codeNumber(error.code), message: error.message, details: [] } }),
      ...(blob === undefined
        ? {}
        : {
            externalError: { mediaType: ERROR_TYPE, digest: blob.digest, size: BigInt(blob.bytes.length) },
          }),
    };
  }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function errorBlob({ code, message, details }: GrpcError): Ended['blob'] {
  const status = create(StatusSchema, {
    code: codeNumber(code),
    message,
    details: details.map(({ typeUrl, value }) => ({ typeUrl, value })),
  });
  const bytes = toBinary(StatusSchema, status);
  if (bytes.length > PROGRESS_MAX_BYTES) return undefined;
  return { digest: digestOf(bytes), bytes };
}

function sizeOf({ vertexes = [], logs = [], statuses = [], warnings = [] }: BuildStatus): number {
  const texts =
    vertexes.reduce(
      (sum, { name, error = '', inputs = [] }) => sum + name.length + error.length + 71 * inputs.length,
      0,
    ) +
    logs.reduce((sum, { data }) => sum + data.length, 0) +
    statuses.reduce((sum, { id, name = '' }) => sum + id.length + name.length, 0) +
    warnings.reduce(
      (sum, { short, detail = [], sourceInfo }) =>
        sum + short.length + detail.join('').length + (sourceInfo?.data.length ?? 0),
      0,
    );
  return texts + 200 * (vertexes.length + logs.length + statuses.length + warnings.length);
}

export function timestamp(ms: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.trunc((ms - seconds * 1000) * 1e6) };
}
