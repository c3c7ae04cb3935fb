/**
 * The `mydock` program: global flags, finding the verb, loading only its code, and turning whatever it throws
 * into a message and an exit code. Nothing else in the client picks exit codes of the process.
 */
import { processIo } from './io.ts';
import { runProgram } from './program.ts';

// A reader that has gone away (`| head`) ends the program without a word, as SIGPIPE would.
const brokenPipe = new Promise<number>((resolve) => {
  const onError = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error;
    resolve(128 + 13);
  };
  process.stdout.on('error', onError);
  process.stderr.on('error', onError);
});

// The loop drains by itself: process.exit() may hang while a compiler thread works.
void runProgram(process.argv.slice(2), processIo, brokenPipe).then((exitCode) => {
  process.exitCode = exitCode;
});
