/** The end of all that one owner holds: none of it is kept because something before it could not be let go. */

/** In this order. Throws the first failure, once all of them have been tried. */
export async function releaseAll(releases: Iterable<() => Promise<unknown> | undefined>): Promise<void> {
  const failures: unknown[] = [];
  for (const release of releases) {
    try {
      await release();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
