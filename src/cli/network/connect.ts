/** `mydock network connect`: puts a container on one more network, also while it runs. Prints nothing. */
import type { EndpointSettings } from '../../api/networks.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { listFlag, parsedFlag, parsedListFlag, parseInteger, stringFlag } from '../flags/declare.ts';
import { splitCsv } from '../options/csv.ts';
import { splitPair } from '../options/environment.ts';
import { parseLink } from '../options/host-names.ts';
import { defineVerb } from '../verb.ts';

export interface NetworkConnectOptions {
  alias: string[];
  driverOpt: string[];
  gwPriority: number;
  ip?: string;
  ip6?: string;
  link: string[];
  linkLocalIp: string[];
}

export const connect = defineVerb<NetworkConnectOptions>({
  usage: '[OPTIONS] NETWORK CONTAINER',
  summary: 'Connect a container to a network',
  args: { min: 2, max: 2 },
  flags(command) {
    listFlag(command, '--alias <strings>', 'Another name on this network');
    listFlag(command, '--driver-opt <strings>', "Option of the network's driver (name=value)");
    parsedFlag(command, '--gw-priority <int>', 'The highest gives the default gateway', parseInteger, 0);
    stringFlag(command, '--ip <string>', 'IPv4 address');
    stringFlag(command, '--ip6 <string>', 'IPv6 address');
    parsedListFlag(command, '--link <list>', 'Link to another container (container[:alias])', parseLink);
    listFlag(command, '--link-local-ip <strings>', 'Link-local address');
  },
  run: ({ client }, [network = '', container = ''], options) =>
    runNetworkConnect(client, network, container, options),
});

export async function runNetworkConnect(
  client: Client,
  network: string,
  container: string,
  options: NetworkConnectOptions,
): Promise<number> {
  await client.json('POST', `/networks/${pathSegment(network)}/connect`, {
    json: { Container: container, EndpointConfig: endpointSettings(options) },
  });
  return 0;
}

function endpointSettings(options: NetworkConnectOptions): EndpointSettings {
  return {
    IPAMConfig: {
      ...(options.ip === undefined ? {} : { IPv4Address: options.ip }),
      ...(options.ip6 === undefined ? {} : { IPv6Address: options.ip6 }),
      ...(options.linkLocalIp.length === 0 ? {} : { LinkLocalIPs: options.linkLocalIp.flatMap(splitCsv) }),
    },
    Links: options.link,
    Aliases: options.alias.flatMap(splitCsv),
    DriverOpts: Object.fromEntries(options.driverOpt.flatMap(splitCsv).map(driverOption)),
    GwPriority: options.gwPriority,
  };
}

function driverOption(text: string): [name: string, value: string] {
  const [name, value] = splitPair(text);
  if (!text.includes('=') || name.trim() === '') {
    throw new CliError('invalid key/value pair format in driver options');
  }
  return [name.trim(), value.trim()];
}
