/**
 * Attacks by those who write a Dockerfile, a build context or a base image: files of the host that are to end up in the
 * image, or to be changed by the build; what makes the daemon wait or compute for ever; what poisons the cache.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import type { Gateway } from '../../fixtures/gateway.ts';
import { makeImage, makeLayer } from '../../fixtures/image.ts';
import { makeTar, type TarEntry } from '../../fixtures/tar.ts';
import type { Daemon } from '../harness.ts';
import { SECRET, sendBytes, type Victim } from './attack.ts';
import { AttackedDaemon } from './attacked-daemon.ts';

let daemon: Daemon;
let gateway: Gateway;
let victim: Victim;

let attacked: AttackedDaemon;

before(async () => {
  attacked = await AttackedDaemon.start();
  ({ daemon, gateway, victim } = attacked);
});
after(async () => await attacked.close());

interface Built {
  status: number;
  /** All that the build said, its error too. */
  text: string;
}

/** A build that must end, with the daemon answering and the victim as it was. */
async function build(entries: readonly TarEntry[], query = ''): Promise<Built> {
  const path = `/build?t=built&nocache=1${query}`;
  const { status, text } = await sendBytes(daemon, 'POST', path, makeTar(entries));
  assert.equal((await daemon.api('GET', '/_ping')).status, 200);
  assert.ok(!text.includes(SECRET), text);
  victim.untouched(text);
  return { status, text };
}

const dockerfile = (...lines: string[]): TarEntry => ({ path: 'Dockerfile', data: `${lines.join('\n')}\n` });
const shows = async (...command: string[]): Promise<string> =>
  await daemon.ok('run', '--rm', '--network', 'none', 'built', ...command);

/** The null device's neighbour that never ends. */
const ENDLESS = { type: 'char', device: [1, 5], mode: 0o666 } as const;

test('a Dockerfile that is a link out, a FIFO, an endless device', async () => {
  const kinds: TarEntry[] = [
    { path: 'Dockerfile', type: 'symlink', target: join(victim.path, 'secret') },
    { path: 'Dockerfile', type: 'symlink', target: `${'../'.repeat(20)}${victim.path}/secret` },
    { path: 'Dockerfile', type: 'symlink', target: '/proc/self/root/etc/passwd' },
    { path: 'Dockerfile', type: 'fifo' },
    { path: 'Dockerfile', ...ENDLESS },
  ];
  for (const kind of kinds) {
    const { status, text } = await build([kind]);
    assert.equal(status, 400, text);
    assert.match(text, /Dockerfile/);
  }
  for (const ignore of [
    { type: 'fifo' } as const,
    ENDLESS,
    { type: 'symlink', target: '/dev/zero' } as const,
  ]) {
    const { text } = await build([
      { path: '.dockerignore', ...ignore },
      dockerfile('FROM busybox', 'LABEL a=b'),
    ]);
    assert.match(text, /Successfully built/);
  }
});

test('COPY and ADD of links to the host', async () => {
  const links: TarEntry[] = [
    { path: 'file', type: 'symlink', target: join(victim.path, 'secret') },
    { path: 'climb', type: 'symlink', target: `${'../'.repeat(20)}${victim.path.slice(1)}/secret` },
    { path: 'folder', type: 'symlink', target: victim.path },
    { path: 'magic', type: 'symlink', target: `/proc/self/root${victim.path}/secret` },
  ];
  for (const line of [
    'COPY file /x',
    'COPY climb /x',
    'COPY magic /x',
    'COPY folder/ /x/',
    'COPY folder/secret /x',
    'ADD file /x',
    'ADD folder /x',
  ]) {
    const { text } = await build([...links, dockerfile('FROM busybox', line)]);
    assert.doesNotMatch(text, /Successfully/, line);
  }
  // A pattern that matches nothing takes nothing.
  const pattern = await build([...links, dockerfile('FROM busybox', 'COPY folder/s* /x')]);
  assert.match(pattern.text, /Successfully built/);
  assert.doesNotMatch(await shows('ls', '/'), /^x$/m);
  await attacked.image('linked', links);
  for (const line of ['COPY --from=linked /file /x', 'COPY --from=linked /folder/secret /x']) {
    const { text } = await build([dockerfile('FROM busybox', line)]);
    assert.doesNotMatch(text, /Successfully/, line);
  }
});

test('ADD and COPY of what is no file: nothing is opened, nothing waits', async () => {
  const { text } = await build([
    { path: 'fifo', type: 'fifo' },
    { path: 'endless', ...ENDLESS },
    { path: 'folder', type: 'directory' },
    { path: 'folder/fifo', type: 'fifo' },
    dockerfile(
      'FROM busybox',
      'ADD fifo /added',
      'ADD endless /endless',
      'COPY fifo /copied',
      'ADD folder /f/',
    ),
  ]);
  assert.match(text, /Successfully built/);
  assert.equal(
    await shows('stat', '-c', '%F', '/added', '/copied', '/f/fifo', '/endless'),
    'fifo\nfifo\nfifo\ncharacter special file',
  );
});

test('links of the base image: COPY, ADD of an archive, WORKDIR and VOLUME lead to places inside', async () => {
  await attacked.image('trapped', [
    { path: 'out', type: 'symlink', target: victim.path },
    { path: 'climb', type: 'symlink', target: `${'../'.repeat(20)}${victim.path.slice(1)}` },
    { path: `${victim.path.slice(1)}/below/`, type: 'directory' },
    { path: 'into', type: 'directory' },
    { path: 'into/l', type: 'symlink', target: victim.path },
  ]);
  const archive = makeTar([
    { path: 'l/secret', data: 'overwritten' },
    { path: 'l/new', data: 'x' },
  ]);
  const outside = makeTar([
    { path: `${'../'.repeat(20)}${victim.path.slice(1)}/secret`, data: 'overwritten' },
  ]);
  const hard = makeTar([
    { path: 'h', type: 'hardlink', target: `${'../'.repeat(20)}${victim.path.slice(1)}/secret` },
    { path: 'h', data: 'overwritten' },
  ]);
  const { text } = await build([
    { path: 'f', data: 'copied' },
    dockerfile(
      'FROM trapped',
      'COPY f /out/secret',
      'COPY f /climb/below/',
      'COPY --chown=7:7 --chmod=777 f /out/',
      'WORKDIR /out/below/made',
      'WORKDIR ../../made',
      'COPY f rel/',
      `VOLUME /out/volume`,
    ),
  ]);
  assert.match(text, /Successfully built/);
  assert.equal(
    await shows('cat', `${victim.path}/secret`, '/out/below/f', `${victim.path}/made/rel/f`),
    'copiedcopiedcopied',
  );
  for (const data of [archive, outside, hard]) {
    await build([{ path: 'a.tar', data }, dockerfile('FROM trapped', 'ADD a.tar /into/')]);
  }
  victim.untouched('after all');
});

test('account files of an image that are links, FIFOs and devices', async () => {
  const files: [name: string, entry: Omit<TarEntry, 'path'>][] = [
    ['fifo', { type: 'fifo' }],
    ['endless', ENDLESS],
    ['link', { type: 'symlink', target: '/dev/zero' }],
    ['host', { type: 'symlink', target: '../../../../../../../../../../etc/passwd' }],
  ];
  for (const [name, entry] of files) {
    await attacked.image(`accounts-${name}`, [{ path: 'etc/passwd', ...entry }]);
    const { text } = await build([
      { path: 'f', data: '' },
      dockerfile(`FROM accounts-${name}`, 'COPY --chown=daemon f /f'),
    ]);
    assert.match(text, /unable to find user daemon|not a regular file|too many/i, `${name}: ${text}`);
    const run = await daemon.mydock([
      'run',
      '--rm',
      '--network',
      'none',
      '-u',
      'daemon',
      `accounts-${name}`,
      'id',
    ]);
    // A device or a FIFO is refused for what it is, and not read as an empty file.
    const refusal =
      entry.type === 'symlink' ? /unable to find user daemon|Too many levels/ : /not a regular file/;
    assert.match(run.stderr, refusal, name);
  }
});

test('a step that exchanges the folder of a mount point', async () => {
  // What the runtime had to make to mount on is taken away after the step, by its path: /etc/hosts and others.
  const { text } = await build([
    dockerfile(
      'FROM scratch',
      'COPY --from=busybox /bin /bin',
      `RUN ["/bin/busybox", "sh", "-c", "mv /etc /moved && ln -s ${victim.path} /etc && echo exchanged"]`,
    ),
  ]);
  assert.match(text, /exchanged\\n.*Successfully built/s);
});

test('patterns that take a backtracking matcher years', async () => {
  const stars = `${'*a'.repeat(14)}*b`;
  const long = 'a'.repeat(120);
  const { text } = await build(
    [
      { path: '.dockerignore', data: `${stars}\n**/${'a**'.repeat(14)}b\n` },
      { path: long, data: 'FROM busybox\nLABEL a=b\n' },
    ],
    `&dockerfile=${long}`,
  );
  assert.match(text, /Successfully built/);
  const copied = await build([{ path: long, data: '' }, dockerfile('FROM busybox', `COPY ${stars} /x/`)]);
  assert.match(copied.text, /Successfully built/);
  assert.doesNotMatch(await shows('ls', '/'), /^x$/m);
  for (const expression of [`\${X##${stars}}`, `\${X%%${stars}}`, `\${X//${stars}/y}`]) {
    const { text: expanded } = await build([
      dockerfile('FROM busybox', `ARG X=${long}`, `LABEL a=${expression}`),
    ]);
    assert.match(expanded, /Successfully built/, expression);
  }
  await daemon.fails(
    125,
    /./,
    'run',
    '--rm',
    '--network',
    'none',
    '--security-opt',
    `unmask=/${stars}`,
    'none',
    'true',
  );
});

test('an image that claims to be a step of somebody’s build is not taken for it', async () => {
  const step = async (command: string): Promise<string> => {
    const context = makeTar([dockerfile('FROM busybox', `RUN ${command}`)]);
    const from = encodeURIComponent(JSON.stringify(['poison']));
    const path = `/build?t=built&networkmode=none&cachefrom=${from}`;
    return (await sendBytes(daemon, 'POST', path, context)).text;
  };
  assert.match(await step(': honest'), /Successfully built/);
  const history = (await daemon.ok('history', '--no-trunc', '--format', '{{.CreatedBy}}', 'built')).split(
    '\n',
  );
  assert.match(history[0] ?? '', /: honest/);
  const created_by = (history[0] ?? '').replace('honest', 'claimed');
  const parent = await daemon.inspect('busybox', '{{.Id}}');
  const evil = makeLayer(makeTar([{ path: 'evil', data: '' }]), 'gzip');
  // All by which a builder might tell: the layers of the base below its own, the base as its parent, the step's text.
  const image = makeImage({
    layers: [await busyboxLayer(), makeLayer(makeTar([]), 'gzip'), evil],
    fields: {
      parent,
      container_config: { Cmd: ['/bin/sh', '-c', ': claimed'], Image: parent },
      history: [{ created_by: 'layer 0' }, { created_by: 'layer 1' }, { created_by }],
    },
  });
  const reference = gateway.add('poison', 'latest', image);
  await daemon.ok('pull', '-q', reference);
  await daemon.ok('tag', reference, 'poison');
  const text = await step(': claimed');
  assert.match(text, /Successfully built/);
  assert.doesNotMatch(text, /Using cache/);
  assert.doesNotMatch(await shows('ls', '/'), /evil/);
  assert.match(await step(': claimed'), /Using cache/, 'its own step is');
});
