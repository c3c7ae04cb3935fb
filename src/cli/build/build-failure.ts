/** A build that failed, with what is to be shown of it: the output of the steps that failed and the Dockerfile's lines. */
import { printableText } from '../format/text.ts';
import { type BuildRecord, isCanceled } from './progress/build-record.ts';

const SHOWN_LINES = 100;

export interface FailureDetail {
  readonly message?: string;
  readonly code?: number;
  readonly excerpt?: string;
  readonly keptStep?: string;
}

export class BuildFailure extends Error {
  readonly #detail: FailureDetail;
  readonly #record: BuildRecord;

  constructor(detail: FailureDetail, record: BuildRecord) {
    super(`ERROR: failed to build: failed to solve: ${detail.message ?? 'unknown error'}`);
    this.name = 'BuildFailure';
    this.#detail = detail;
    this.#record = record;
  }

  /** Of the step whose state the daemon keeps. */
  get keptStep(): string | undefined {
    return this.#detail.keptStep;
  }

  /** What stands above the message. */
  explanation(): string {
    const parts: string[] = [];
    for (const step of this.#record.steps.values()) {
      if (step.error === undefined || isCanceled(step) || step.tail.length === 0) continue;
      const lines = step.tail
        .slice(-SHOWN_LINES)
        .map(({ seconds, text }) => `${seconds.toFixed(4).slice(0, 5)} ${text}\n`)
        .join('');
      parts.push(`------\n > ${step.name.replaceAll('\n', ' ')}:\n${lines}------\n`);
    }
    if (this.#detail.excerpt !== undefined) parts.push(this.#detail.excerpt);
    return printableText(parts.join(''));
  }
}
