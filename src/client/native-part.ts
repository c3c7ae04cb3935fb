/** client.node (native/client), which lies beside the program where that was installed whole. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What only client.node looks into. */
export type Watch = object & { readonly watch: unique symbol };

export interface NativePart {
  /** Sets a flag of V8; false where Node does not let it. */
  setFlag(flag: string): boolean;
  /** Ends the process at once. */
  leave(exitCode: number): never;
  /** A descriptor, whose reads and writes wait; or a negative errno. */
  connectUnix(path: string): number;
  /** Calls back whenever a read would not wait, and keeps the process alive. */
  watch(descriptor: number, readable: () => void): Watch;
  /** Once, before the descriptor is closed. */
  unwatch(watch: Watch): void;
}

let found: NativePart | undefined;

/** `folder`: where the program is. Undefined where the file is not there. */
export function nativePart(folder: string): NativePart | undefined {
  if (found !== undefined) return found;
  const path = join(folder, 'client.node');
  if (!existsSync(path)) return undefined;
  const module = { exports: {} };
  process.dlopen(module as NodeJS.Module, path);
  found = module.exports as NativePart;
  return found;
}
