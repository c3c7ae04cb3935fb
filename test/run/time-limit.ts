/**
 * Limits on time in tests. They tell a hang from a slow machine, so that a machine which is slow by its nature, as an
 * emulated one is, gives MYDOCK_TEST_TIME_FACTOR in the environment.
 */
const FACTOR = Number(process.env['MYDOCK_TEST_TIME_FACTOR'] ?? 1);

/** `ms` on an ordinary machine. */
export function timeLimitMs(ms: number): number {
  return ms * FACTOR;
}
