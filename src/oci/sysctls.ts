/**
 * Which sysctls a container may set: those that the kernel keeps apart by IPC or network namespace, and only in
 * namespaces that are the container's own. Any other would change the host.
 */
import type { HostConfig } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';

const IPC = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);

/** Throws InvalidParameter naming the sysctl and why it cannot be set. */
export function checkSysctls(host: HostConfig): void {
  for (const [name, value] of Object.entries(host.Sysctls ?? {})) {
    if (!/^[A-Za-z0-9_][A-Za-z0-9_./-]*$/.test(name) || name.split(/[./]/).includes('')) {
      throw new InvalidParameterError(`invalid sysctl "${name}"`);
    }
    if (value.includes('\0')) throw new InvalidParameterError(`invalid value of sysctl "${name}"`);
    const dotted = name.includes('.') ? name : name.replaceAll('/', '.');
    if (dotted.startsWith('net.')) {
      if (host.NetworkMode === 'host' || host.NetworkMode?.startsWith('container:')) {
        throw new InvalidParameterError(`sysctl '${name}' not allowed in host network namespace`);
      }
    } else if (IPC.has(dotted) || dotted.startsWith('fs.mqueue.')) {
      if (host.IpcMode === 'host' || host.IpcMode?.startsWith('container:')) {
        throw new InvalidParameterError(`sysctl '${name}' not allowed in host ipc namespace`);
      }
    } else if (dotted === 'kernel.domainname' || dotted === 'kernel.hostname') {
      if (host.UTSMode === 'host') {
        throw new InvalidParameterError(`sysctl '${name}' not allowed in host uts namespace`);
      }
    } else {
      throw new InvalidParameterError(`sysctl '${name}' is not whitelisted`);
    }
  }
}
