/**
 * What is known of a build's steps from the statuses that came, in bounded memory: their states, amounts, the last lines
 * that they printed, and warnings. Printers draw it; what is shown at the end is made of it.
 */
import type { BuildStatus, BuildVertexStatus, BuildVertexWarning } from '../../../api/build-status.ts';
import { LogLines } from './log-lines.ts';

export interface StepLine {
  /** Since the step began. */
  readonly seconds: number;
  readonly text: string;
}

export interface BuildStep {
  readonly digest: string;
  name: string;
  started: string | undefined;
  completed: string | undefined;
  cached: boolean;
  error: string | undefined;
  /** By their IDs, in the order in which they came. */
  readonly amounts: Map<string, BuildVertexStatus>;
  /** The last lines. */
  readonly tail: StepLine[];
  readonly lines: LogLines;
}

/** Names of one step that change (layers of large images) are not kept without end. */
const AMOUNTS_MAX = 500;
const STEPS_MAX = 100_000;
const TAIL_LINES = 200;
const WARNINGS_MAX = 1000;

export class BuildRecord {
  readonly steps = new Map<string, BuildStep>();
  readonly warnings: BuildVertexWarning[] = [];

  /** Takes in a status. `onLine` gets each line that has become whole. */
  take(status: BuildStatus, onLine: (step: BuildStep, line: StepLine) => void = () => {}): void {
    for (const { digest, name, started, completed, cached, error } of status.vertexes ?? []) {
      const step = this.#step(digest, name);
      if (step === undefined) continue;
      step.started = started ?? step.started;
      step.completed = completed;
      step.cached = cached === true;
      step.error = error === '' ? undefined : error;
      if (completed !== undefined) step.lines.end((line) => this.#line(step, line, completed, onLine));
    }
    for (const amount of status.statuses ?? []) {
      const amounts = this.steps.get(amount.vertex)?.amounts;
      if (amounts !== undefined && (amounts.has(amount.id) || amounts.size < AMOUNTS_MAX)) {
        amounts.set(amount.id, amount);
      }
    }
    for (const { vertex, stream, data, timestamp } of status.logs ?? []) {
      const step = this.#step(vertex, '');
      step?.lines.push(stream, Buffer.from(data, 'base64'), (line) =>
        this.#line(step, line, timestamp, onLine),
      );
    }
    this.warnings.push(...(status.warnings ?? []).slice(0, WARNINGS_MAX - this.warnings.length));
  }

  #step(digest: string, name: string): BuildStep | undefined {
    const known = this.steps.get(digest);
    if (known !== undefined) {
      if (name !== '') known.name = name;
      return known;
    }
    if (this.steps.size >= STEPS_MAX) return undefined;
    const state = { started: undefined, completed: undefined, cached: false, error: undefined };
    const step = { digest, name, ...state, amounts: new Map(), tail: [], lines: new LogLines() };
    this.steps.set(digest, step);
    return step;
  }

  #line(
    step: BuildStep,
    text: string,
    timestamp: string,
    onLine: (step: BuildStep, line: StepLine) => void,
  ): void {
    const line = { seconds: secondsBetween(step.started ?? timestamp, timestamp), text };
    step.tail.push(line);
    if (step.tail.length > 2 * TAIL_LINES) step.tail.splice(0, TAIL_LINES);
    onLine(step, line);
  }
}

/** Of RFC 3339 times; never below 0. */
export function secondsBetween(from: string, to: string): number {
  return Math.max(0, Date.parse(to) - Date.parse(from)) / 1000 || 0;
}

/** Steps that were given up because of another's failure, or by the user. */
export function isCanceled({ error }: BuildStep): boolean {
  return error !== undefined && /context canceled|\bwas cancel|\baborted\b/i.test(error);
}
