/**
 * Stretches of time that are no steps: requests, jobs of workers, what another process has measured. Told on a
 * diagnostics channel for a trace; without a subscriber one costs a comparison.
 */
import { channel } from 'node:diagnostics_channel';

export type SpanDetails = Readonly<Record<string, string | number | boolean | undefined>>;

export type SpanEvent =
  | {
      readonly phase: 'begin' | 'end';
      /** Pairs a begin with its end. */
      readonly id: number;
      readonly category: string;
      readonly name: string;
      readonly details: SpanDetails;
    }
  | {
      /** Measured elsewhere, told when it was over. */
      readonly phase: 'whole';
      readonly category: string;
      readonly name: string;
      /** Unix time. */
      readonly startUs: number;
      readonly durationUs: number;
      readonly details: SpanDetails;
    };

export const SPANS_CHANNEL = 'mydock:spans';

const spans = channel(SPANS_CHANNEL);
let lastId = 0;

const nothing = (): void => {};

/** Tells that something begins; what is returned tells its end, once. */
export function beginSpan(
  category: string,
  name: string,
  details: SpanDetails = {},
): (details?: SpanDetails) => void {
  if (!spans.hasSubscribers) return nothing;
  const id = ++lastId;
  spans.publish({ phase: 'begin', id, category, name, details } satisfies SpanEvent);
  let ended = false;
  return (more = {}) => {
    if (ended) return;
    ended = true;
    spans.publish({ phase: 'end', id, category, name, details: more } satisfies SpanEvent);
  };
}

/** `work` as a span, with the processor time that this process used meanwhile. */
export async function inSpan<T>(category: string, name: string, work: () => T | Promise<T>): Promise<T> {
  if (!spans.hasSubscribers) return await work();
  const before = process.cpuUsage();
  const ended = beginSpan(category, name);
  try {
    return await work();
  } finally {
    const { user, system } = process.cpuUsage(before);
    ended({ userMs: user / 1000, systemMs: system / 1000 });
  }
}

/** Somebody listens: what costs time to find out is worth it. */
export function spansAreWanted(): boolean {
  return spans.hasSubscribers;
}

/** Tells of something that was measured elsewhere. */
export function tellSpan(span: Omit<Extract<SpanEvent, { phase: 'whole' }>, 'phase'>): void {
  if (spans.hasSubscribers) spans.publish({ phase: 'whole', ...span } satisfies SpanEvent);
}
