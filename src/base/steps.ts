/**
 * Labelled steps of the engine's operations (`start/network`, `pull/publish`): told on a diagnostics channel as they
 * begin and end, so that a trace can show where time goes and the fault tests can strike at each of them. Without a
 * subscriber a step costs one comparison.
 *
 * A label is `<operation>/<step>`, in lower case with hyphens; it names the same place for as long as that place exists.
 * Everything that lasts (a file, a row, a mount, a message to a process) is made inside a step, so that there is a label
 * before it and one after it.
 */
import { channel } from 'node:diagnostics_channel';

export interface StepEvent {
  readonly phase: 'begin' | 'end';
  readonly label: string;
  /** What it is done to: a container's ID, an image's name. */
  readonly subject: string | undefined;
  /** Pairs a begin with its end. */
  readonly id: number;
}

/** Subscribers run inside the step, and may end the process there. */
export const STEPS_CHANNEL = 'mydock:steps';

const steps = channel(STEPS_CHANNEL);
let lastId = 0;

/** Runs `work` as a labelled step; its result or error is the step's. */
export async function step<T>(
  label: string,
  subject: string | undefined,
  work: () => T | Promise<T>,
): Promise<T> {
  if (!steps.hasSubscribers) return await work();
  const id = begin(label, subject);
  try {
    return await work();
  } finally {
    steps.publish({ phase: 'end', label, subject, id } satisfies StepEvent);
  }
}

/** The same for work that must not give way to other work in between. */
export function stepSync<T>(label: string, subject: string | undefined, work: () => T): T {
  if (!steps.hasSubscribers) return work();
  const id = begin(label, subject);
  try {
    return work();
  } finally {
    steps.publish({ phase: 'end', label, subject, id } satisfies StepEvent);
  }
}

function begin(label: string, subject: string | undefined): number {
  const id = ++lastId;
  steps.publish({ phase: 'begin', label, subject, id } satisfies StepEvent);
  return id;
}
