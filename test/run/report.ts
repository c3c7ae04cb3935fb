/**
 * What a test run prints: a line a job, every failure in full, every skip with its reason; and the running of jobs
 * some at a time.
 */
import { relative } from 'node:path';
import { ROOT } from './discovery.ts';
import type { Job } from './job.ts';
import type { TestRecord } from './reporter.ts';

export function count(records: readonly TestRecord[], outcome: TestRecord['outcome']): number {
  return records.filter((record) => record.outcome === outcome).length;
}

/** The last line of a run. */
export function totals(records: readonly TestRecord[]): string {
  const [passed, failed, skipped] = (['passed', 'failed', 'skipped'] as const).map((outcome) =>
    count(records, outcome),
  );
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

export function printJob(job: Job): void {
  const failed = count(job.records, 'failed');
  const skipped = count(job.records, 'skipped');
  const counts = [
    `${count(job.records, 'passed')} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ].join(', ');
  const [elapsed, processor] = [job.durationMs, job.processorMs].map((ms) => `${(ms / 1000).toFixed(1)} s`);
  console.log(
    `${failed > 0 ? 'FAIL' : 'ok  '} ${job.name}: ${counts} (${elapsed}, ${processor} of processor time)`,
  );
  for (const record of job.records) {
    const where = record.file === '' ? '' : ` (${relative(ROOT, record.file)})`;
    if (record.outcome === 'skipped') console.log(`       skipped: ${record.name}: ${record.detail}`);
    if (record.outcome !== 'failed') continue;
    console.log(`  failed: ${record.name}${where}\n${record.detail.replace(/^/gm, '    ')}`);
  }
  if (failed > 0 && job.output.trim() !== '') {
    console.log(`  output:\n${job.output.trim().split('\n').slice(-40).join('\n').replace(/^/gm, '    | ')}`);
  }
}

/** Runs jobs `width` at a time, and prints each when it has finished; their records, in that order. */
export async function runAll(
  jobs: readonly Job[],
  width: number,
  interrupted: AbortSignal,
): Promise<TestRecord[]> {
  const queue = [...jobs];
  const records: TestRecord[] = [];
  const worker = async (): Promise<void> => {
    for (let job = queue.shift(); job !== undefined && !interrupted.aborted; job = queue.shift()) {
      await job.run(ROOT, interrupted);
      printJob(job);
      records.push(...job.records);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return records;
}
