/**
 * The processes of a container (Engine API, "List processes running inside a container"). The default columns are read
 * from /proc; other arguments are for the host's `ps`, whose answer is cut down to the container's processes.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ContainerTopResponse } from '../api/containers.ts';
import { errnoCode, InternalError, InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { cgroupOf } from './pause.ts';
import { listProcesses, PROCESS_TITLES } from './process-list.ts';
import { requireLive } from './state.ts';

const PS_TIMEOUT_MS = 10_000;
const PS_OUTPUT_MAX_BYTES = 64 * 1024 * 1024;

/** Throws Conflict where it does not run, Internal with what `ps` said, NotImplemented where there is no `ps`. */
export async function topContainer(
  engine: EngineContext,
  container: Container,
  psArgs: string,
): Promise<ContainerTopResponse> {
  requireLive(container.record.state, container.id);
  const pids = cgroupOf(engine, container).pids();
  const args = psArgs.trim() === '' ? '-ef' : psArgs.trim();
  const answer =
    args === '-ef'
      ? { Titles: [...PROCESS_TITLES], Processes: listProcesses(pids) }
      : await runPs(args, pids);
  engine.events.container(container, 'top');
  return answer;
}

async function runPs(psArgs: string, pids: readonly number[]): Promise<ContainerTopResponse> {
  refuseRenamedPid(psArgs);
  const args = psArgs.split(/\s+/);
  // Asking for the processes alone is quicker; some sets of arguments do not go with it.
  const output = await ps([...args, `-q${pids.join(',')}`]).catch((error: unknown) => {
    if (error instanceof NotImplementedError) throw error;
    return ps(args);
  });
  return parsePsOutput(output, new Set(pids));
}

/** `-o pid=NAME` gives the column another title, by which it would not be found. */
function refuseRenamedPid(psArgs: string): void {
  for (const match of psArgs.matchAll(/\bpid=(\S*)/g)) {
    if (match[1] !== 'PID') throw new InvalidParameterError(`specifying "${match[0]}" is not allowed`);
  }
}

async function ps(args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('ps', args, {
      timeout: PS_TIMEOUT_MS,
      maxBuffer: PS_OUTPUT_MAX_BYTES,
    });
    return stdout;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') {
      throw new NotImplementedError(
        'this host has no `ps` program, which arguments for top need: only the default columns are available',
      );
    }
    const said = (error as { stderr?: string }).stderr?.trim() ?? '';
    throw new InternalError(`error running ps: ${said === '' ? 'it failed' : said.split('\n')[0]}`);
  }
}

/** The lines of a table whose PID is one of `pids`; the last column takes the rest of its line. */
export function parsePsOutput(output: string, pids: ReadonlySet<number>): ContainerTopResponse {
  const [head = '', ...lines] = output.split('\n');
  const titles = head.split(/\s+/).filter((word) => word !== '');
  const at = titles.indexOf('PID');
  if (at < 0) throw new InternalError("Couldn't find PID field in ps output");
  const rows: string[][] = [];
  for (const line of lines) {
    const words = line.split(/\s+/).filter((word) => word !== '');
    const pid = words[at];
    // `-` stands for a thread or a line that goes on with the process above it.
    if (pid === undefined || (pid !== '-' && !pids.has(Number(pid)))) continue;
    if (pid === '-' && rows.length === 0) continue;
    rows.push([...words.slice(0, titles.length - 1), words.slice(titles.length - 1).join(' ')]);
  }
  return { Titles: titles, Processes: rows };
}
