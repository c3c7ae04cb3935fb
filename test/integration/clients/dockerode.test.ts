/** dockerode, the Engine API's client for Node: hijacked streams, progress, events, archives. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough, Readable, type Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, describe, test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { clientsMissing, loadClient } from '../../fixtures/clients.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import type { Container, Docker, Dockerode, Fields } from './dockerode-types.ts';

const SLEEPER = { Image: 'busybox', Cmd: ['sleep', '100000'], StopSignal: 'SIGKILL' };

/** Collects what is written to it. */
class Sink extends PassThrough {
  seen = '';
  constructor() {
    super();
    this.on('data', (chunk: Buffer) => {
      this.seen += chunk.toString('utf8');
    });
  }
}

describe('dockerode', { skip: clientsMissing() }, () => {
  let daemon: Daemon;
  let registry: Registry;
  let close: () => Promise<void>;
  let docker: Docker;

  before(async () => {
    ({ daemon, registry, close } = await daemonWithRegistry());
    docker = new (loadClient<Dockerode>('dockerode'))({ socketPath: daemon.socket });
  });
  after(async () => await close());
  afterEach(async () => await daemon.removeContainers());

  const running = async (options: Record<string, unknown> = {}): Promise<Container> => {
    const container = await docker.createContainer({ ...SLEEPER, ...options });
    await container.start();
    return container;
  };
  const progress = async (stream: Readable): Promise<Fields[]> =>
    await new Promise((resolve, reject) => {
      docker.modem.followProgress(stream, (error, messages) => {
        if (error === null) resolve(messages);
        else reject(error);
      });
    });

  test('ping, version, info, df', async () => {
    assert.equal((await docker.ping()).toString(), 'OK');
    assert.equal((await docker.version())['ApiVersion'], '1.51');
    assert.equal((await docker.info())['OSType'], 'linux');
    assert.ok(Array.isArray((await docker.df())['Images']));
  });

  test('create, start, inspect, list, stop, restart, kill, wait, remove', async () => {
    const container = await running({ name: 'cycle' });
    assert.equal((await container.inspect()).Name, '/cycle');
    assert.deepEqual(
      (await docker.listContainers()).map(({ Names }) => Names),
      [['/cycle']],
    );
    await container.restart({ t: 0 });
    await container.stop({ t: 0 });
    await assert.rejects(container.stop(), { statusCode: 304 });
    await container.start();
    const ended = container.wait();
    await container.kill({ signal: 'SIGKILL' });
    assert.equal((await ended).StatusCode, 137);
    await container.remove();
    await assert.rejects(container.inspect(), { statusCode: 404, reason: 'no such container' });
  });

  test('attach: input and output through one hijacked connection, with half-close', async () => {
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['sh', '-c', 'cat; echo end >&2; exit 3'],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
    });
    const stream = await container.attach({
      stream: true,
      stdin: true,
      stdout: true,
      stderr: true,
      hijack: true,
    });
    const [stdout, stderr] = [new Sink(), new Sink()];
    docker.modem.demuxStream(stream, stdout, stderr);
    const ended = once(stream, 'end');
    await container.start();
    stream.end('to the container\n');
    assert.equal((await container.wait()).StatusCode, 3);
    await ended;
    assert.deepEqual([stdout.seen, stderr.seen], ['to the container\n', 'end\n']);
  });

  test('run writes what the container writes', async () => {
    const outputs = [new Sink(), new Sink()] as const;
    const command = ['sh', '-c', 'echo out; echo err >&2; exit 9'];
    const [{ StatusCode }] = await docker.run('busybox', command, outputs as unknown as Writable[], {
      Tty: false,
    });
    assert.deepEqual([StatusCode, outputs[0].seen, outputs[1].seen], [9, 'out\n', 'err\n']);
  });

  test('exec: output, input, exit code; detached', async () => {
    const container = await running();
    const command = {
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Cmd: ['sh', '-c', 'cat; exit 4'],
    };
    const exec = await container.exec(command);
    const stream = await exec.start({ hijack: true, stdin: true });
    const [stdout, stderr] = [new Sink(), new Sink()];
    docker.modem.demuxStream(stream, stdout, stderr);
    const ended = once(stream, 'end');
    stream.end('typed\n');
    await ended;
    assert.equal(stdout.seen, 'typed\n');
    assert.equal((await exec.inspect())['ExitCode'], 4);
    const detached = await container.exec({ Cmd: ['touch', '/made'] });
    await detached.start({ Detach: true });
    await eventually(
      'the detached command has ended',
      async () => (await detached.inspect())['Running'] === false,
    );
  });

  test('logs, whole and followed', async () => {
    const container = await running({ Cmd: ['sh', '-c', 'for i in 1 2 3; do echo $i; sleep 0.2; done'] });
    const followed = await container.logs({ follow: true, stdout: true, stderr: true });
    const [stdout, stderr] = [new Sink(), new Sink()];
    docker.modem.demuxStream(followed, stdout, stderr);
    await once(followed, 'end');
    assert.equal(stdout.seen, '1\n2\n3\n');
    const whole = await container.logs({ follow: false, stdout: true, tail: 1 });
    assert.equal(whole.subarray(8).toString(), '3\n');
  });

  test('events while they happen', async () => {
    const stream = await docker.getEvents({ filters: { type: ['container'] } });
    const actions: string[] = [];
    stream.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split('\n')) {
        actions.push((JSON.parse(line) as { Action: string }).Action);
      }
    });
    const container = await running({ Cmd: ['true'] });
    await container.wait();
    await container.remove();
    await eventually('destroy is seen', () => actions.includes('destroy'));
    stream.destroy();
    assert.deepEqual(actions, ['create', 'start', 'die', 'destroy']);
  });

  test('pull, list, tag, remove', async () => {
    const image = await busyboxImage({ config: { Labels: { by: 'dockerode' } } });
    const reference = await registry.push('by-dockerode', 'v1', image);
    const messages = await progress(await docker.pull(reference));
    assert.ok(messages.some(({ status }) => String(status).startsWith('Status: Downloaded newer image')));
    assert.equal((await docker.getImage(reference).inspect()).Id, image.id);
    await docker.getImage(reference).tag({ repo: 'own', tag: 'v2' });
    const tags = (await docker.listImages()).flatMap(({ RepoTags }) => RepoTags);
    assert.ok(tags.includes('own:v2'));
    await docker.getImage('own:v2').remove();
    await docker.getImage(reference).remove();
    await assert.rejects(docker.getImage(reference).inspect(), { statusCode: 404 });
  });

  test('build', async () => {
    const dockerfile = 'FROM busybox\nRUN echo built > /built\nCMD ["cat", "/built"]\n';
    const context = makeTar([{ path: 'Dockerfile', data: dockerfile }]);
    const messages = await progress(await docker.buildImage(Readable.from([context]), { t: 'by-dockerode' }));
    assert.match(String(messages.at(-1)?.['stream']), /Successfully tagged by-dockerode/);
    const output = new Sink();
    await docker.run('by-dockerode', [], [output, new Sink()], { Tty: false });
    assert.equal(output.seen, 'built\n');
  });

  test('archives in and out', async () => {
    const container = await running();
    await container.putArchive(makeTar([{ path: 'in', data: 'carried\n' }]), { path: '/tmp' });
    const archive = await text(await container.getArchive({ path: '/tmp/in' }));
    assert.match(archive, /^in\0[\s\S]*carried\n/);
    await assert.rejects(container.getArchive({ path: '/nowhere' }), { statusCode: 404 });
  });

  test('stats, top, changes', async () => {
    const container = await running({ Cmd: ['sh', '-c', 'echo x > /new; sleep 100000'] });
    const stats = await container.stats({ stream: false });
    assert.ok(Number(stats.memory_stats['usage']) > 0);
    const { Titles, Processes } = await container.top();
    assert.ok(Titles.includes('PID'));
    assert.ok(Processes.some((process) => process.join(' ').includes('sleep 100000')));
    assert.deepEqual(
      (await container.changes()).find(({ Path }) => Path === '/new'),
      { Path: '/new', Kind: 1 },
    );
  });

  test('pause, unpause, rename, update, commit, export, prune', async () => {
    const container = await running();
    await container.pause();
    assert.equal((await container.inspect()).State['Status'], 'paused');
    await container.unpause();
    await container.rename({ name: 'renamed' });
    assert.equal((await container.inspect()).Name, '/renamed');
    await container.update({ Memory: 67_108_864, MemorySwap: 67_108_864 });
    const { Id } = await container.commit({ repo: 'committed', comment: 'words' });
    assert.equal((await docker.getImage('committed').inspect()).Id, Id);
    assert.match(await text(await container.export()), /bin\/busybox/);
    await container.stop({ t: 0 });
    assert.deepEqual((await docker.pruneContainers()).ContainersDeleted, [container.id]);
  });

  test('networks: create, list, connect, inspect, disconnect, prune', async () => {
    const network = await docker.createNetwork({
      Name: 'node',
      CheckDuplicate: true,
      IPAM: { Config: [{ Subnet: '10.172.0.0/24' }] },
    });
    const { id } = network;
    assert.deepEqual(
      (await docker.listNetworks({ filters: { name: ['node'] } })).map(({ Id }) => Id),
      [id],
    );
    const container = await running({ name: 'joins' });
    await network.connect({
      Container: container.id,
      EndpointConfig: { IPAMConfig: { IPv4Address: '10.172.0.50' } },
    });
    const { Containers } = await docker.getNetwork('node').inspect();
    assert.equal(Containers[container.id]?.IPv4Address, '10.172.0.50/24');
    await assert.rejects(network.connect({ Container: container.id }), { statusCode: 403 });
    await assert.rejects(network.remove(), { statusCode: 403 });
    await network.disconnect({ Container: 'joins' });
    assert.deepEqual((await docker.pruneNetworks()).NetworksDeleted, ['node']);
    await assert.rejects(network.inspect(), { statusCode: 404 });
  });
});
