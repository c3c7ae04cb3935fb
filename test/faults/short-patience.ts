/**
 * Timers of half a minute and of minutes, as those for a peer that has fallen silent, last shorter in this process.
 */
const LONG_MS = 30_000;

export function losePatience(patienceMs: number): void {
  const rightTimeout = globalThis.setTimeout;
  globalThis.setTimeout = new Proxy(rightTimeout, {
    apply(target, self, [work, delayMs, ...rest]: [() => void, number | undefined, ...unknown[]]) {
      const limitMs = delayMs !== undefined && delayMs >= LONG_MS ? patienceMs : delayMs;
      return Reflect.apply(target, self, [work, limitMs, ...rest]) as NodeJS.Timeout;
    },
  });
}
