/**
 * Attacks over the API and on who looks at its answers: names that are paths, numbers without end, requests that are
 * two, secrets in logs, commands for terminals, and users of the host in the data root.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';
import { Victim } from './attack.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let victim: Victim;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox(['--log-level', 'debug']));
  victim = new Victim(daemon.folder);
});
after(async () => await close());

const PATHS = [
  '../x',
  '..',
  '.',
  '/',
  'a/../../x',
  '/etc/x',
  'x/y',
  'x\0y',
  'x\ny',
  '-x',
  '',
  ' x',
  'x%2f..',
  '..\\x',
];

test('names that are paths', async () => {
  const before = JSON.stringify([readdirSync('/'), readdirSync('/etc'), readdirSync(daemon.dataRoot)]);
  for (const name of PATHS) {
    if (name !== '') {
      const query = `?name=${encodeURIComponent(name)}`;
      const { status } = await daemon.api('POST', `/containers/create${query}`, { Image: 'busybox' });
      assert.equal(status, 400, `container ${JSON.stringify(name)}`);
      const volume = await daemon.api('POST', '/volumes/create', { Name: name });
      assert.equal(volume.status, 400, `volume ${JSON.stringify(name)}: ${volume.text}`);
      const Mounts = [{ Type: 'volume', Source: name, Target: '/x' }];
      const HostConfig = { Mounts };
      const mounted = await daemon.api('POST', '/containers/create', { Image: 'busybox', HostConfig });
      assert.equal(mounted.status, 400, `mount of ${JSON.stringify(name)}: ${mounted.text}`);
    }
    for (const kind of ['containers', 'volumes', 'images', 'networks', 'exec']) {
      for (const text of [
        encodeURIComponent(name),
        encodeURIComponent(`../../${name}`),
        '%2e%2e%2f%2e%2e%2fetc',
      ]) {
        const { status } = await daemon.api(
          'GET',
          `/${kind}/${text}${kind === 'networks' || kind === 'volumes' ? '' : '/json'}`,
        );
        const listed = name === '' || name === '.' || name === '..' || name === '/';
        assert.ok(
          status === 400 || status === 404 || status === 405 || (listed && [200, 301].includes(status)),
          `${kind} ${text}: ${status}`,
        );
      }
    }
    const removed = await daemon.api('DELETE', `/volumes/${encodeURIComponent(`../${name}`)}?force=1`);
    assert.notEqual(removed.status, 500, removed.text);
  }
  assert.equal(JSON.stringify([readdirSync('/'), readdirSync('/etc'), readdirSync(daemon.dataRoot)]), before);
  victim.untouched('names');
});

test('sets of processors and other numbers without end are refused at once', async () => {
  for (const CpusetCpus of [
    '0-2147483647',
    '0-99999999999999',
    '0-99999,'.repeat(50_000).concat('0'),
    '4294967295',
    '1-0',
    '-1',
  ]) {
    const started = await daemon.api('POST', '/containers/create', {
      Image: 'busybox',
      HostConfig: { CpusetCpus },
    });
    assert.equal(started.status, 400, `${CpusetCpus.slice(0, 30)}: ${started.text.slice(0, 300)}`);
  }
  assert.equal((await daemon.api('GET', '/_ping')).status, 200);
});

test('a scoped socket judges the body that is used', async () => {
  const socket = await TestSocket.create(daemon, '--allow', 'containers.*,images.list');
  const privileged = JSON.stringify({ Image: 'busybox', HostConfig: { Privileged: true } });
  const plain = JSON.stringify({ Image: 'busybox' });
  const head = (...headers: string[]): string =>
    [
      `POST /containers/create?name=smuggled HTTP/1.1`,
      'Host: x',
      'Content-Type: application/json',
      ...headers,
      '',
      '',
    ].join('\r\n');
  const length = (text: string): string => `Content-Length: ${text.length}`;
  const chunked = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
  const requests = [
    head('Content-Length: 0', 'Connection: close') + privileged,
    head('Connection: close') + privileged,
    head(length(privileged), 'Connection: close') + privileged,
    head('Transfer-Encoding: chunked', 'Connection: close') + chunked(privileged),
    head('Transfer-Encoding: chunked', length(plain), 'Connection: close') + chunked(privileged),
    head('Transfer-Encoding: identity', length(privileged), 'Connection: close') + privileged,
    head(length(plain), length(privileged), 'Connection: close') + privileged,
    head('Content-Length: 0') + head(length(privileged), 'Connection: close') + privileged,
  ];
  for (const [index, text] of requests.entries()) {
    const answer = await socket.raw(text);
    assert.doesNotMatch(answer, /HTTP\/1\.1 201/, `request ${index}: ${answer}`);
  }
  const doubled = [
    '{"Image":"busybox","HostConfig":{},"HostConfig":{"Privileged":true}}',
    '{"Image":"busybox","hostconfig":{"Privileged":true}}',
    '{"Image":"busybox","HostConfig":{"privileged":true}}',
    '{"Image":"busybox","__proto__":{"HostConfig":{"Privileged":true}}}',
    '{"Image":"busybox","HostConfig":{"__proto__":{"Privileged":true}}}',
    '{"Image":"busybox","HostConfig":{"Privileged":"true"}}',
    '{"Image":"busybox","HostConfig":{"Binds":["/:/host"]}}',
    '{"Image":"busybox","constructor":{"prototype":{"Privileged":true}}}',
  ];
  for (const body of doubled) {
    const { status, text } = await socket.api('POST', '/containers/create?name=smuggled', body, {
      'content-type': 'application/json',
    });
    if (status === 201)
      assert.equal(await daemon.inspect('smuggled', '{{.HostConfig.Privileged}}'), 'false', body);
    assert.ok([201, 400, 403].includes(status), `${body}: ${status} ${text}`);
    await daemon.mydock(['rm', '-f', 'smuggled']);
  }
  await socket.remove();
  assert.equal(await daemon.ok('ps', '-aq'), '');
});

test('passwords and tokens are not in the log, debugging included', async () => {
  const [password, token] = ['hunter2-password', 'hunter2-token'];
  const auth = Buffer.from(
    JSON.stringify({ username: 'u', password, serveraddress: '127.0.0.1:1' }),
  ).toString('base64');
  const config = Buffer.from(JSON.stringify({ '127.0.0.1:1': { username: 'u', password } })).toString(
    'base64',
  );
  await daemon.api('POST', '/auth', { username: 'u', password, serveraddress: '127.0.0.1:1' });
  await daemon.api('POST', '/auth', {
    username: 'u',
    password,
    serveraddress: `https://u:${password}@127.0.0.1:1/?t=${token}`,
  });
  for (const path of [
    `/images/create?fromImage=127.0.0.1:1/x&tag=y`,
    `/images/create?fromSrc=${encodeURIComponent(`http://u:${password}@127.0.0.1:1/x?t=${token}`)}`,
    `/build?buildargs=${encodeURIComponent(JSON.stringify({ TOKEN: token }))}`,
  ]) {
    const body = makeTar([{ path: 'Dockerfile', data: 'FROM 127.0.0.1:1/none\nARG TOKEN\n' }]);
    execFileSync(
      'curl',
      [
        ...['-s', '-m', '20', '--unix-socket', daemon.socket, '-X', 'POST', '--data-binary', '@-'],
        ...[
          '-H',
          `X-Registry-Auth: ${auth}`,
          '-H',
          `X-Registry-Config: ${config}`,
          '-o',
          '/dev/null',
          `http://x${path}`,
        ],
      ],
      { input: body },
    );
  }
  await daemon.ok('run', '--rm', '-e', `TOKEN=${token}`, '--network', 'none', 'busybox', 'true');
  const { log } = daemon;
  assert.match(log, /containers\.create/, 'something is logged');
  for (const secret of [password, token, auth, config, Buffer.from(`u:${password}`).toString('base64')]) {
    const at = log.indexOf(secret);
    assert.ok(at < 0, log.slice(Math.max(0, at - 300), at + 60));
  }
});

/** What templates say of a field or a method that is not there. */
const NO_FIELD = /map has no entry for key "(constructor|__proto__)"|error calling call: not supported/;

test('templates reach nothing but their fields', async () => {
  await daemon.ok('create', '--name', 'plain', 'busybox', 'true');
  for (const template of [
    '{{.constructor}}',
    '{{.__proto__}}',
    '{{.Config.constructor.constructor}}',
    '{{call .toString}}',
    '{{.Config.Labels.constructor}}',
  ]) {
    const { stdout, stderr } = await daemon.mydock(['inspect', '--format', template, 'plain']);
    // Not any failure will do: what was found and could not be called or printed would be one too.
    assert.ok(stdout.trim() === '<no value>' || NO_FIELD.test(stderr), `${template}: ${stdout}${stderr}`);
  }
  for (const tag of [
    '{{.constructor}}',
    '{{.__proto__}}',
    '{{.Config.Env}}',
    '{{call .x}}',
    '{{.ExtraAttributes nil}}/../../x',
  ]) {
    const { stdout, stderr } = await daemon.mydock([
      'run',
      '--rm',
      '--network',
      'none',
      '--log-opt',
      `tag=${tag}`,
      'busybox',
      'true',
    ]);
    assert.doesNotMatch(stdout + stderr, /function|native code|\[object/, tag);
  }
  await daemon.ok('rm', 'plain');
});

test('what strangers write is no command for a terminal', async () => {
  const evil = 'a\u001b[2Jb\u009b31mc\u0007d\ne\tf\rg';
  const since = String(Math.floor(Date.now() / 1000) - 1);
  const body = {
    Image: 'busybox',
    Cmd: ['sh', '-c', `: ${evil}; touch "/$(printf "x\\\\033[2Jy")"; sleep 1000; true`],
    Labels: { evil },
  };
  assert.equal((await daemon.api('POST', '/containers/create?name=evil', body)).status, 201);
  await daemon.ok('start', 'evil');
  await daemon.ok('commit', '-m', evil, '-a', evil, 'evil', 'evil');
  const shown = [
    await daemon.ok('ps', '-a', '--no-trunc'),
    await daemon.ok('ps', '-a', '--format', 'table {{.Names}}\t{{.Labels}}\t{{.Label "evil"}}\t{{.Command}}'),
    await daemon.ok('history', '--no-trunc', 'evil'),
    await daemon.ok('events', '--since', since, '--until', '0s'),
    await daemon.ok('diff', 'evil'),
    await daemon.ok('top', 'evil'),
    (await daemon.mydock(['run', `no${evil}`])).stderr,
    (await daemon.mydock(['inspect', `no${evil}`])).stderr,
  ];
  for (const text of shown)
    assert.doesNotMatch(text, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/, JSON.stringify(text));
  assert.equal((shown[1] ?? '').split('\n').length, 2, 'a label makes no row of its own');
  assert.equal(
    (shown[3] ?? '').split('\n').filter((line) => !/^\d{4}-/.test(line)).length,
    0,
    'nor an event',
  );
  await daemon.ok('rm', '-f', 'evil');
  await daemon.ok('rmi', 'evil');
});

test('users of the host reach no file of containers, images and volumes', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'suid',
    '--network',
    'none',
    '-v',
    'kept:/v',
    'busybox',
    'sh',
    '-c',
    'cp /bin/busybox /suid; chmod 4755 /suid; cp -p /suid /v/suid; chmod 777 / /v; sleep 1000',
  );
  await daemon.ok('exec', 'suid', 'sh', '-c', 'until [ -u /v/suid ]; do sleep 0.1; done');
  // The daemon's folders lie in one of the test's, which nobody can enter.
  const looks = [daemon.dataRoot, daemon.execRoot].map((root, index) => {
    const place = `/run/look-${index}`;
    mkdirSync(place, { mode: 0o755 });
    execFileSync('mount', ['--rbind', root, place]);
    return place;
  });
  try {
    const found = execFileSync('find', [...looks, '-name', 'suid', '-perm', '-4000'], { encoding: 'utf8' })
      .split('\n')
      .filter((path) => path !== '');
    assert.ok(found.length >= 2, 'root finds them');
    const nobody = { uid: 65534, gid: 65534, encoding: 'utf8' } as const;
    for (const path of found) assert.notEqual(spawnSync(path, ['true'], nobody).status, 0, path);
    const seen = spawnSync('find', [...looks, '-mindepth', '1'], nobody)
      .stdout.split('\n')
      .filter((path) => path !== '');
    for (const path of seen) {
      assert.ok(!existsSync(join(path, 'suid')), path);
    }
    for (const look of looks) {
      // The engine's ID, its process, its programs and the names of network namespaces are no secrets.
      for (const name of readdirSync(look).filter(
        (one) => !/^(id|netns)$|\.pid$|^mydock-(runtime|init)$/.test(one),
      )) {
        for (const verb of [
          ['ls', `${join(look, name)}/`],
          ['cat', join(look, name)],
        ] as const) {
          const result = spawnSync(verb[0], [verb[1]], nobody);
          assert.equal(result.stdout, '', `${verb.join(' ')} as nobody`);
        }
      }
    }
  } finally {
    for (const place of looks) execFileSync('umount', ['-l', '-R', place]);
    await daemon.ok('rm', '-f', 'suid');
  }
});
