/** Steps of a daemon with `--userns-remap`: the same layers and mounts as without, and no power over the host's files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { RunMount } from '../../../src/build/run/run-step.ts';
import type { SourceTree } from '../../../src/build/source/source-tree.ts';
import { RunHarness, sessionOf } from './run-harness.ts';

const FIRST = 700_000;
let harness: RunHarness;
before(async () => {
  // The sandbox's mount namespace is its own: the host's account files stay as they are.
  for (const name of ['upper', 'work']) mkdirSync(join('/run/etc', name), { recursive: true });
  const options = 'lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work';
  execFileSync('mount', ['-t', 'overlay', '-o', options, 'etc', '/etc']);
  for (const file of ['/etc/subuid', '/etc/subgid']) writeFileSync(file, `mydock:${FIRST}:65536\n`);
  harness = await RunHarness.start(['--userns-remap', 'default']);
});
after(async () => {
  await harness.close();
  execFileSync('umount', ['/etc']);
});

test('a layer has the IDs of the inside, and the next step, pending or stored, sees them', async () => {
  const first = await harness.run(
    'cat /proc/self/uid_map; mkdir /d; touch /d/root; touch /d/own; chown 33:34 /d/own',
  );
  const look = (below: Parameters<RunHarness['run']>[1]) =>
    harness.output('stat -c "%n %u:%g" /d /d/*', below);
  const expected = '/d 0:0\n/d/own 33:34\n/d/root 0:0\n';
  assert.equal(await look({ layers: [harness.base, first] }), expected);
  const layer = await first.committed;
  assert.ok(layer !== undefined);
  assert.equal(await look({ layers: [harness.base, layer.diffId] }), expected);
  assert.match((await harness.entries(layer)).join('\n'), /^d\/own 644 33:34/m);
  assert.equal((await harness.run('cat /etc/hosts > /dev/null')).empty, true);
});

test('mounts of all kinds are readable, and owned as they should be', async () => {
  const path = join(harness.folder, 'context');
  mkdirSync(join(path, 'd'), { recursive: true });
  for (const name of ['f', 'd/g', 'ignored']) writeFileSync(join(path, name), name);
  for (const name of ['', 'd', 'f', 'd/g', 'ignored']) chownSync(join(path, name), 4321, 4321);
  chmodSync(join(path, 'f'), 0o600);
  const plain = { path, title: 'build context', times: 'uniform', live: true } as const;
  const tree: SourceTree = { ...plain, release: () => Promise.resolve() };
  const ignore = { excludes: (name: string) => name === 'ignored', mayIncludeBelow: () => false };
  const owned = { mode: 0o750, uid: 1000, gid: 1000 };
  const mounts: RunMount[] = [
    { type: 'bind', target: '/a', tree, source: '', readOnly: true },
    { type: 'bind', target: '/b', tree: { ...tree, ignore }, source: '', readOnly: false },
    { type: 'cache', target: '/c', id: 'c', sharing: 'locked', source: '', readOnly: false, ...owned },
    { type: 'secret', target: '/s', id: 's', required: true, ...owned, mode: 0o400 },
    { type: 'tmpfs', target: '/t' },
  ];
  const script = `stat -c "%n %u:%g" /a /a/f /b /b/f /c /s /t; cat /a/f /b/d/g /s; echo; ls /b
    echo new > /b/f && cat /b/f; touch /c/made /t/made && stat -c %u /c/made; touch /a/x 2>&1`;
  const lines: string[] = [];
  const session = sessionOf({ secret: () => Promise.resolve(Buffer.from('word')) });
  await assert.rejects(
    harness.run(script, { mounts, build: { session }, output: (text) => lines.push(text) }),
  );
  assert.equal(
    lines.join(''),
    `/a 0:0\n/a/f 0:0\n/b 0:0\n/b/f 0:0\n/c 1000:1000\n/s 1000:1000\n/t 0:0\nfd/gword\nd\nf\nnew\n0\ntouch: /a/x: Read-only file system\n`,
  );
  assert.deepEqual(readdirSync(path).sort(), ['d', 'f', 'ignored']);
  assert.equal(statSync(join(path, 'f')).uid, 4321);
  const [name = ''] = readdirSync(join(harness.dataRoot, 'build/cache-mounts'));
  assert.equal(statSync(join(harness.dataRoot, 'build/cache-mounts', name, 'data/made')).uid, 0);
});

test('a step with all powers cannot be had there', async () => {
  const build = { entitlements: ['security.insecure', 'network.host'] };
  await assert.rejects(harness.run('true', { insecure: true, build }), { message: /user namespace/ });
  await assert.rejects(harness.run('true', { network: 'host', build }), { kind: 'InvalidParameter' });
});
