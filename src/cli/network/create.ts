/** `mydock network create`: prints the new network's ID. */
import { EGRESS_OPTION, type NetworkCreateRequest, type NetworkCreateResponse } from '../../api/networks.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, listFlag, optionalBoolFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printError, printLine } from '../io.ts';
import { splitCsv } from '../options/csv.ts';
import { keyValueMap } from '../options/environment.ts';
import { defineVerb } from '../verb.ts';
import { ipamOf } from './ipam.ts';

export interface NetworkCreateOptions {
  attachable: boolean;
  auxAddress: string[];
  configFrom?: string;
  configOnly: boolean;
  driver: string;
  egress?: string;
  gateway: string[];
  ingress: boolean;
  internal: boolean;
  ipRange: string[];
  ipamDriver: string;
  ipamOpt: string[];
  ipv4?: boolean;
  ipv6?: boolean;
  label: string[];
  opt: string[];
  scope?: string;
  subnet: string[];
}

export const create = defineVerb<NetworkCreateOptions>({
  usage: '[OPTIONS] NETWORK',
  summary: 'Create a network',
  args: { min: 1, max: 1 },
  flags(command) {
    boolFlag(command, '--attachable', 'Accepted for scripts: every network is open to all containers');
    listFlag(command, '--aux-address <map>', 'Address that no container gets (name=address)');
    stringFlag(command, '--config-from <string>', 'Network whose configuration is copied');
    boolFlag(command, '--config-only', 'Keep a configuration for other networks, make no network');
    stringFlag(command, '-d, --driver <string>', 'bridge, macvlan or ipvlan', 'bridge');
    stringFlag(
      command,
      '--egress <policy>',
      'What its containers may reach outside: none, or allow=NAME|SUBNET,… (*.example.com for all below)',
    );
    listFlag(command, '--gateway <strings>', 'Gateway of a subnet');
    boolFlag(command, '--ingress', "Swarm's routing mesh: not supported");
    boolFlag(command, '--internal', 'Let its containers reach each other and nothing else');
    listFlag(command, '--ip-range <strings>', 'Part of a subnet that containers get addresses of');
    stringFlag(command, '--ipam-driver <string>', 'Driver that manages addresses', 'default');
    listFlag(command, '--ipam-opt <map>', 'Option of that driver');
    optionalBoolFlag(command, '--ipv4', 'Give containers IPv4 addresses (default true)');
    optionalBoolFlag(command, '--ipv6', 'Give containers IPv6 addresses');
    listFlag(command, '--label <list>', 'Set a label');
    listFlag(command, '-o, --opt <map>', 'Option of the driver');
    stringFlag(command, '--scope <string>', "The network's scope: local");
    listFlag(command, '--subnet <strings>', 'Subnet, such as 10.9.0.0/24');
  },
  run: ({ client, io }, [name = ''], options) => runNetworkCreate(client, io, name, options),
});

export async function runNetworkCreate(
  client: Client,
  io: Io,
  name: string,
  options: NetworkCreateOptions,
): Promise<number> {
  const made = await client.json<NetworkCreateResponse>('POST', '/networks/create', {
    json: createRequest(name, options),
  });
  if (made.Warning) printError(io, `WARNING: ${made.Warning}`);
  printLine(io, made.Id);
  return 0;
}

function createRequest(name: string, options: NetworkCreateOptions): NetworkCreateRequest {
  const { configFrom, egress, ipv4, ipv6 } = options;
  return {
    Name: name,
    Driver: options.driver,
    Scope: options.scope ?? '',
    Internal: options.internal,
    Attachable: options.attachable,
    Ingress: options.ingress,
    ConfigOnly: options.configOnly,
    ConfigFrom: configFrom === undefined || configFrom === '' ? null : { Network: configFrom },
    IPAM: readIpam(options),
    ...(ipv4 === undefined ? {} : { EnableIPv4: ipv4 }),
    ...(ipv6 === undefined ? {} : { EnableIPv6: ipv6 }),
    Options: {
      ...keyValueMap(options.opt),
      ...(egress === undefined ? {} : { [EGRESS_OPTION]: egress }),
    },
    Labels: keyValueMap(options.label),
  };
}

function readIpam(options: NetworkCreateOptions) {
  try {
    return ipamOf({
      driver: options.ipamDriver,
      options: keyValueMap(options.ipamOpt),
      subnets: options.subnet.flatMap(splitCsv),
      ranges: options.ipRange.flatMap(splitCsv),
      gateways: options.gateway.flatMap(splitCsv),
      auxiliary: options.auxAddress,
    });
  } catch (error) {
    throw new CliError(error instanceof Error ? error.message : String(error));
  }
}
