/**
 * Sets V8's flags back to what they are by default: it takes compiled code, of Node's modules and ours, only where all
 * flags are as they were when that was compiled. To be loaded before any of those modules. What the flags have done
 * to the heap stays. The launcher (native/launcher) gives:
 *
 * - `--min-semi-space-size`: room for what a short command allocates, so that no collection comes in between.
 * - `--no-rehash-snapshot`: spares V8 the search for prime numbers that its hashes are to depend on.
 */
import { nativePart } from '../../client/native-part.ts';

const DEFAULTS: Readonly<Record<string, string>> = {
  '--min-semi-space-size': '--min-semi-space-size=0',
  '--no-rehash-snapshot': '--rehash-snapshot',
};

for (const flag of process.execArgv) {
  const byDefault = DEFAULTS[flag.replace(/=.*/, '')];
  if (byDefault !== undefined) nativePart(import.meta.dirname)?.setFlag(byDefault);
}
