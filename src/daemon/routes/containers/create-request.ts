/**
 * The body of `POST /containers/create`, checked for types: a field of the wrong type is refused before anything
 * happens, an unknown one is ignored, and the single-string forms of old clients become lists.
 */
import type { ContainerConfig, ContainerCreateRequest } from '../../../api/containers.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { checkShape, type Shape } from '../../shape.ts';
import { ENDPOINT_SETTINGS } from '../networks/request-shapes.ts';
import { MOUNT } from './mount-request.ts';

const NAMED_SET: Shape = { map: 'object' };
const BINDING: Shape = { object: { HostIp: 'string', HostPort: 'string' } };
const DEVICE_RATES: Shape = { list: { object: { Path: 'string', Rate: 'number' } } };

export const HOST_CONFIG: { object: Record<string, Shape> } = {
  object: {
    Binds: { list: 'string' },
    ContainerIDFile: 'string',
    LogConfig: { object: { Type: 'string', Config: { map: 'string' } } },
    NetworkMode: 'string',
    PortBindings: { map: { list: BINDING } },
    RestartPolicy: { object: { Name: 'string', MaximumRetryCount: 'integer' } },
    AutoRemove: 'boolean',
    VolumeDriver: 'string',
    VolumesFrom: { list: 'string' },
    Mounts: { list: MOUNT },
    ConsoleSize: { list: 'integer' },
    Annotations: { map: 'string' },
    CapAdd: { list: 'string' },
    CapDrop: { list: 'string' },
    CgroupnsMode: 'string',
    Dns: { list: 'string' },
    DnsOptions: { list: 'string' },
    DnsSearch: { list: 'string' },
    ExtraHosts: { list: 'string' },
    GroupAdd: { list: 'string' },
    IpcMode: 'string',
    Cgroup: 'string',
    Links: { list: 'string' },
    OomScoreAdj: 'integer',
    PidMode: 'string',
    Privileged: 'boolean',
    PublishAllPorts: 'boolean',
    ReadonlyRootfs: 'boolean',
    SecurityOpt: { list: 'string' },
    StorageOpt: { map: 'string' },
    Tmpfs: { map: 'string' },
    UTSMode: 'string',
    UsernsMode: 'string',
    ShmSize: 'integer',
    Sysctls: { map: 'string' },
    Runtime: 'string',
    Isolation: 'string',
    MaskedPaths: { list: 'string' },
    ReadonlyPaths: { list: 'string' },
    Init: 'boolean',
    CpuShares: 'integer',
    Memory: 'integer',
    NanoCpus: 'integer',
    CgroupParent: 'string',
    BlkioWeight: 'integer',
    BlkioWeightDevice: { list: { object: { Path: 'string', Weight: 'integer' } } },
    BlkioDeviceReadBps: DEVICE_RATES,
    BlkioDeviceWriteBps: DEVICE_RATES,
    BlkioDeviceReadIOps: DEVICE_RATES,
    BlkioDeviceWriteIOps: DEVICE_RATES,
    CpuPeriod: 'integer',
    CpuQuota: 'integer',
    CpuRealtimePeriod: 'integer',
    CpuRealtimeRuntime: 'integer',
    CpusetCpus: 'string',
    CpusetMems: 'string',
    Devices: {
      list: { object: { PathOnHost: 'string', PathInContainer: 'string', CgroupPermissions: 'string' } },
    },
    DeviceCgroupRules: { list: 'string' },
    DeviceRequests: { list: 'object' },
    CpuCount: 'integer',
    CpuPercent: 'integer',
    IOMaximumIOps: 'integer',
    IOMaximumBandwidth: 'integer',
    KernelMemory: 'integer',
    KernelMemoryTCP: 'integer',
    MemoryReservation: 'integer',
    MemorySwap: 'integer',
    MemorySwappiness: 'integer',
    OomKillDisable: 'boolean',
    PidsLimit: 'integer',
    Ulimits: { list: { object: { Name: 'string', Hard: 'integer', Soft: 'integer' } } },
  },
};

const CREATE_REQUEST: Shape = {
  object: {
    Hostname: 'string',
    Domainname: 'string',
    User: 'string',
    AttachStdin: 'boolean',
    AttachStdout: 'boolean',
    AttachStderr: 'boolean',
    ExposedPorts: NAMED_SET,
    Tty: 'boolean',
    OpenStdin: 'boolean',
    StdinOnce: 'boolean',
    Env: { list: 'string' },
    Cmd: { list: 'string' },
    Healthcheck: {
      object: {
        Test: { list: 'string' },
        Interval: 'integer',
        Timeout: 'integer',
        StartPeriod: 'integer',
        StartInterval: 'integer',
        Retries: 'integer',
      },
    },
    Image: 'string',
    Volumes: NAMED_SET,
    WorkingDir: 'string',
    Entrypoint: { list: 'string' },
    NetworkDisabled: 'boolean',
    MacAddress: 'string',
    Labels: { map: 'string' },
    StopSignal: 'string',
    StopTimeout: 'integer',
    Shell: { list: 'string' },
    HostConfig: HOST_CONFIG,
    NetworkingConfig: { object: { EndpointsConfig: { map: ENDPOINT_SETTINGS } } },
  },
};

/** Throws InvalidParameter naming the field. */
export function checkCreateRequest(body: unknown): ContainerCreateRequest {
  if (body === undefined) {
    throw new InvalidParameterError('config cannot be empty in order to create a container');
  }
  const request = { ...(body as Record<string, unknown>) };
  for (const field of ['Cmd', 'Entrypoint']) {
    if (typeof request[field] === 'string') request[field] = [request[field]];
  }
  checkShape(request, CREATE_REQUEST, '');
  return request as ContainerCreateRequest;
}

/** The body of `POST /commit`: the part of a create request that an image has too. */
export function checkContainerConfig(body: unknown): ContainerConfig {
  checkShape(body, CREATE_REQUEST, '');
  const { HostConfig: _, NetworkingConfig: __, ...config } = body as ContainerCreateRequest;
  return config;
}
