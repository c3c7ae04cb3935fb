/** Builds and volumes, and what a host without plugins or swarm answers. */
import { makeTar, NOBODY, removed, running, type Stage } from './stage.ts';

export async function driveBuild({ recorder, daemon }: Stage): Promise<void> {
  const operation = 'POST /build';
  const dockerfile = 'FROM busybox\nRUN echo built > /built\nLABEL a=b\n';
  const context = makeTar([{ path: 'Dockerfile', data: dockerfile }]);
  const build = async (
    what: string,
    expect: number,
    query: Record<string, string>,
    body: Buffer,
  ): Promise<void> => {
    await recorder.drive({ operation, what, expect, query, body, lines: true });
  };
  await build('a Dockerfile', 200, { t: 'built' }, context);
  await build('quiet', 200, { t: 'built', q: '1' }, context);
  await build('a wrong name', 400, { t: 'UPPER' }, context);
  await build('no Dockerfile', 400, { dockerfile: 'missing' }, context);
  await daemon.api('DELETE', '/images/built');
  await recorder.drive({ operation: 'POST /build/prune', what: 'the build cache', expect: 200 });
}

export async function driveVolumes(stage: Stage): Promise<void> {
  const { recorder, daemon } = stage;
  const create = 'POST /volumes/create';
  const body = { Name: 'kept', Labels: { a: 'b' } };
  await recorder.drive({ operation: create, what: 'a name and labels', expect: 201, body });
  await recorder.drive({ operation: create, what: 'one that is there', expect: 201, body });
  await recorder.drive({ operation: create, what: 'a wrong name', expect: 400, body: { Name: '/' } });
  await recorder.drive({ operation: create, what: 'a wrong type', expect: 400, body: { Name: 1 } });
  const anonymous = await recorder.drive({ operation: create, what: 'no name', expect: 201, body: {} });
  await daemon.api('DELETE', `/volumes/${anonymous.json<{ Name: string }>().Name}`);
  const list = 'GET /volumes';
  for (const filters of [
    '{}',
    '{"name":["kept"]}',
    '{"label":["a=b"]}',
    '{"dangling":["1"]}',
    '{"driver":["local"]}',
  ]) {
    await recorder.drive({ operation: list, what: `filters ${filters}`, expect: 200, query: { filters } });
  }
  const inspect = 'GET /volumes/{name}';
  await recorder.drive({ operation: inspect, what: 'by name', expect: 200, path: { name: 'kept' } });
  await recorder.drive({ operation: inspect, what: 'a missing one', expect: 404, path: { name: NOBODY } });
  const user = await running(stage, 'user', { HostConfig: { Binds: ['kept:/kept'] } });
  const remove = 'DELETE /volumes/{name}';
  await recorder.drive({ operation: remove, what: 'one in use', expect: 409, path: { name: 'kept' } });
  await removed(stage, user);
  await recorder.drive({ operation: remove, what: 'by name', expect: 204, path: { name: 'kept' } });
  await recorder.drive({ operation: remove, what: 'a missing one', expect: 404, path: { name: 'kept' } });
  await recorder.drive({ operation: 'POST /volumes/prune', what: 'unused ones', expect: 200 });
}

export async function drivePlugins({ recorder }: Stage): Promise<void> {
  await recorder.drive({ operation: 'GET /plugins', what: 'none are installed', expect: 200 });
  const operation = 'GET /plugins/{name}/json';
  await recorder.drive({ operation, what: 'a missing one', expect: 404, path: { name: NOBODY } });
}
