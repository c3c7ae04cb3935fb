/** The end of the process, when nothing is left to do: without Node's own, which takes its heap apart block by block. */
import { nativePart } from '../client/native-part.ts';

/** Ends the process with its exit code where client.node is beside the program; else returns, and Node ends it. */
export function leave(): void {
  const native = nativePart(import.meta.dirname);
  if (native === undefined) return;
  const code = Number(process.exitCode ?? 0);
  process.emit('exit', code);
  native.leave(code);
}
