/**
 * Writes the edits of CDI devices into a container's config.json, as SPEC.md says ("OCI Edits"): what an edit names
 * again replaces what was there.
 */
import { errorMessage, InvalidParameterError } from '../../base/errors.ts';
import { deviceAt } from '../devices.ts';
import { byDepth, cleanPath } from '../mounts.ts';
import type { Hooks, LinuxDevice, LinuxDeviceRule, Mount, Process, Spec } from '../runtime-spec.ts';
import type { CdiMount, ContainerEdits, DeviceNode } from './spec.ts';

/** Looks device nodes up on the host. Throws InvalidParameter for one that is not there, or is of another kind. */
export function applyEdits(spec: Spec, all: readonly ContainerEdits[]): Spec {
  return all.reduce(applyOne, spec);
}

function applyOne(spec: Spec, edits: ContainerEdits): Spec {
  const devices = (edits.deviceNodes ?? []).map((node) => ({ node, device: deviceOf(node, spec.process) }));
  const paths = new Set(devices.map(({ device }) => device.path));
  const rules = devices.flatMap(({ node, device }) => ruleOf(node, device));
  const linux = spec.linux ?? {};
  return {
    ...spec,
    ...(spec.process === undefined ? {} : { process: editedProcess(spec.process, edits) }),
    mounts: withMounts(spec.mounts ?? [], edits.mounts ?? []),
    ...hooksOf(spec.hooks, edits),
    linux: {
      ...linux,
      devices: [
        ...(linux.devices ?? []).filter(({ path }) => !paths.has(path)),
        ...devices.map(({ device }) => device),
      ],
      resources: { ...linux.resources, devices: [...(linux.resources?.devices ?? []), ...rules] },
    },
  };
}

function editedProcess(process: Process, edits: ContainerEdits): Process {
  const env = new Map((process.env ?? []).map((entry) => [entry.split('=', 1)[0], entry]));
  for (const entry of edits.env ?? []) env.set(entry.split('=', 1)[0], entry);
  const groups = [...(process.user.additionalGids ?? []), ...(edits.additionalGids ?? [])];
  return {
    ...process,
    env: [...env.values()],
    user: { ...process.user, ...(groups.length === 0 ? {} : { additionalGids: [...new Set(groups)] }) },
  };
}

/** Owner of the node: as given, else the container's user, else as on the host. */
function deviceOf(node: DeviceNode, process: Process | undefined): LinuxDevice {
  const known = node.type !== undefined && (node.type === 'p' || (node.major ?? 0) !== 0);
  const host = known ? undefined : hostNode(node);
  if (node.type !== undefined && host !== undefined && sameKind(node.type) !== host.type) {
    throw new InvalidParameterError(
      `CDI device "${node.path}" is of type "${node.type}", and the node ${node.hostPath ?? node.path} of type "${host.type}"`,
    );
  }
  const uid = node.uid ?? (process?.user.uid || host?.uid);
  const gid = node.gid ?? (process?.user.gid || host?.gid);
  const fileMode = node.fileMode ?? host?.fileMode;
  return {
    path: cleanPath(node.path),
    type: node.type ?? host?.type ?? 'c',
    major: node.major || (host?.major ?? 0),
    minor: (node.major ?? 0) !== 0 ? (node.minor ?? 0) : (host?.minor ?? node.minor ?? 0),
    ...(fileMode === undefined ? {} : { fileMode }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
}

/** `u` is another word for `c`. */
function sameKind(type: LinuxDevice['type']): LinuxDevice['type'] {
  return type === 'u' ? 'c' : type;
}

function hostNode(node: DeviceNode): LinuxDevice {
  const path = node.hostPath ?? node.path;
  let reason = 'it is no device node';
  try {
    const device = deviceAt(path);
    if (device !== undefined) return device;
  } catch (error) {
    reason = errorMessage(error);
  }
  throw new InvalidParameterError(`CDI device injection failed: device node ${path}: ${reason}`);
}

function ruleOf(node: DeviceNode, { type, major, minor }: LinuxDevice): LinuxDeviceRule[] {
  if (type === 'p') return [];
  return [{ allow: true, type: type === 'b' ? 'b' : 'c', major, minor, access: node.permissions ?? 'rwm' }];
}

/** In order of depth: a mount of an edit may lie below or above one of the container's own. */
function withMounts(mounts: readonly Mount[], added: readonly CdiMount[]): Mount[] {
  if (added.length === 0) return [...mounts];
  const wanted = new Map(added.map((one) => [cleanPath(one.containerPath), mountOf(one)]));
  return byDepth([...mounts.filter(({ destination }) => !wanted.has(destination)), ...wanted.values()]);
}

function mountOf({ hostPath, containerPath, options = [], type }: CdiMount): Mount {
  const bind = options.some((word) => word === 'bind' || word === 'rbind');
  const kind = type ?? (bind ? 'bind' : undefined);
  return {
    destination: cleanPath(containerPath),
    source: hostPath,
    ...(kind === undefined ? {} : { type: kind }),
    options,
  };
}

function hooksOf(present: Hooks | undefined, { hooks = [] }: ContainerEdits): { hooks?: Hooks } {
  if (hooks.length === 0) return present === undefined ? {} : { hooks: present };
  const all: Hooks = { ...present };
  for (const { hookName, ...hook } of hooks) all[hookName] = [...(all[hookName] ?? []), hook];
  return { hooks: all };
}
