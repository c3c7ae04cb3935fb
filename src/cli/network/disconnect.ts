/** `mydock network disconnect`: takes a container off a network, also while it runs. Prints nothing. */
import { type Client, pathSegment } from '../../client/client.ts';
import { boolFlag } from '../flags/declare.ts';
import { defineVerb } from '../verb.ts';

export interface NetworkDisconnectOptions {
  force: boolean;
}

export const disconnect = defineVerb<NetworkDisconnectOptions>({
  usage: '[OPTIONS] NETWORK CONTAINER',
  summary: 'Disconnect a container from a network',
  args: { min: 2, max: 2 },
  flags(command) {
    boolFlag(command, '-f, --force', 'Disconnect also what is there no more');
  },
  run: ({ client }, [network = '', container = ''], { force }) =>
    runNetworkDisconnect(client, network, container, force),
});

export async function runNetworkDisconnect(
  client: Client,
  network: string,
  container: string,
  force: boolean,
): Promise<number> {
  await client.json('POST', `/networks/${pathSegment(network)}/disconnect`, {
    json: { Container: container, Force: force },
  });
  return 0;
}
