/** Passes signals that reach the client on to the container. */
import type { Client } from '../../client/client.ts';
import { pathSegment } from '../../client/client.ts';

const FORWARDED: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGCONT',
  'SIGTSTP',
];

/** Until the returned function is called. A signal that cannot be delivered is reported through `onError`. */
export function proxySignals(
  client: Client,
  containerId: string,
  onError: (error: unknown) => void,
): () => void {
  const forward = (signal: NodeJS.Signals): void => {
    const path = `/containers/${pathSegment(containerId)}/kill`;
    client.json('POST', path, { query: { signal: signal.slice(3) } }).catch(onError);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return () => {
    for (const signal of FORWARDED) process.off(signal, forward);
  };
}
