/** `mydock update`: changes limits, restart policy and published ports of containers that exist. */

import type { ContainerUpdateResponse, PublishedPortsUpdate } from '../../api/containers.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { listFlag, stringFlag } from '../flags/declare.ts';
import type { FlagTable } from '../flags/flag-table.ts';
import { type Io, printError } from '../io.ts';
import { shortForm } from '../options/ports.ts';
import { defineVerb } from '../verb.ts';
import { changeableLimitFlags } from './container-flags.ts';
import { parseRestartPolicy } from './create-request.ts';
import { forEachName } from './each.ts';
import { containerPath } from './lookup.ts';

export interface UpdateOptions {
  blkioWeight?: number;
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuRtPeriod?: number;
  cpuRtRuntime?: number;
  cpuShares?: number;
  cpus?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  memory?: number;
  memoryReservation?: number;
  memorySwap?: number;
  pidsLimit?: number;
  publishAdd: string[];
  publishRm: string[];
  restart?: string;
}

export const update = defineVerb<UpdateOptions>({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Change limits, restart policy and published ports of containers',
  args: { min: 1 },
  flags: updateFlags,
  run: ({ client, io }, names, options) => runUpdate(client, io, names, options),
});

function updateFlags(command: FlagTable): void {
  changeableLimitFlags(command);
  listFlag(command, '--publish-add <list>', 'Publish one more port, also while it runs (as -p of run)');
  listFlag(
    command,
    '--publish-rm <list>',
    'Withdraw a published port: HOST_PORT[/PROTO] or [IP:]HOST_PORT:PORT[/PROTO]',
  );
  stringFlag(command, '--restart <string>', 'What to do when the container exits');
}

/** What was not given is sent as 0 or empty, which leaves it as it is. Warnings go to stderr. */
export async function runUpdate(
  client: Client,
  io: Io,
  names: readonly string[],
  options: UpdateOptions,
): Promise<number> {
  if (Object.values(options).every(isAbsent)) {
    throw new CliError('you must provide one or more flags when using this command');
  }
  const request = updateRequest(options);
  return await forEachName(io, names, async (name) => {
    const path = containerPath(name, '/update');
    const answer = await client.json<ContainerUpdateResponse>('POST', path, { json: request });
    for (const warning of answer.Warnings ?? []) printError(io, warning);
    return name;
  });
}

function isAbsent(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}

function updateRequest(options: UpdateOptions) {
  const { publishAdd: _, publishRm: __, ...limits } = options;
  const ports = publishedPorts(options);
  return Object.values(limits).every(isAbsent) ? ports : { ...ports, ...limitsRequest(options) };
}

function limitsRequest(options: UpdateOptions) {
  return {
    BlkioWeight: options.blkioWeight ?? 0,
    CpuPeriod: options.cpuPeriod ?? 0,
    CpuQuota: options.cpuQuota ?? 0,
    CpuRealtimePeriod: options.cpuRtPeriod ?? 0,
    CpuRealtimeRuntime: options.cpuRtRuntime ?? 0,
    CpuShares: options.cpuShares ?? 0,
    NanoCpus: options.cpus ?? 0,
    CpusetCpus: options.cpusetCpus ?? '',
    CpusetMems: options.cpusetMems ?? '',
    Memory: options.memory ?? 0,
    MemoryReservation: options.memoryReservation ?? 0,
    MemorySwap: options.memorySwap ?? 0,
    ...(options.pidsLimit === undefined ? {} : { PidsLimit: options.pidsLimit }),
    ...(options.restart === undefined ? {} : { RestartPolicy: parseRestartPolicy(options.restart) }),
  };
}

function publishedPorts({ publishAdd, publishRm }: UpdateOptions): PublishedPortsUpdate {
  try {
    return {
      ...(publishAdd.length === 0 ? {} : { PublishAdd: publishAdd.map(shortForm) }),
      ...(publishRm.length === 0 ? {} : { PublishRemove: publishRm }),
    };
  } catch (error) {
    throw new CliError(error instanceof Error ? error.message : String(error));
  }
}
