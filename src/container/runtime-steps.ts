/** What a supervisor tells of where the time went (event `steps`), as spans for a trace. */
import { tellSpan } from '../base/spans.ts';
import type { Events } from '../native/supervisor-protocol.ts';

/**
 * A mark says what has just been done: its span reaches back to the mark before it of the same process, and that of a
 * new process to the last mark of any. What is waited for between two messages is no span.
 */
export function tellRuntimeSteps(containerId: string, { steps }: Events['steps']): void {
  const lastOf = new Map<number, number>();
  let last = steps[0]?.atUs ?? 0;
  for (const { label, process, atUs } of steps) {
    const startUs = lastOf.get(process) ?? last;
    tellSpan({
      category: 'runtime',
      name: label,
      startUs,
      durationUs: Math.max(0, atUs - startUs),
      details: { container: containerId, process },
    });
    lastOf.set(process, atUs);
    last = atUs;
  }
}
