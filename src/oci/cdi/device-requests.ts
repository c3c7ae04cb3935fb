/**
 * HostConfig.DeviceRequests: devices by CDI names (driver `cdi`), and GPUs (`--gpus`), which are CDI devices too where
 * the host's files offer some. No other driver exists.
 */
import type { DeviceRequest } from '../../api/host-config.ts';
import { InvalidParameterError } from '../../base/errors.ts';
import type { CdiRegistry } from './registry.ts';
import type { ContainerEdits } from './spec.ts';

/** In order of preference. */
const GPU_KINDS = ['nvidia.com/gpu', 'amd.com/gpu'];
const ALL = -1;

/** Throws InvalidParameter with Docker's text. */
export function checkDeviceRequests(requests: readonly DeviceRequest[]): void {
  for (const { Count = 0, DeviceIDs, Driver = '' } of requests) {
    if (Count !== 0 && (DeviceIDs ?? []).length > 0) {
      throw new InvalidParameterError('cannot set both Count and DeviceIDs on device request');
    }
    if (!Number.isInteger(Count) || Count < ALL || Count > 1024) {
      throw new InvalidParameterError(`invalid count ${Count} of a device request`);
    }
    if (Driver === 'cdi' && (DeviceIDs ?? []).length === 0) {
      throw new InvalidParameterError('a device request for the driver "cdi" must name DeviceIDs');
    }
  }
}

/**
 * Qualified names of all devices that are asked for. `available` are those that there are. Throws InvalidParameter in
 * Docker's words for a driver that there is not.
 */
export function requestedCdiDevices(
  requests: readonly DeviceRequest[],
  available: readonly string[],
): string[] {
  return requests.flatMap((request) => {
    const ids = request.DeviceIDs ?? [];
    if (request.Driver === 'cdi') return ids;
    const kind = gpuKind(request, available);
    if (kind === undefined) throw new InvalidParameterError(noDriver(request));
    const { Count = 0 } = request;
    const names = Count === ALL ? ['all'] : Count > 0 ? Array.from({ length: Count }, (_, i) => `${i}`) : ids;
    return names.map((name) => (name.startsWith(`${kind}=`) ? name : `${kind}=${name}`));
  });
}

/** The vendor whose devices can do all that one of the alternatives asks for. */
function gpuKind(
  { Driver = '', Capabilities }: DeviceRequest,
  available: readonly string[],
): string | undefined {
  const wantsGpu = (Capabilities ?? []).some((all) => all.includes('gpu'));
  const [vendor] = Driver === '' ? [] : [Driver];
  if (!wantsGpu && vendor === undefined) return undefined;
  return GPU_KINDS.filter((kind) => vendor === undefined || kind === `${vendor}.com/gpu`).find((kind) =>
    available.some((name) => name.startsWith(`${kind}=`)),
  );
}

function noDriver({ Driver = '', Capabilities }: DeviceRequest): string {
  const lists = (Capabilities ?? []).map((all) => `[${all.join(' ')}]`).join(' ');
  return `could not select device driver ${JSON.stringify(Driver)} with capabilities: [${lists}]`;
}

/** What the requested devices change in a container. Throws InvalidParameter for one that there is not. */
export async function editsOfRequests(
  registry: CdiRegistry,
  requests: readonly DeviceRequest[],
): Promise<ContainerEdits[]> {
  if (requests.length === 0) return [];
  const { devices } = await registry.list();
  return await registry.edits(requestedCdiDevices(requests, devices));
}
