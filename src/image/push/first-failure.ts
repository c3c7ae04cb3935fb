/** Work on several things at once that stands or falls together. */

/**
 * Runs `work` on all items at the same time. The first failure aborts the others through the signal that they were
 * given, and is thrown once all have ended; so is the outer signal's reason.
 */
export async function firstFailure<T>(
  items: readonly T[],
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const both = AbortSignal.any([signal, failed.signal]);
  let failure: { error: unknown } | undefined;
  await Promise.all(
    items.map((item) =>
      work(item, both).catch((error: unknown) => {
        failure ??= { error };
        failed.abort(error);
      }),
    ),
  );
  signal.throwIfAborted();
  if (failure !== undefined) throw failure.error;
}
