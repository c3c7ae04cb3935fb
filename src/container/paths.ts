/** Where a container's files lie: what lasts below the data root, what a reboot may take below the exec root. */
import { join } from 'node:path';

export interface ContainerPaths {
  /** Lasting folder; holds the rest of this group. */
  home: string;
  hostname: string;
  hosts: string;
  resolvConf: string;
  log: string;
  upper: string;
  work: string;

  /** Run-time folder: config.json, supervisor.json, the exit record and the mounted root. */
  bundle: string;
  rootfs: string;
  exitRecord: string;
  socket: string;
}

export function containersDirectory(dataRoot: string): string {
  return join(dataRoot, 'containers');
}

/** On the same file system: folders of containers that are no more, while they are taken apart. */
export function removedDirectory(dataRoot: string): string {
  return join(dataRoot, 'removed');
}

export function bundlesDirectory(execRoot: string): string {
  return join(execRoot, 'containers');
}

/** Sockets lie in a folder with a short name: their paths must fit into sun_path. */
export function socketsDirectory(execRoot: string): string {
  return join(execRoot, 's');
}

export function seccompCacheDirectory(execRoot: string): string {
  return join(execRoot, 'seccomp');
}

export function containerPaths(dataRoot: string, execRoot: string, id: string): ContainerPaths {
  const home = join(containersDirectory(dataRoot), id);
  const bundle = join(bundlesDirectory(execRoot), id);
  return {
    home,
    hostname: `${home}/hostname`,
    hosts: `${home}/hosts`,
    resolvConf: `${home}/resolv.conf`,
    log: `${home}/${id}-json.log`,
    upper: `${home}/upper`,
    work: `${home}/work`,
    bundle,
    rootfs: `${bundle}/rootfs`,
    exitRecord: `${bundle}/exit.json`,
    socket: join(socketsDirectory(execRoot), id),
  };
}
