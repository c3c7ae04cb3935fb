/** The daemon's own socket (rights, stale files, links, the audit log), and scoped sockets made, kept and removed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { apiRequest } from '../api-request.ts';
import { daemonCommand, TESTING_DOCKER } from '../engine.ts';
import { Daemon } from '../harness.ts';
import { socketFolder, TestSocket } from '../scoped-socket.ts';

interface AuditLine {
  msg: string;
  operation?: string;
  socket?: string;
  path?: string;
  uid?: number;
  pid?: number;
  program?: string;
}

function auditOf(daemon: Daemon): AuditLine[] {
  return daemon.log
    .split('\n')
    .filter((line) => line.includes('"msg":"audit'))
    .map((line) => JSON.parse(line) as AuditLine);
}

describe('sockets', { skip: TESTING_DOCKER && 'about mydockd' }, () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await Daemon.start();
  });
  after(async () => {
    await daemon.close();
    rmSync(socketFolder(), { recursive: true, force: true });
  });

  /** Runs a second daemon that must not come up; returns what it said. */
  const failsToStart = (...args: string[]): string => {
    const folder = join(daemon.folder, 'other');
    const place = { dataRoot: folder, execRoot: '/run/mydock-other', socket: '/run/mydock-other.sock' };
    const [file = '', ...common] = daemonCommand(place, args);
    const { status, stderr } = spawnSync(file, common, { encoding: 'utf8', timeout: 60_000 });
    assert.equal(status, 1, stderr);
    assert.ok(!existsSync('/run/mydock-other.sock'));
    return stderr;
  };

  test('root and the group alone may use the socket', () => {
    const { mode, uid, gid } = statSync(daemon.socket);
    assert.deepEqual([mode & 0o7777, uid, gid], [0o660, 0, 0]);
    const asNobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, '-e'];
    const program = `require('net').connect(${JSON.stringify(daemon.socket)}).on('error',e=>{console.log(e.code);process.exit(3)})`;
    const { stdout } = spawnSync('setpriv', [...asNobody, program], { encoding: 'utf8', timeout: 30_000 });
    assert.equal(stdout.trim(), 'EACCES');
  });

  test('changes are told with who made them, reads are not', async () => {
    await daemon.ok('volume', 'create', 'told');
    await daemon.ok('volume', 'ls');
    await daemon.ok('volume', 'rm', 'told');
    const lines = auditOf(daemon).filter(({ path }) => path?.startsWith('/volumes') === true);
    assert.deepEqual(
      lines.map(({ operation, path, uid }) => [operation, path, uid]),
      [
        ['volumes.create', '/volumes/create', 0],
        ['volumes.remove', '/volumes/told', 0],
      ],
    );
    assert.ok(lines.every(({ pid, program }) => Number(pid) > 0 && program !== undefined && program !== ''));
  });

  test('a group that was asked for must exist', () => {
    assert.match(failsToStart('--group', 'no-such-group'), /group \\"no-such-group\\" does not exist/);
  });

  test('what is no stale socket is not replaced', () => {
    const folder = socketFolder();
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'mine', { mode: 0o600 });
    const link = join(folder, 'link.sock');
    symlinkSync(victim, link);
    assert.match(failsToStart('--host', `unix://${victim}`), /exists and is not a socket/);
    assert.match(failsToStart('--host', `unix://${link}`), /exists and is a symbolic link/);
    assert.match(failsToStart('--host', `unix://${daemon.socket}`), /another process listens there/);
    assert.equal(lstatSync(victim).mode & 0o777, 0o600);
    rmSync(link);
    rmSync(victim);
  });

  test('a killed daemon leaves a stale socket, which the next one replaces', async () => {
    await daemon.stop('SIGKILL');
    assert.ok(lstatSync(daemon.socket).isSocket());
    await daemon.launch();
  });

  test('scoped sockets are made, listed, served again after a crash, and removed', async () => {
    const socket = await TestSocket.create(
      daemon,
      '--read-only',
      '--label',
      'project=x',
      '--mode',
      '0600',
      '--uid',
      '12',
      '--group',
      '34',
      '--name',
      'kept',
    );
    const { mode, uid, gid } = statSync(socket.path);
    assert.deepEqual([mode & 0o7777, uid, gid], [0o600, 12, 34]);
    await socket.expect(200, 'GET', '/_ping');
    assert.match(await daemon.ok('socket', 'ls'), /kept +\/run\/.* +read-only +project=x +served/);
    await daemon.stop('SIGKILL');
    await daemon.launch();
    await socket.expect(200, 'GET', '/containers/json');
    await socket.expect(403, 'POST', '/volumes/create', {});
    assert.equal(statSync(socket.path).uid, 12);
    const [shown] = JSON.parse(await daemon.ok('socket', 'inspect', 'kept')) as {
      Operations: string[];
      Mode: string;
    }[];
    assert.ok(
      shown?.Operations.includes('containers.list') && !shown.Operations.includes('containers.create'),
    );
    await daemon.fails(
      1,
      /a socket with the name "kept" already exists/,
      'socket',
      'create',
      '--name',
      'kept',
      '--read-only',
      `${socketFolder()}/other.sock`,
    );
    await daemon.fails(
      1,
      /is already the path of socket "kept"/,
      'socket',
      'create',
      '--name',
      'other',
      '--read-only',
      socket.path,
    );
    await socket.remove();
    assert.ok(!existsSync(socket.path));
    await assert.rejects(apiRequest(socket.path, 'GET', '/_ping'));
    assert.equal(await daemon.ok('socket', 'ls', '-q'), '');
    await daemon.fails(1, /No such socket: kept/, 'socket', 'rm', 'kept');
  });

  test('an orderly end removes the files of scoped sockets, the next start makes them again', async () => {
    const socket = await TestSocket.create(daemon, '--allow', 'ping');
    await daemon.stop();
    assert.ok(!existsSync(socket.path));
    await daemon.launch();
    await socket.expect(200, 'GET', '/_ping');
    await socket.remove();
  });

  test('a socket whose place is no longer safe is not served, and says why', async () => {
    const folder = join(socketFolder(), 'place');
    mkdirSync(folder, { mode: 0o755 });
    await daemon.ok('socket', 'create', '--name', 'unsafe', '--read-only', join(folder, 'a.sock'));
    await daemon.stop();
    chmodSync(folder, 0o777);
    await daemon.launch();
    assert.ok(!existsSync(join(folder, 'a.sock')));
    assert.match(await daemon.ok('socket', 'ls'), /unsafe.*not served: .*others than root can write/);
    await daemon.ok('socket', 'rm', 'unsafe');
  });

  test('requests that cannot be what was meant are refused', async () => {
    const folder = socketFolder();
    const open = join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const wrong: [RegExp, ...string[]][] = [
      [/others than root can write to .*open/, '--read-only', join(open, 'x.sock')],
      [/others than root can write to \/tmp/, '--read-only', '/tmp/x.sock'],
      [/its folder cannot be found/, '--read-only', join(folder, 'missing/x.sock')],
      [/longer than 107 bytes/, '--read-only', join(folder, `${'x'.repeat(107)}.sock`)],
      [/would allow nothing/, join(folder, 'x.sock')],
      [/invalid operation "containers.fly"/, '--allow', 'containers.fly', join(folder, 'x.sock')],
      [/invalid operation "sockets.create"/, '--allow', 'sockets.create', join(folder, 'x.sock')],
      [/invalid label "name=x"/, '--read-only', '--label', 'name=x', join(folder, 'x.sock')],
      [/invalid mode "0777"/, '--read-only', '--mode', '0777', join(folder, 'x.sock')],
      [/group "nobodies" does not exist/, '--read-only', '--group', 'nobodies', join(folder, 'x.sock')],
      [/invalid mount root "\/": /, '--read-only', '--mount-root', '/', join(folder, 'x.sock')],
      [/invalid mount root "\/etc": /, '--read-only', '--mount-root', '/etc', join(folder, 'x.sock')],
      [/invalid mount root "\/var": /, '--read-only', '--mount-root', '/var', join(folder, 'x.sock')],
      [
        /invalid mount root .*lies in it/,
        '--read-only',
        '--mount-root',
        daemon.folder,
        join(folder, 'x.sock'),
      ],
      [
        /invalid mount root .*it lies in/,
        '--read-only',
        '--mount-root',
        join(daemon.dataRoot, 'volumes'),
        join(folder, 'x.sock'),
      ],
      [/there is no such folder/, '--read-only', '--mount-root', '/srv/missing', join(folder, 'x.sock')],
    ];
    for (const [message, ...args] of wrong) await daemon.fails(1, message, 'socket', 'create', ...args);
    const misspelt = await daemon.api('POST', '/sockets/create', {
      Path: join(folder, 'x.sock'),
      ReadOnly: true,
      label: ['a=b'],
    });
    assert.equal(misspelt.status, 400);
    assert.match(misspelt.text, /unknown field \\"label\\" of a socket/);
    assert.equal(await daemon.ok('socket', 'ls', '-q'), '');
  });

  test('what an administrator should know is said', async () => {
    const root = mkdtempSync('/srv/sockets-');
    const path = `${socketFolder()}/warned.sock`;
    const allow = ['--allow', 'containers.create,containers.exec,images.tag'];
    const create = async (): Promise<string> =>
      (await daemon.mydock(['socket', 'create', ...allow, '--mount-root', root, '--mode', '0666', path]))
        .stderr;
    const said = await create();
    assert.match(said, /WARNING: every user of this host may use the socket \(mode 0666\)/);
    assert.match(said, /WARNING: without --label, containers\.exec apply to all containers/);
    assert.match(said, /WARNING: without --image, images\.tag reach every image/);
    assert.match(said, /WARNING: \/srv\/sockets-\w+ is not mounted with nosuid and nodev/);
    await daemon.ok('socket', 'rm', 'warned');
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'nosuid,nodev', 'tmpfs', root]);
    assert.doesNotMatch(await create(), /nosuid/);
    await daemon.ok('socket', 'rm', 'warned');
    spawnSync('umount', [root]);
    rmSync(root, { recursive: true });
  });

  test('sockets can only be handed out over the daemon’s own', async () => {
    const socket = await TestSocket.create(
      daemon,
      '--read-only',
      '--allow',
      'containers.*,images.*,networks.*,volumes.*',
    );
    for (const [method, path] of [
      ['GET', '/sockets'],
      ['POST', '/sockets/create'],
      ['DELETE', `/sockets/${encodeURIComponent(socket.path)}`],
      ['POST', '/system/check'],
    ] as const) {
      const body = method === 'POST' ? {} : undefined;
      assert.equal((await socket.api(method, path, body)).status, 403, `${method} ${path}`);
    }
    await socket.remove();
  });
});
