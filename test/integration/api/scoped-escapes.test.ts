/** Ways out of a scoped socket that lead over names that others have, options of mounts, and what programs show. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import type { ContainerInspectResponse } from '../../../src/api/containers.ts';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { socketFolder, TestSocket } from '../scoped-socket.ts';

const SLEEPER = { Image: 'busybox', Cmd: ['sleep', '100000'], StopSignal: 'SIGKILL' };
const CI = [
  '--allow',
  'containers.list,containers.inspect,containers.create,containers.start,containers.restart,containers.stop',
  '--allow',
  'containers.remove,containers.top,containers.archive,containers.copy,networks.*,volumes.*,images.build',
  '--label',
  'project=x',
];

describe('ways out of a scoped socket', { skip: TESTING_DOCKER && 'about mydockd' }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let ci: TestSocket;
  let outside: string;

  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
    outside = mkdtempSync('/srv/outside-');
    writeFileSync(join(outside, 'secret'), 'secret\n');
    ci = await TestSocket.create(daemon, ...CI);
  });
  after(async () => {
    await ci?.remove();
    await daemon?.removeContainers();
    await daemon?.ok('network', 'prune', '-f');
    await daemon?.ok('volume', 'prune', '-a', '-f');
    await close?.();
    rmSync(outside, { recursive: true, force: true });
    rmSync(socketFolder(), { recursive: true, force: true });
  });

  const create = async (body: Record<string, unknown>): Promise<string> =>
    (await ci.expect(201, 'POST', '/containers/create', { ...SLEEPER, ...body })).json<{ Id: string }>().Id;
  const remove = async (id: string): Promise<unknown> => await daemon.ok('rm', '-f', '-v', id);

  test('a volume in memory is no bind under another name', async () => {
    for (const o of ['bind', 'rbind,ro', 'size=1m,bind', 'rshared']) {
      const options = { type: 'tmpfs', device: outside, o };
      await ci.expect(403, 'POST', '/volumes/create', { Name: 'stolen', DriverOpts: options });
      await ci.expect(403, 'POST', '/containers/create', {
        ...SLEEPER,
        HostConfig: {
          Mounts: [
            {
              Type: 'volume',
              Source: 'stolen',
              Target: '/x',
              VolumeOptions: { DriverConfig: { Options: options } },
            },
          ],
        },
      });
    }
    await ci.expect(201, 'POST', '/volumes/create', {
      Name: 'memory',
      DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,uid=1000,nosuid' },
    });
    await ci.expect(204, 'DELETE', '/volumes/memory');
  });

  test('a network of another is not joined by what its name begins with', async () => {
    for (const name of ['containers_default', 'container-net']) {
      await daemon.ok('network', 'create', name);
      await ci.expect(400, 'POST', '/containers/create', { ...SLEEPER, HostConfig: { NetworkMode: name } });
      await daemon.ok('network', 'rm', name);
    }
  });

  test('a name of another is no prefix of an ID of the socket, nor an ID of another a name', async () => {
    const own = (await ci.expect(201, 'POST', '/networks/create', { Name: 'mine' })).json<{ Id: string }>()
      .Id;
    const name = own.slice(0, 4);
    const foreign = await daemon.ok('network', 'create', name);
    await ci.expect(201, 'POST', '/networks/create', { Name: foreign });
    for (const reference of [name, foreign]) {
      for (const body of [
        { HostConfig: { NetworkMode: reference } },
        { HostConfig: { NetworkMode: 'mine' }, NetworkingConfig: { EndpointsConfig: { [reference]: {} } } },
      ]) {
        await ci.expect(400, 'POST', '/containers/create', { ...SLEEPER, ...body });
      }
      await ci.expect(404, 'GET', `/networks/${reference}`);
      const build = await ci.api('POST', `/build?networkmode=${reference}`, '');
      assert.equal(build.status, 404, build.text);
    }
    const id = await create({ HostConfig: { NetworkMode: own.slice(0, 12) } });
    await remove(id);
    await daemon.ok('network', 'rm', foreign, own);
    await daemon.ok('network', 'rm', foreign);
  });

  test('a container starts on the network that it was made for, and on no other of that name', async () => {
    const connect = async (id: string): Promise<unknown> =>
      await ci.expect(200, 'POST', '/networks/shared/connect', { Container: id, EndpointConfig: {} });
    const make = async (): Promise<unknown> =>
      await ci.expect(201, 'POST', '/networks/create', { Name: 'shared' });
    const ways: Record<string, () => Promise<string>> = {
      mode: async () => await create({ HostConfig: { NetworkMode: 'shared' } }),
      endpoint: async () =>
        await create({
          HostConfig: { NetworkMode: 'shared' },
          NetworkingConfig: { EndpointsConfig: { shared: { Aliases: ['a'] } } },
        }),
      second: async () =>
        await create({
          NetworkingConfig: { EndpointsConfig: { bridge: {}, shared: { NetworkID: 'x' } } },
        }),
      connected: async () => {
        const id = await create({});
        await connect(id);
        return id;
      },
    };
    for (const [way, run] of Object.entries(ways)) {
      await make();
      const id = await run();
      await ci.expect(204, 'DELETE', '/networks/shared');
      await daemon.ok('network', 'create', 'shared');
      const { status, text } = await ci.api('POST', `/containers/${id}/start`);
      assert.equal(status, 404, `${way}: ${text}`);
      const { Containers } = (await daemon.api('GET', '/networks/shared')).json<{ Containers: object }>();
      assert.deepEqual(Containers, {}, way);
      await remove(id);
      await daemon.ok('network', 'rm', 'shared');
    }
    await make();
    const id = (await ways['connected']?.()) ?? '';
    await ci.expect(204, 'POST', `/containers/${id}/start`);
    await remove(id);
    await daemon.ok('network', 'rm', 'shared');
  });

  test('files of the host are not copied out of a container that others gave them', async () => {
    await daemon.ok('volume', 'create', 'others');
    await daemon.ok('create', '--name', 'shows', '--label', 'project=x', '-v', `${outside}:/x`, 'busybox');
    await daemon.ok('create', '--name', 'holds', '--label', 'project=x', '-v', 'others:/x', 'busybox');
    for (const name of ['shows', 'holds']) {
      for (const method of ['GET', 'HEAD'])
        await ci.expect(403, method, `/containers/${name}/archive?path=/x`);
      await remove(name);
    }
    await daemon.ok('volume', 'rm', 'others');
    const own = await create({});
    await ci.expect(200, 'GET', `/containers/${own}/archive?path=/etc/passwd`);
    await remove(own);
  });

  test('top shows the processes of the container, and not their environment', async () => {
    const id = await daemon.ok(
      ...['run', '-d', '--label', 'project=x', '-e', 'PASSWORD=hunter2'],
      ...['--stop-signal', 'SIGKILL', 'busybox', 'sleep', '100000'],
    );
    const top = async (args: string): Promise<{ status: number; text: string }> =>
      await ci.api('GET', `/containers/${id}/top?ps_args=${encodeURIComponent(args)}`);
    for (const args of [
      ...['axe', 'auxewww', 'e', '-ef e', 'eo pid,args', '-auxe', 'axo pid,args e', '-eo pid,environ'],
      ...['-eo rtprio=PID,pid,args', '-eo uid=PID', '-eo pid,args --format x', '--help', '-o pid -C sleep'],
    ]) {
      const { status, text } = await top(args);
      assert.ok(!text.includes('hunter2'), `${args}: ${text}`);
      assert.equal(status, 403, `${args}: ${text}`);
    }
    for (const args of ['', '-ef', 'aux', '-aux', '-eo pid,comm', 'axo pid,ppid,args', 'o pid,cmd', '-eLf']) {
      const { status, text } = await top(args);
      assert.equal(status, 200, `${args}: ${text}`);
      assert.match(text, /sleep/, args);
    }
    await remove(id);
  });

  test('what inspect shows of a container can be asked for again', async () => {
    const first = await create({ HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '' }] } } });
    const { HostConfig } = (
      await ci.expect(200, 'GET', `/containers/${first}/json`)
    ).json<ContainerInspectResponse>();
    const second = await create({ HostConfig });
    for (const Runtime of ['', 'runc', 'io.containerd.runc.v2', 'mydock-runtime'])
      await remove(await create({ HostConfig: { Runtime } }));
    await ci.expect(403, 'POST', '/containers/create', { ...SLEEPER, HostConfig: { Runtime: 'crun' } });
    await remove(first);
    await remove(second);
  });

  test('the steps of a build are on the network that was meant, and on no later one of its name', async () => {
    await ci.expect(201, 'POST', '/networks/create', { Name: 'containers_own' });
    writeFileSync(join(outside, 'Dockerfile'), 'FROM busybox\nRUN ip route\n');
    const context = execFileSync('tar', ['-C', outside, '-c', 'Dockerfile']);
    const path = '/build?networkmode=containers_own&nocache=1';
    const logged = daemon.log.length;
    const answer = new Promise<string>((resolve, reject) => {
      const headers = { 'content-type': 'application/x-tar' };
      const build = request({ socketPath: ci.path, method: 'POST', path, headers, timeout: 30_000 });
      build.on('response', (response) => resolve(text(response)));
      build.on('error', reject);
      build.flushHeaders();
      // The network has been judged by now: the context is what the build waits for.
      eventually('the build is told', () =>
        Promise.resolve(/"path":"\/build"/.test(daemon.log.slice(logged))),
      )
        .then(() => ci.expect(204, 'DELETE', '/networks/containers_own'))
        .then(() => daemon.ok('network', 'create', 'containers_own'))
        .then(() => build.end(context))
        .catch(reject);
    });
    assert.match(await answer, /network [0-9a-f]{64} not found/);
    await daemon.ok('network', 'rm', 'containers_own');
  });

  test('names of an egress policy are not answered by servers of the client', async () => {
    await daemon.ok(
      ...[
        'network',
        'create',
        '--label',
        'project=x',
        '-o',
        'mydock.egress=allow=registry.example',
        'limited',
      ],
    );
    const HostConfig = { NetworkMode: 'limited', Dns: ['192.0.2.1'] };
    await ci.expect(403, 'POST', '/containers/create', { ...SLEEPER, HostConfig });
    const NetworkingConfig = { EndpointsConfig: { bridge: {}, limited: {} } };
    await ci.expect(403, 'POST', '/containers/create', {
      ...SLEEPER,
      HostConfig: { Dns: ['192.0.2.1'] },
      NetworkingConfig,
    });
    const id = await create({ HostConfig: { Dns: ['192.0.2.1'] } });
    await ci.expect(403, 'POST', '/networks/limited/connect', { Container: id });
    await remove(id);
    await remove(await create({ HostConfig: { NetworkMode: 'limited' } }));
    await daemon.ok('network', 'rm', 'limited');
  });

  test('a link tells no environment of a container that may not be entered', async () => {
    await daemon.ok(
      ...['run', '-d', '--name', 'strong', '--label', 'project=x', '--privileged', '-e', 'PASSWORD=hunter2'],
      ...['--stop-signal', 'SIGKILL', 'busybox', 'sleep', '100000'],
    );
    await ci.expect(403, 'POST', '/containers/create', { ...SLEEPER, HostConfig: { Links: ['strong:db'] } });
    await remove('strong');
    const other = await create({});
    await remove(await create({ HostConfig: { Links: [`${other}:db`] } }));
    await remove(other);
  });

  test('a target that is no URL is a bad request', async () => {
    assert.match(await ci.raw('GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 400 /);
  });
});
