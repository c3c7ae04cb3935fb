/** Timers of Node fire at once, with a warning, where they are set for longer than this: 24 days. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;
