/** What scenarios make, and how it goes again: all names begin with `x`. */
import type { FaultedDaemon } from '../faulted-daemon.ts';

export interface Inspected {
  Id: string;
  Name: string;
  RestartCount: number;
  State: { Status: string; Running: boolean; Paused: boolean; Pid: number; ExitCode: number; Error: string };
  HostConfig: { Memory: number; PortBindings: Record<string, unknown> | null };
  NetworkSettings: {
    Networks: Record<string, { IPAddress: string; Gateway: string }>;
    Ports: Record<string, { HostPort: string }[] | null>;
  };
  Mounts: { Type: string; Name?: string }[];
}

/** Ends at once when it is asked to. */
export const SLEEP = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done'];

/** A container `name` of busybox. `HostConfig` and the rest of the body as the API has them. */
export async function create(
  daemon: FaultedDaemon,
  name: string,
  body: Record<string, unknown> = {},
  allowed: readonly number[] = [],
): Promise<unknown> {
  return await daemon.ask('POST', `/containers/create?name=${name}`, {
    body: { Image: 'busybox', Cmd: SLEEP, ...body },
    allowed,
  });
}

export async function start(daemon: FaultedDaemon, name: string): Promise<void> {
  await daemon.ask('POST', `/containers/${name}/start`);
}

export async function run(
  daemon: FaultedDaemon,
  name: string,
  body: Record<string, unknown> = {},
): Promise<void> {
  await create(daemon, name, body);
  await start(daemon, name);
}

export async function inspect(daemon: FaultedDaemon, name: string): Promise<Inspected> {
  return (await daemon.ask('GET', `/containers/${name}/json`)).json<Inspected>();
}

export async function exists(daemon: FaultedDaemon, path: string): Promise<boolean> {
  return (await daemon.ask('GET', path, { allowed: [404] })).status !== 404;
}

/** What a command in a container prints. */
export async function output(
  daemon: FaultedDaemon,
  name: string,
  command: readonly string[],
): Promise<string> {
  const made = await daemon.ask('POST', `/containers/${name}/exec`, {
    body: { Cmd: command, AttachStdout: true, AttachStderr: true, Tty: true },
  });
  const { Id } = made.json<{ Id: string }>();
  const { text } = await daemon.ask('POST', `/exec/${Id}/start`, { body: { Detach: false, Tty: true } });
  return text.replaceAll('\r', '').trim();
}

export async function makeVolume(daemon: FaultedDaemon, name: string): Promise<void> {
  await daemon.ask('POST', '/volumes/create', { body: { Name: name } });
}

export async function makeNetwork(
  daemon: FaultedDaemon,
  name: string,
  body: Record<string, unknown> = {},
  allowed: readonly number[] = [],
): Promise<void> {
  await daemon.ask('POST', '/networks/create', { body: { Name: name, ...body }, allowed });
}

/** Removes every object that scenarios make, but for anonymous volumes: those that are left are a fault. */
export async function removeAll(daemon: FaultedDaemon): Promise<void> {
  const containers = await daemon.ask('GET', '/containers/json?all=1');
  for (const { Id, Names } of containers.json<{ Id: string; Names: string[] }[]>()) {
    if (Names[0]?.startsWith('/x') !== true) continue;
    await daemon.ask('DELETE', `/containers/${Id}?force=1&v=1`, { allowed: [404, 409] });
  }
  const { Volumes } = (await daemon.ask('GET', '/volumes')).json<{ Volumes: { Name: string }[] }>();
  for (const { Name } of Volumes.filter((volume) => /^x/.test(volume.Name)))
    await daemon.ask('DELETE', `/volumes/${Name}?force=1`);
  const networks = (await daemon.ask('GET', '/networks')).json<{ Name: string }[]>();
  for (const { Name } of networks.filter((network) => network.Name.startsWith('x')))
    await daemon.ask('DELETE', `/networks/${Name}`);
  await removeImages(daemon);
}

/** Images of which a name begins with `x`, here or in a registry. */
export async function removeImages(daemon: FaultedDaemon): Promise<void> {
  const images = (await daemon.ask('GET', '/images/json?all=1')).json<
    { Id: string; RepoTags: string[] | null; RepoDigests: string[] | null }[]
  >();
  for (const { Id, RepoTags, RepoDigests } of images) {
    const names = [...(RepoTags ?? []), ...(RepoDigests ?? [])];
    if (!names.some((name) => /^([^/]+:\d+\/)?x/.test(name))) continue;
    await daemon.ask('DELETE', `/images/${Id}?force=1`, { allowed: [404] });
  }
}
