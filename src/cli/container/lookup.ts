/** The container calls that several verbs share. */
import type { ContainerInspectResponse, ContainerWaitResponse, WaitCondition } from '../../api/containers.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';

/** `/containers/<name>` plus what follows. */
export function containerPath(name: string, rest = ''): string {
  if (name === '') throw new CliError('invalid container name or ID: value is empty');
  return `/containers/${pathSegment(name)}${rest}`;
}

export function inspectContainer(
  client: Client,
  name: string,
  size = false,
): Promise<ContainerInspectResponse> {
  return client.json('GET', containerPath(name, '/json'), size ? { query: { size: true } } : {});
}

/** A wait that the daemon has begun: `exit` resolves later. */
export interface Waiting {
  readonly exit: Promise<ContainerWaitResponse>;
}

/** Resolves once the daemon has sent the head of its answer: from then on no exit is missed. */
export async function beginWait(client: Client, name: string, condition: WaitCondition): Promise<Waiting> {
  const response = await client.begin('POST', containerPath(name, '/wait'), { query: { condition } });
  const exit = (async () => {
    const text = await response.text();
    if (text.trim() === '') throw new Error('unexpected EOF');
    return JSON.parse(text) as ContainerWaitResponse;
  })();
  // Whoever awaits `exit` gets the error; until then it is no unhandled rejection.
  exit.catch(() => {});
  return { exit };
}

/** The exit code of a wait's answer; an error that the daemon reports in it is thrown (125). */
export async function exitCodeOf(waiting: Waiting): Promise<number> {
  let answer: ContainerWaitResponse;
  try {
    answer = await waiting.exit;
  } catch (error) {
    throw new CliError(`error waiting for container: ${error instanceof Error ? error.message : error}`, 125);
  }
  if (answer.Error?.Message) throw new CliError(`error waiting for container: ${answer.Error.Message}`, 125);
  return answer.StatusCode;
}
