/**
 * Changing the limits and the restart policy of a container (Engine API, "Update a container"). A field that is 0,
 * empty or absent stays as it is. For a running container the cgroups are written first: what the kernel refuses is
 * not stored.
 */

import type { HostConfig, Resources } from '../api/host-config.ts';
import { ConflictError, errorMessage, InternalError } from '../base/errors.ts';
import { step, stepSync } from '../base/steps.ts';
import { linuxResources } from '../oci/resources.ts';
import type { LinuxResources } from '../oci/runtime-spec.ts';
import { validateRestartPolicy } from '../oci/validate.ts';
import { validateResources } from '../oci/validate-resources.ts';
import { specCgroupsPath } from './cgroup/hierarchy.ts';
import { writeLimits } from './cgroup/limits.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths } from './paths.ts';

export type UpdateRequest = Resources & Pick<HostConfig, 'RestartPolicy'>;

const UPDATED = [
  'BlkioWeight',
  'BlkioWeightDevice',
  'BlkioDeviceReadBps',
  'BlkioDeviceWriteBps',
  'BlkioDeviceReadIOps',
  'BlkioDeviceWriteIOps',
  'CpuShares',
  'NanoCpus',
  'CpuPeriod',
  'CpuQuota',
  'CpuRealtimePeriod',
  'CpuRealtimeRuntime',
  'CpusetCpus',
  'CpusetMems',
  'Memory',
  'MemorySwap',
  'MemoryReservation',
  'MemorySwappiness',
  'OomKillDisable',
] as const satisfies (keyof Resources)[];

/** What is fixed when a container is made. */
const FIXED = [
  'CgroupParent',
  'Devices',
  'DeviceCgroupRules',
  'DeviceRequests',
  'Ulimits',
] as const satisfies (keyof Resources)[];

/** The caller holds the mutex. Returns warnings. Throws InvalidParameter, Conflict with Docker's texts, or Internal. */
export async function updateContainer(
  engine: EngineContext,
  container: Container,
  request: UpdateRequest,
): Promise<string[]> {
  const wanted = structuredClone(request);
  validateRestartPolicy(wanted);
  const { MemorySwap: swap = 0 } = wanted;
  const warnings = validateResources(wanted, engine.host);
  // A default of create: an update without it leaves what is set.
  if (swap === 0) wanted.MemorySwap = 0;
  for (const field of FIXED) {
    if (isSet(request[field])) warnings.push(`${field} cannot be updated and was left as it is.`);
  }
  try {
    await apply(engine, container, wanted);
  } catch (error) {
    const text = `Cannot update container ${container.id}: ${errorMessage(error)}`;
    throw error instanceof ConflictError ? new ConflictError(text) : new InternalError(text);
  }
  engine.events.container(container, 'update');
  return warnings;
}

async function apply(engine: EngineContext, container: Container, wanted: UpdateRequest): Promise<void> {
  const { record } = container;
  if (record.state.status === 'removing') {
    throw new ConflictError('container is marked for removal and cannot be "update"');
  }
  checkConflicts(wanted, record.hostConfig);
  const updated = mergeResources(record.hostConfig, wanted);
  if (container.running) {
    const { bundle } = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
    const changed = changedLimits(record.hostConfig, updated);
    const path = specCgroupsPath(bundle);
    if (path === undefined) throw new InternalError(`${bundle} names no cgroup`);
    if (Object.keys(changed).length > 0) {
      await step('update/limits', container.id, () =>
        writeLimits(engine.settings.runtimePath, path, changed),
      );
    }
  }
  const before = record.hostConfig;
  record.hostConfig = updated;
  try {
    stepSync('update/record', container.id, () => container.save());
  } catch (error) {
    record.hostConfig = before;
    throw error;
  }
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === 0 || value === '') return false;
  return !Array.isArray(value) || value.length > 0;
}

/** Limits exclude each other also when they come one after the other. */
function checkConflicts(wanted: UpdateRequest, current: HostConfig): void {
  const has = (value: number | undefined): boolean => (value ?? 0) > 0;
  const conflicts: [boolean, string][] = [
    [
      has(wanted.NanoCpus) && has(current.CpuPeriod),
      'Nano CPUs cannot be updated as CPU Period has already been set',
    ],
    [
      has(wanted.NanoCpus) && has(current.CpuQuota),
      'Nano CPUs cannot be updated as CPU Quota has already been set',
    ],
    [
      has(wanted.CpuPeriod) && has(current.NanoCpus),
      'CPU Period cannot be updated as NanoCPUs has already been set',
    ],
    [
      has(wanted.CpuQuota) && has(current.NanoCpus),
      'CPU Quota cannot be updated as NanoCPUs has already been set',
    ],
  ];
  for (const [conflict, text] of conflicts) {
    if (conflict) throw new ConflictError(`Conflicting options: ${text}`);
  }
  if (has(wanted.Memory) && !isSet(wanted.MemorySwap) && (wanted.Memory ?? 0) > (current.MemorySwap ?? 0)) {
    throw new ConflictError(
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    );
  }
  const policy = wanted.RestartPolicy?.Name ?? '';
  if (current.AutoRemove === true && policy !== '' && policy !== 'no') {
    throw new ConflictError(
      'Restart policy cannot be updated because AutoRemove is enabled for the container',
    );
  }
}

/** The stored configuration with what the update sets. */
export function mergeResources(current: HostConfig, wanted: UpdateRequest): HostConfig {
  const set = Object.fromEntries(
    UPDATED.flatMap((field) => (isSet(wanted[field]) ? [[field, wanted[field]]] : [])),
  );
  const merged: HostConfig = { ...current, ...set };
  // 0 and -1 both take the limit away.
  const pids = wanted.PidsLimit;
  if (pids !== undefined && pids !== null) merged.PidsLimit = Math.max(0, pids);
  if (isSet(wanted.RestartPolicy?.Name) && wanted.RestartPolicy !== undefined) {
    merged.RestartPolicy = { MaximumRetryCount: 0, ...wanted.RestartPolicy };
  }
  return merged;
}

/** The limits in which two configurations differ, as the later one has them. */
export function changedLimits(before: HostConfig, after: HostConfig): LinuxResources {
  return difference(fullLimits(before), fullLimits(after));
}

/** With "no limit" spelled out where that takes a limit away. */
function fullLimits(host: HostConfig): LinuxResources {
  const { devices: _, ...resources } = linuxResources(host, []);
  return {
    ...resources,
    memory: { limit: -1, swap: -1, reservation: -1, ...resources.memory },
    cpu: { quota: -1, ...resources.cpu },
    pids: { limit: -1, ...resources.pids },
  };
}

function difference(from: LinuxResources, to: LinuxResources): LinuxResources {
  const changed: Record<string, Record<string, unknown>> = {};
  for (const [part, values] of Object.entries(to)) {
    const old = (from as Record<string, Record<string, unknown>>)[part] ?? {};
    for (const [name, value] of Object.entries(values as object)) {
      if (JSON.stringify(old[name]) === JSON.stringify(value)) continue;
      changed[part] = { ...changed[part], [name]: value };
    }
  }
  return withPairs(changed as LinuxResources, to);
}

/** The kernel judges some limits together: memory with swap, a quota with its period. */
function withPairs(changed: LinuxResources, all: LinuxResources): LinuxResources {
  const { limit, swap } = changed.memory ?? {};
  const { quota, period } = changed.cpu ?? {};
  if (changed.memory !== undefined && (limit !== undefined || swap !== undefined)) {
    changed.memory = { ...changed.memory, ...pick(all.memory, 'limit'), ...pick(all.memory, 'swap') };
  }
  if (changed.cpu !== undefined && (quota !== undefined || period !== undefined)) {
    changed.cpu = { ...changed.cpu, ...pick(all.cpu, 'quota'), ...pick(all.cpu, 'period') };
  }
  return changed;
}

function pick<T extends object, K extends keyof T>(values: T | undefined, key: K): Partial<T> {
  const value = values?.[key];
  return value === undefined ? {} : ({ [key]: value } as Partial<T>);
}
