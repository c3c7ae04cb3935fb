/**
 * The `mydock` program: global flags, finding the verb, loading only its code, and turning whatever it throws
 * into a message and an exit code. Nothing else in the client picks exit codes of the process.
 */
import { processIo, readerGone } from './io.ts';
import { leave } from './leave.ts';
import { runProgram } from './program.ts';

// The loop drains by itself: process.exit() may hang while a compiler thread works.
process.once('beforeExit', leave);

void runProgram(process.argv.slice(2), processIo, readerGone).then((exitCode) => {
  process.exitCode = exitCode;
});
