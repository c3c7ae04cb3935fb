/** `commit` and `prune`: images of containers' changes, and what goes with stopped containers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

interface InspectedImage {
  Id: string;
  Author: string;
  Comment: string;
  Config: { Env: string[]; Cmd: string[]; Labels: Record<string, string>; WorkingDir: string; User: string };
  RootFS: { Layers: string[] };
}

const commit = (query: string, body?: object) => daemon.api('POST', `/commit?${query}`, body);

async function image(name: string): Promise<InspectedImage> {
  return (await daemon.api('GET', `/images/${name}/json`)).json<InspectedImage>();
}

test('an image of the changes, with its configuration, runs', async () => {
  await daemon.ok(
    'run',
    '--name',
    'work',
    '-e',
    'A=1',
    'busybox',
    'sh',
    '-c',
    'echo kept > /file; rm /bin/false',
  );
  const changes = ['ENV B=2', 'CMD ["cat","/file"]', 'LABEL x=y', 'WORKDIR /w', 'USER 7']
    .map((change) => `&changes=${encodeURIComponent(change)}`)
    .join('');
  const answer = await commit(`container=work&repo=made&tag=one&comment=hello&author=me${changes}`);
  assert.equal(answer.status, 201, answer.text);
  const made = await image('made:one');
  assert.equal(made.Id, answer.json<{ Id: string }>().Id);
  assert.equal(made.Author, 'me');
  assert.equal(made.Comment, 'hello');
  assert.ok(made.Config.Env.includes('A=1') && made.Config.Env.includes('B=2'));
  assert.deepEqual(made.Config.Cmd, ['cat', '/file']);
  assert.equal(made.Config.Labels['x'], 'y');
  assert.equal(made.Config.WorkingDir, '/w');
  assert.equal(made.Config.User, '7');
  assert.equal(await daemon.ok('run', '--rm', 'made:one'), 'kept');
  await daemon.fails(127, /not found|no such file/i, 'run', '--rm', 'made:one', '/bin/false');
  await daemon.ok('rm', 'work');
  await daemon.ok('rmi', 'made:one');
});

test('the same change gives the same layer, from one container and from another', async () => {
  const line = 'mkdir /d; echo same > /d/f; touch -d "2020-01-01 00:00:00" /d/f /d /';
  const layers: (string | undefined)[] = [];
  for (const name of ['first', 'second']) {
    await daemon.ok('run', '--name', name, 'busybox', 'sh', '-c', line);
    for (const tag of ['x', 'y']) {
      assert.equal((await commit(`container=${name}&repo=${name}&tag=${tag}`)).status, 201);
      layers.push((await image(`${name}:${tag}`)).RootFS.Layers.at(-1));
    }
  }
  assert.equal(new Set(layers).size, 1, layers.join('\n'));
  await daemon.ok('rm', 'first', 'second');
  await daemon.ok('rmi', 'first:x', 'first:y', 'second:x', 'second:y');
});

test('a running container is paused meanwhile and runs on', async () => {
  await daemon.ok('run', '-d', '--name', 'live', 'busybox', 'sh', '-c', 'echo 1 > /one; sleep 1000');
  assert.equal((await commit('container=live&repo=live')).status, 201);
  assert.equal(await daemon.inspect('live', '{{.State.Status}}'), 'running');
  assert.equal((await commit('container=live&repo=live&pause=false')).status, 201);
  await daemon.ok('rm', '-f', 'live');
  await daemon.ok('image', 'rm', 'live');
});

test('bad requests make nothing', async () => {
  await daemon.ok('create', '--name', 'idle', 'busybox', 'true');
  const before = await daemon.ok('images', '-aq');
  assert.equal((await commit('container=nobody')).status, 404);
  assert.equal((await commit('')).status, 400);
  assert.equal((await commit('container=idle&repo=UPPER')).status, 400);
  const run = await commit('container=idle&changes=RUN%20x');
  assert.equal(run.status, 400);
  assert.match(run.text, /run is not a valid change command/);
  assert.match((await commit('container=idle&changes=FOO')).text, /foo is not a valid change command/);
  assert.equal((await commit('container=idle', { Env: 'no list' })).status, 400);
  assert.equal(await daemon.ok('images', '-aq'), before);
  await daemon.ok('rm', 'idle');
});

test('prune removes what does not run and fits the filters', async () => {
  const prune = async (filters: object) =>
    await daemon.api('POST', `/containers/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`);
  await daemon.ok('run', '--name', 'old', '--label', 'keep=no', 'busybox', 'sh', '-c', 'echo 12345 > /f');
  await daemon.ok('create', '--name', 'marked', '--label', 'keep=yes', 'busybox', 'true');
  await daemon.ok('run', '-d', '--name', 'busy', 'busybox', 'sleep', '1000');
  assert.equal((await prune({ nonsense: ['x'] })).status, 400);
  assert.equal((await prune({ until: ['never'] })).status, 400);
  const none = await prune({ until: ['10h'] });
  assert.deepEqual(none.json(), { ContainersDeleted: null, SpaceReclaimed: 0 });
  const some = (await prune({ 'label!': ['keep=yes'] })).json<{
    ContainersDeleted: string[];
    SpaceReclaimed: number;
  }>();
  assert.equal(some.ContainersDeleted.length, 1);
  assert.equal(some.SpaceReclaimed, 6);
  assert.equal(
    (await prune({ label: ['keep'] })).json<{ ContainersDeleted: string[] }>().ContainersDeleted.length,
    1,
  );
  assert.equal(await daemon.ok('ps', '-a', '--format', '{{.Names}}'), 'busy');
  await daemon.ok('rm', '-f', 'busy');
});
