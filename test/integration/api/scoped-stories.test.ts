/**
 * Three uses of scoped sockets, as docs/security.md tells them: a reverse proxy that reads (Traefik), a dashboard that
 * only looks (Portainer), a CI job with its project. Driven by the docker command, dockerode and Compose.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { clientsMissing, loadClient } from '../../fixtures/clients.ts';
import { composeProgram } from '../../fixtures/compose.ts';
import type { Docker, Dockerode } from '../clients/dockerode-types.ts';
import type { Result } from '../command.ts';
import { recentDockerPrograms, TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { socketFolder, TestSocket } from '../scoped-socket.ts';

const [program] = recentDockerPrograms();
const compose = composeProgram();

const TRAEFIK = [
  '--allow',
  'ping,version,info,events,containers.list,containers.inspect,networks.list,networks.inspect',
];
const CI = [
  '--allow',
  'ping,version,info,events,exec.inspect,containers.*,images.*,networks.*,volumes.*',
  '--label',
  'project=ci',
];

describe('stories of scoped sockets', { skip: TESTING_DOCKER && 'about mydockd' }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let workspace: string;

  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
    workspace = mkdtempSync('/srv/ci-');
    await daemon.ok(
      'run',
      '-d',
      '--name',
      'web',
      '-l',
      'traefik.enable=true',
      '-e',
      'PASSWORD=secret',
      '--stop-signal',
      'SIGKILL',
      'busybox',
      'sleep',
      '100000',
    );
  });
  after(async () => {
    await close?.();
    rmSync(workspace, { recursive: true, force: true });
    rmSync(socketFolder(), { recursive: true, force: true });
  });

  /** The docker command on a scoped socket. */
  const docker = async (socket: TestSocket, ...args: string[]): Promise<Result> =>
    await daemon.docker(program ?? '', args, {
      env: { DOCKER_HOST: `unix://${socket.path}`, DOCKER_BUILDKIT: '0' },
      timeoutMs: 60_000,
    });
  const succeeds = async (socket: TestSocket, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await docker(socket, ...args);
    assert.equal(code, 0, `docker ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  };
  const isRefused = async (socket: TestSocket, ...args: string[]): Promise<void> => {
    const { code, stderr } = await docker(socket, ...args);
    assert.notEqual(code, 0, `docker ${args.join(' ')}`);
    assert.match(stderr, /is not allowed on socket/, args.join(' '));
  };

  test('Traefik finds its containers and cannot touch them', { skip: clientsMissing() }, async () => {
    const socket = await TestSocket.create(daemon, ...TRAEFIK);
    const client: Docker = new (loadClient<Dockerode>('dockerode'))({ socketPath: socket.path });
    assert.equal((await client.version())['ApiVersion'], '1.51');
    const filters = { label: ['traefik.enable=true'] };
    const found = (await client.listContainers({ filters })) as unknown as { Id: string; Names: string[] }[];
    assert.deepEqual(
      found.map(({ Names }) => Names),
      [['/web']],
    );
    const container = client.getContainer(found[0]?.Id ?? '');
    const shown = await container.inspect();
    assert.equal((shown.State as { Running: boolean }).Running, true);
    assert.ok(!JSON.stringify(shown).includes('PASSWORD=secret'));
    await assert.rejects(container.stop(), /containers\.stop is not allowed/);
    await assert.rejects(container.exec({ Cmd: ['id'] }), /containers\.exec is not allowed/);
    await assert.rejects(container.logs({ stdout: true }), /containers\.logs is not allowed/);
    await assert.rejects(
      client.createContainer({ Image: 'busybox', Cmd: ['id'] }),
      /containers\.create is not allowed/,
    );
    await socket.remove();
  });

  test('Portainer looks at everything and changes nothing', {
    skip: program === undefined && 'no docker 28',
  }, async () => {
    const socket = await TestSocket.create(daemon, '--read-only');
    for (const args of [
      ['version'],
      ['info'],
      ['ps', '-a', '--size'],
      ['inspect', 'web'],
      ['logs', 'web'],
      ['top', 'web'],
      ['stats', '--no-stream', 'web'],
      ['diff', 'web'],
      ['images', '-a'],
      ['history', 'busybox'],
      ['network', 'ls'],
      ['network', 'inspect', 'bridge'],
      ['volume', 'ls'],
      ['system', 'df', '-v'],
      ['events', '--since', '1', '--until', '2'],
    ]) {
      await succeeds(socket, ...args);
    }
    for (const args of [
      ['run', '--rm', 'busybox', 'true'],
      ['exec', 'web', 'id'],
      ['stop', 'web'],
      ['rm', '-f', 'web'],
      ['cp', 'web:/etc/passwd', join(workspace, 'passwd')],
      ['export', 'web'],
      ['save', 'busybox', '-o', join(workspace, 'image.tar')],
      ['commit', 'web'],
      ['rmi', 'busybox'],
      ['pull', 'localhost:1/x'],
      ['tag', 'busybox', 'x'],
      ['volume', 'create'],
      ['network', 'create', 'n'],
      ['system', 'prune', '-f'],
    ]) {
      await isRefused(socket, ...args);
    }
    assert.equal(await daemon.inspect('web', '{{.State.Status}}'), 'running');
    await socket.remove();
  });

  test('a CI job works in its project and does not leave it', {
    skip: program === undefined && 'no docker 28',
  }, async () => {
    const socket = await TestSocket.create(daemon, ...CI, '--mount-root', workspace);
    const context = join(workspace, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nCOPY file /file\nRUN cat /file > /copied\n');
    writeFileSync(join(context, 'file'), 'built\n');
    await succeeds(socket, 'build', '-t', 'ci-image', context);
    assert.equal(await succeeds(socket, 'run', '--rm', 'ci-image', 'cat', '/copied'), 'built');
    assert.equal(
      await succeeds(socket, 'run', '--rm', '-v', `${context}:/src:ro`, 'busybox', 'cat', '/src/file'),
      'built',
    );
    const id = await succeeds(
      socket,
      'run',
      '-d',
      '--name',
      'ci-service',
      '--stop-signal',
      'SIGKILL',
      '-p',
      '127.0.0.1::80',
      '-e',
      'A=b',
      '--memory',
      '64m',
      '--restart',
      'always',
      '--ulimit',
      'nofile=512',
      '-v',
      'ci-data:/data',
      'busybox',
      'sleep',
      '100000',
    );
    assert.equal(await daemon.inspect(id, '{{index .Config.Labels "project"}}'), 'ci');
    assert.equal(await succeeds(socket, 'ps', '-a', '--format', '{{.Names}}'), 'ci-service');
    assert.equal(await succeeds(socket, 'exec', 'ci-service', 'sh', '-c', 'echo $A'), 'b');
    await succeeds(socket, 'cp', join(context, 'file'), 'ci-service:/tmp/file');
    assert.equal(await succeeds(socket, 'exec', '-u', '1', 'ci-service', 'cat', '/tmp/file'), 'built');
    await succeeds(socket, 'update', '--memory', '96m', '--memory-swap', '-1', 'ci-service');
    assert.equal(
      await succeeds(
        socket,
        'run',
        '--rm',
        '--link',
        'ci-service:db',
        'busybox',
        'sh',
        '-c',
        'grep -c db /etc/hosts',
      ),
      '1',
    );
    for (const args of [
      ['run', '--privileged', 'busybox'],
      ['run', '-v', '/:/host', 'busybox'],
      ['run', '-v', '/var/run/docker.sock:/var/run/docker.sock', 'busybox'],
      ['run', '--net', 'host', 'busybox'],
      ['run', '--pid', 'host', 'busybox'],
      ['run', '--cap-add', 'SYS_ADMIN', 'busybox'],
      ['run', '--device', '/dev/null', 'busybox'],
      ['run', '--security-opt', 'seccomp=unconfined', 'busybox'],
      ['run', '--security-opt', 'systempaths=unconfined', 'busybox'],
      ['run', '-p', '80:80', 'busybox'],
      ['exec', '--privileged', 'ci-service', 'id'],
      ['build', '--network', 'host', context],
    ]) {
      await isRefused(socket, ...args);
    }
    for (const args of [
      ['stop', 'web'],
      ['exec', 'web', 'id'],
      ['run', '--volumes-from', 'web', 'busybox'],
      ['inspect', 'web'],
    ]) {
      const { code, stderr } = await docker(socket, ...args);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(stderr, /No such (container|object)/i, args.join(' '));
    }
    await succeeds(socket, 'rm', '-f', '-v', 'ci-service');
    await succeeds(socket, 'container', 'prune', '-f');
    await succeeds(socket, 'volume', 'prune', '-f', '-a');
    assert.equal(await succeeds(socket, 'volume', 'ls', '-q'), '');
    await daemon.ok('rmi', 'ci-image');
    await socket.remove();
  });

  test('Compose brings a project up and down', {
    skip: compose === undefined && 'no Compose is installed',
  }, async () => {
    const socket = await TestSocket.create(daemon, ...CI, '--mount-root', workspace);
    const folder = join(workspace, 'shop');
    mkdirSync(folder);
    writeFileSync(join(folder, 'compose.yaml'), PROJECT);
    const run = async (...args: string[]): Promise<string> => {
      const words = ['--progress', 'quiet', '--project-directory', folder, ...args];
      const env = { DOCKER_HOST: `unix://${socket.path}` };
      const { code, stdout, stderr } = await daemon.docker(compose ?? '', words, { env, timeoutMs: 60_000 });
      assert.equal(code, 0, `compose ${args.join(' ')}: ${stderr}${stdout}`);
      return stdout.trimEnd();
    };
    await run('up', '--detach');
    assert.equal((await run('ps', '-q')).split('\n').length, 2);
    assert.equal(
      await run('exec', '-T', 'one', 'sh', '-c', 'ping -c 1 -W 5 two > /dev/null && ls /here'),
      'made',
    );
    // A second time nothing is made anew.
    const before = await run('ps', '-q');
    await run('up', '--detach');
    assert.equal(await run('ps', '-q'), before);
    await run('down', '--volumes', '--timeout', '0');
    const { text } = await socket.expect(200, 'GET', '/networks');
    assert.ok(!text.includes('shop'), text);
    await socket.remove();
  });
});

const PROJECT = `
name: shop
services:
  one:
    image: busybox
    pull_policy: never
    command: sh -c 'touch /here/made && exec sleep 100000'
    stop_signal: SIGKILL
    volumes: ["./here:/here", "data:/data"]
    networks: [inner]
  two:
    image: busybox
    pull_policy: never
    command: sleep 100000
    stop_signal: SIGKILL
    networks: [inner]
networks:
  inner: {}
volumes:
  data: {}
`;
