/**
 * The `mydock` program: global flags, finding the verb, loading only its code, and turning whatever it throws
 * into a message and an exit code. Nothing else in the client picks exit codes of the process.
 */
import { processIo, readerGone } from './io.ts';
import { leave } from './leave.ts';
import { runProgram } from './program.ts';

// The loop drains by itself: process.exit() may hang while a compiler thread works.
process.once('beforeExit', () => {
  // None was set: the verb waits for what will never come, and has not succeeded.
  process.exitCode ??= 1;
  leave();
});

// Also where the verb was done before its last words could not be written: they count as not said.
void readerGone.then((exitCode) => {
  process.exitCode = exitCode;
});

void runProgram(process.argv.slice(2), processIo, readerGone).then((exitCode) => {
  process.exitCode ||= exitCode;
});
