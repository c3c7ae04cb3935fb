/**
 * The builds that clients of one socket ordered by BuildKit's protocol, running and ended, for `buildx history`. It is
 * kept in memory, of a bounded size: gone with the daemon, the oldest first, pinned ones last.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { BuildStatus } from '../../api/build-status.ts';
import {
  type BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRequest,
} from '../../api/buildkit/control_pb.ts';
import { asGrpcError, GrpcError } from '../../api/grpc/status.ts';
import type { BuildMaterial } from '../../build/solve/solved.ts';
import { type BuildOutcome, BuildRecord, type RecordedOrder } from './build-record.ts';
import { historyFilter } from './history-filter.ts';

const RECORDS_MAX = 50;
const PROGRESS_MAX_BYTES = 8 << 20;
const KEPT_MS = 48 * 3_600_000;
/** Of those who listen and do not read. */
const WAITING_EVENTS_MAX = 1000;

type HistoryEvent = MessageInitShape<typeof BuildHistoryEventSchema>;
type Listener = (record: BuildRecord, deleted: boolean) => void;

/** What a build answers, and what it was made from. */
export interface DoneBuild {
  response: Record<string, string>;
  materials: readonly BuildMaterial[];
}

export class BuildHistory {
  /** Oldest first. */
  readonly #records = new Map<string, BuildRecord>();
  readonly #listeners = new Set<Listener>();

  /** From here on it is told of. A build that a client orders again takes the place of the earlier one. */
  begin(order: RecordedOrder): BuildRecord {
    this.#records.delete(order.ref);
    const record = new BuildRecord(order);
    this.#records.set(order.ref, record);
    this.#tell(record);
    return record;
  }

  end(record: BuildRecord, outcome: BuildOutcome): void {
    record.end(outcome);
    this.#tell(record);
    this.#trim();
  }

  /**
   * Tells of a build while it is done, and of how it ended: `signal` is that of its client. `work` hands on what the client
   * may read of its progress.
   */
  async during(
    order: RecordedOrder,
    signal: AbortSignal,
    work: (tell: (status: BuildStatus) => void) => Promise<DoneBuild>,
  ): Promise<Record<string, string>> {
    const record = this.begin(order);
    try {
      const done = await work((status) => record.add(status));
      this.end(record, done);
      return done.response;
    } catch (error) {
      this.end(record, { error: recordedError(error, signal) });
      throw error;
    }
  }

  #tell(record: BuildRecord, deleted = false): void {
    for (const listener of [...this.#listeners]) listener(record, deleted);
  }

  #trim(): void {
    const ended = [...this.#records.values()].filter((record) => record.ended);
    const order = [...ended.filter(({ pinned }) => !pinned), ...ended.filter(({ pinned }) => pinned)];
    let count = ended.length;
    let bytes = ended.reduce((sum, { progressBytes }) => sum + progressBytes, 0);
    const oldestMs = Date.now() - KEPT_MS;
    for (const record of order) {
      const isOld = !record.pinned && record.createdMs < oldestMs;
      if (!isOld && count <= RECORDS_MAX && bytes <= PROGRESS_MAX_BYTES) continue;
      count -= 1;
      bytes -= record.progressBytes;
      this.#remove(record);
    }
  }

  #remove(record: BuildRecord): void {
    if (this.#records.get(record.ref) !== record) return;
    this.#records.delete(record.ref);
    this.#tell(record, true);
  }

  /** What there is, oldest first, then (without `earlyExit`) what happens, until the client goes. */
  async *listen(
    { ref, activeOnly, earlyExit, filter, limit }: Omit<BuildHistoryRequest, '$typeName' | '$unknown'>,
    signal: AbortSignal,
  ): AsyncGenerator<HistoryEvent> {
    this.#trim();
    const wanted = historyFilter(filter, Date.now());
    const fits = (record: BuildRecord): boolean =>
      (ref === '' || record.ref === ref) && !(activeOnly && record.ended) && wanted(record);
    const waiting: HistoryEvent[] = [];
    let wake = (): void => undefined;
    const listener: Listener = (record, deleted) => {
      // The end of an active one is news to whoever was told of it.
      if (ref !== '' && record.ref !== ref) return;
      if (!activeOnly && !deleted && !wanted(record)) return;
      if (waiting.length < WAITING_EVENTS_MAX) waiting.push(eventOf(record, deleted));
      wake();
    };
    const woken = (): void => wake();
    if (!earlyExit) this.#listeners.add(listener);
    signal.addEventListener('abort', woken);
    try {
      const found = [...this.#records.values()].filter(fits);
      const newest = limit > 0 ? found.slice(-limit) : found;
      yield* newest.map((record) => eventOf(record, false));
      while (!earlyExit && !signal.aborted) {
        yield* waiting.splice(0);
        if (waiting.length > 0 || signal.aborted) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener('abort', woken);
    }
  }

  /** Throws NotFound, and FailedPrecondition for one that is running. */
  update(ref: string, change: { pinned: boolean; delete: boolean; finalize: boolean }): void {
    const record = this.#records.get(ref);
    if (record === undefined) throw new GrpcError('NotFound', `record ${ref} not found`);
    if (!change.delete) {
      // What is finalized here is so from the beginning.
      if (!change.finalize) record.pinned = change.pinned;
      return;
    }
    if (!record.ended) throw new GrpcError('FailedPrecondition', `cannot delete the running build ${ref}`);
    this.#remove(record);
  }

  find(ref: string): BuildRecord | undefined {
    return this.#records.get(ref);
  }

  /** What records name by its digest. Throws NotFound. */
  blob(digest: string): Uint8Array {
    for (const record of this.#records.values()) {
      const found = record.blob(digest);
      if (found !== undefined) return found;
    }
    throw new GrpcError('NotFound', `content digest ${digest.slice(0, 100)}: not found`);
  }
}

/** A client that gives up ends its calls in any order, and hands back as failed what it has canceled. */
function recordedError(error: unknown, signal: AbortSignal): GrpcError {
  const { code, message, details } = asGrpcError(error);
  const isCanceled = signal.aborted || /\bcontext canceled$/.test(message);
  if (isCanceled) return new GrpcError('Canceled', 'context canceled');
  return new GrpcError(code, message, details, error);
}

function eventOf(record: BuildRecord, deleted: boolean): HistoryEvent {
  const type = deleted
    ? BuildHistoryEventType.DELETED
    : record.ended
      ? BuildHistoryEventType.COMPLETE
      : BuildHistoryEventType.STARTED;
  return { type, record: record.message() };
}
