/**
 * A node:test reporter that writes one JSON line a finished test, for main.ts to count. Suites are left out: only
 * what asserts something is counted.
 */
import type { TestEvent } from 'node:test/reporters';

export interface TestRecord {
  readonly name: string;
  readonly file: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly durationMs: number;
  /** Why it was skipped, or how it failed. */
  readonly detail: string;
}

/** Marks a record's line among whatever else the tests print. */
export const RECORD_PREFIX = '\u0001test ';

function failureText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause;
  if (cause instanceof Error) return cause.stack ?? cause.message;
  return cause === undefined ? (error.stack ?? error.message) : String(cause);
}

function record(event: TestEvent): TestRecord | undefined {
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return undefined;
  const { data } = event;
  const durationMs = data.details.duration_ms;
  const common = { name: data.name, file: data.file ?? '', durationMs };
  if (event.type === 'test:fail') {
    // A suite fails because a test in it did, which has been reported, or because its hooks did, which has not.
    const error = event.data.details.error;
    const isSuite = data.details.type === 'suite';
    if (isSuite && 'failureType' in error && error.failureType === 'subtestsFailed') return undefined;
    return { ...common, outcome: 'failed', detail: failureText(error) };
  }
  if (data.details.type === 'suite') return undefined;
  if (data.skip !== undefined && data.skip !== false) {
    return { ...common, outcome: 'skipped', detail: data.skip === true ? 'no reason given' : data.skip };
  }
  return { ...common, outcome: 'passed', detail: '' };
}

export default async function* reporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const finished = record(event);
    if (finished !== undefined) yield `\n${RECORD_PREFIX}${JSON.stringify(finished)}\n`;
  }
}
