/** What every group's situations start from: a recorder, and containers made through the API. */
import type { Registry } from '../../fixtures/registry.ts';
import { eventually } from '../../integration/command.ts';
import type { Daemon } from '../../integration/harness.ts';
import type { Recorder } from '../recorder.ts';

export interface Stage {
  readonly daemon: Daemon;
  readonly recorder: Recorder;
  /** Reference of the busybox image in the registry of the test. */
  readonly reference: string;
  /** `host:port` of that registry. */
  readonly registry: string;
  /** Brings an image into that registry without the daemon. */
  readonly push: Registry['push'];
}

export const NOBODY = 'nobody-of-this-name';

/** Makes a container, starts it, and returns its ID; `cmd` default: sleeps for ever. */
export async function running(
  { daemon }: Stage,
  name: string,
  body: Record<string, unknown> = {},
): Promise<string> {
  const id = await created({ daemon }, name, body);
  const started = await daemon.api('POST', `/containers/${id}/start`);
  if (started.status !== 204) throw new Error(`cannot start ${name}: ${started.text}`);
  return id;
}

export async function created(
  { daemon }: Pick<Stage, 'daemon'>,
  name: string,
  body: Record<string, unknown> = {},
): Promise<string> {
  const request = { Image: 'busybox', Cmd: ['sleep', '100000'], StopSignal: 'SIGKILL', ...body };
  const answer = await daemon.api('POST', `/containers/create?name=${name}`, request);
  if (answer.status !== 201) throw new Error(`cannot create ${name}: ${answer.text}`);
  return answer.json<{ Id: string }>().Id;
}

/** Runs a container to its end. */
export async function exited(
  stage: Stage,
  name: string,
  cmd: readonly string[],
  body: Record<string, unknown> = {},
): Promise<string> {
  const id = await running(stage, name, { ...body, Cmd: cmd });
  await eventually(`${name} has exited`, async () => {
    const answer = await stage.daemon.api('GET', `/containers/${id}/json`);
    return answer.json<{ State: { Status: string } }>().State.Status === 'exited';
  });
  return id;
}

export async function removed({ daemon }: Pick<Stage, 'daemon'>, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await daemon.api('DELETE', `/containers/${id}?force=1&v=1`);
}

export { makeTar } from '../../fixtures/tar.ts';
