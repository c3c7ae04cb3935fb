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
  const session = { operation: 'POST /session', query: {} };
  const upgrade = { connection: 'Upgrade', upgrade: 'h2c', 'x-docker-expose-session-uuid': 'conformance' };
  await recorder.drive({
    ...session,
    what: 'an upgrade to HTTP/2',
    expect: 101,
    headers: upgrade,
    // The daemon is the client on it, and begins.
    until: (body) => body.includes('PRI * HTTP/2.0'),
  });
  await recorder.drive({ ...session, what: 'no upgrade', expect: 400 });
}

export async function driveVolumes(stage: Stage): Promise<void> {
  const { recorder, daemon } = stage;
  const create = 'POST /volumes/create';
  const body = { Name: 'kept', Labels: { a: 'b' } };
  await recorder.drive({ operation: create, what: 'a name and labels', expect: 201, body });
  await recorder.drive({ operation: create, what: 'one that is there', expect: 201, body });
  await recorder.drive({ operation: create, what: 'a wrong name', expect: 400, body: { Name: '/' } });
  await recorder.drive({ operation: create, what: 'a wrong type', expect: 400, body: { Name: 1 } });
  const wrong: [what: string, expect: number, body: object][] = [
    ['an unknown option', 400, { Name: 'wrong', DriverOpts: { x: 'y' } }],
    ['an option without the others', 400, { Name: 'wrong', DriverOpts: { type: 'tmpfs' } }],
    ['an unknown driver', 404, { Name: 'wrong', Driver: 'nope' }],
    ['a cluster volume', 503, { Name: 'wrong', ClusterVolumeSpec: {} }],
  ];
  for (const [what, expect, refused] of wrong) {
    await recorder.drive({ operation: create, what, expect, body: refused });
  }
  const DriverOpts = { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' };
  const options = { operation: create, what: 'driver options', expect: 201 };
  await recorder.drive({ ...options, body: { Name: 'memory', Driver: 'local', DriverOpts } });
  const anonymous = await recorder.drive({ operation: create, what: 'no name', expect: 201, body: {} });
  await daemon.api('DELETE', `/volumes/${anonymous.json<{ Name: string }>().Name}`);
  const list = 'GET /volumes';
  for (const filters of [
    '{}',
    '{"name":["kept"]}',
    '{"label":["a=b"]}',
    '{"dangling":["1"]}',
    '{"driver":["local"]}',
    '{"name":["memory"]}',
  ]) {
    await recorder.drive({ operation: list, what: `filters ${filters}`, expect: 200, query: { filters } });
  }
  const maybe = { filters: '{"dangling":["maybe"]}' };
  await recorder.drive({ operation: list, what: 'a wrong filter', expect: 400, query: maybe });
  const inspect = 'GET /volumes/{name}';
  const memory = { name: 'memory' };
  await recorder.drive({ operation: inspect, what: 'options and status', expect: 200, path: memory });
  const update = { operation: 'PUT /volumes/{name}', query: { version: '1' }, body: { Spec: {} } };
  await recorder.drive({ ...update, what: 'no cluster volume', expect: 503, path: memory });
  await daemon.api('DELETE', '/volumes/memory');
  await recorder.drive({ operation: inspect, what: 'by name', expect: 200, path: { name: 'kept' } });
  await recorder.drive({ operation: inspect, what: 'a missing one', expect: 404, path: { name: NOBODY } });
  const user = await running(stage, 'user', { HostConfig: { Binds: ['kept:/kept'] } });
  const remove = 'DELETE /volumes/{name}';
  await recorder.drive({ operation: remove, what: 'one in use', expect: 409, path: { name: 'kept' } });
  await removed(stage, user);
  await recorder.drive({ operation: remove, what: 'by name', expect: 204, path: { name: 'kept' } });
  await recorder.drive({ operation: remove, what: 'a missing one', expect: 404, path: { name: 'kept' } });
  const prune = 'POST /volumes/prune';
  await daemon.api('POST', '/volumes/create', {});
  await recorder.drive({ operation: prune, what: 'unused ones', expect: 200 });
  const all = { filters: '{"all":["1"],"label!":["keep"]}' };
  await recorder.drive({ operation: prune, what: 'all, by label', expect: 200, query: all });
  const until = { filters: '{"until":["1h"]}' };
  await recorder.drive({ operation: prune, what: 'a filter of others', expect: 400, query: until });
}

export async function drivePlugins({ recorder }: Stage): Promise<void> {
  await recorder.drive({ operation: 'GET /plugins', what: 'none are installed', expect: 200 });
  const operation = 'GET /plugins/{name}/json';
  await recorder.drive({ operation, what: 'a missing one', expect: 404, path: { name: NOBODY } });
}
