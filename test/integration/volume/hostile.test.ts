/**
 * Images and volumes that try to have mounts made outside of their container: links out, links to nothing, loops, files
 * in the way, and names that another container exchanges while they are looked up.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
/** A folder of the host that must stay as it is. */
let victim = '';

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  victim = join(daemon.folder, 'victim');
  mkdirSync(victim);
  writeFileSync(join(victim, 'secret'), 'of the host');
  const links = [
    `ln -s ${victim} /out`,
    `ln -s ../../../../../../../..${victim} /climb`,
    'ln -s /nowhere/deep/inside /dangling',
    'ln -s ../../../../../../nowhere2 /dangling-up',
    'ln -s /loop2 /loop; ln -s /loop /loop2',
    'echo file > /file',
    `ln -s /proc/self/root${victim} /magic; ln -s /proc/1/root /magic2`,
    'ln -s /proc/self/fd /fds; ln -s /file /to-file',
  ];
  await daemon.ok('run', '--name', 'evil', 'busybox', 'sh', '-c', links.join('; '));
  await daemon.ok('commit', 'evil', 'evil');
  await daemon.ok('rm', 'evil');
});
after(async () => await close());

function victimIsUntouched(why: string): void {
  assert.deepEqual(readdirSync(victim), ['secret'], why);
  assert.equal(readFileSync(join(victim, 'secret'), 'utf8'), 'of the host', why);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  assert.ok(!mounts.some((target) => target.startsWith(victim) || target.startsWith('/nowhere')), why);
  assert.ok(!existsSync('/nowhere') && !existsSync('/nowhere2'), why);
}

test('links lead to places inside the container, which are made where they are missing', async () => {
  const cases: [target: string, inside: string][] = [
    ['/out', victim],
    ['/climb', victim],
    ['/out/below', `${victim}/below`],
    ['/climb/../below', '/below'],
    ['/dangling', '/nowhere/deep/inside'],
    ['/dangling/more', '/nowhere/deep/inside/more'],
    ['/dangling-up', '/nowhere2'],
    ['/../../../up', '/up'],
  ];
  for (const [target, inside] of cases) {
    for (const source of ['named', join(daemon.folder, 'bound')]) {
      const output = await daemon.ok(
        ...['run', '--rm', '-v', `${source}:${target}`, 'evil', 'sh', '-c'],
        `grep -c ' ${inside} ' /proc/self/mounts; stat -c %a:%u ${inside}`,
      );
      assert.equal(output.split('\n')[0], '1', `${source} on ${target} lies on ${inside}`);
      victimIsUntouched(`${source} on ${target}`);
    }
  }
});

test('places that are made belong to root and have mode 755', async () => {
  assert.equal(
    await daemon.ok(
      ...['run', '--rm', '--tmpfs', '/dangling/more', 'evil'],
      ...['stat', '-c', '%n %a %u:%g', '/nowhere', '/nowhere/deep', '/nowhere/deep/inside'],
    ),
    ['/nowhere', '/nowhere/deep', '/nowhere/deep/inside'].map((path) => `${path} 755 0:0`).join('\n'),
  );
});

test('a file is bound on a file that is made for it, and on one that a link names', async () => {
  const file = join(victim, 'secret');
  for (const [target, inside] of [
    ['/new/dir/file', '/new/dir/file'],
    ['/to-file', '/file'],
    ['/dangling', '/nowhere/deep/inside'],
  ]) {
    assert.equal(
      await daemon.ok('run', '--rm', '-v', `${file}:${target}:ro`, 'evil', 'cat', inside ?? ''),
      'of the host',
    );
    victimIsUntouched(`file on ${target}`);
  }
});

test('what cannot be mounted on is refused by name, and leaves nothing', async () => {
  const cases: [target: string, error: RegExp][] = [
    ['/loop', /Too many levels of symbolic links/i],
    ['/loop/below', /Too many levels of symbolic links/i],
    ['/file', /not a directory/i],
    ['/file/below', /not a directory/i],
    ['/magic/below', /(Too many levels|inside \/proc)/i],
    ['/magic2/etc', /(Too many levels|inside \/proc)/i],
    ['/fds/3', /inside \/proc|Too many levels/i],
    ['/proc/sys', /inside \/proc/],
  ];
  for (const [target, error] of cases) {
    const result = await daemon.mydock(['run', '--rm', '-v', `blocked:${target}`, 'evil', 'true']);
    assert.match(result.stderr, error, `${target}: ${result.code} ${result.stderr}`);
    assert.ok([125, 126, 127].includes(result.code ?? 0), `${target}: ${result.code}`);
    victimIsUntouched(target);
  }
  assert.equal(await daemon.ok('ps', '-aq'), '');
});

test('a target below another mount goes by the links that this mount holds', async () => {
  await daemon.ok('run', '--rm', '-v', 'trap:/t', 'busybox', 'ln', '-s', victim, '/t/link');
  const output = await daemon.ok(
    ...['run', '--rm', '-v', 'trap:/t', '-v', 'prey:/t/link/x', 'busybox'],
    ...['sh', '-c', `touch /t/link/x/y; ls ${victim}/x; grep -c ' ${victim}/x ' /proc/self/mounts`],
  );
  assert.equal(output, 'y\n1');
  victimIsUntouched('a link in a volume');
});

test('the parts of volumes and images stay inside them', async () => {
  await daemon.ok(
    ...['run', '--rm', '-v', 'parts:/p', 'busybox', 'sh', '-c'],
    `mkdir -p /p/a/b; echo inside > /p/a/b/f; ln -s ${victim} /p/out; ln -s a /p/in; ln -s ../../../../../.. /p/up; echo f > /p/file`,
  );
  const part = (subpath: string) => `type=volume,source=parts,target=/x,volume-subpath=${subpath}`;
  assert.equal(await daemon.ok('run', '--rm', '--mount', part('in/b'), 'busybox', 'cat', '/x/f'), 'inside');
  assert.equal(await daemon.ok('run', '--rm', '--mount', part('file'), 'busybox', 'cat', '/x'), 'f');
  for (const subpath of ['out', 'out/secret', 'none']) {
    await daemon.fails(
      125,
      new RegExp(`cannot access subpath "${subpath}" of volume parts`),
      ...['run', '--rm', '--mount', part(subpath), 'busybox'],
    );
  }
  for (const subpath of ['..', '../parts', 'a/../../x', '/etc']) {
    await daemon.fails(
      125,
      /subpath must be a relative path within the volume/,
      'run',
      '--rm',
      '--mount',
      part(subpath),
      'busybox',
    );
  }
  const up = await daemon.ok('run', '--rm', '--mount', part('up'), 'busybox', 'ls', '/x');
  assert.deepEqual(up.split('\n').sort(), ['a', 'file', 'in', 'out', 'up']);
  await daemon.fails(
    125,
    /cannot access subpath "out" of image evil/,
    ...['run', '--rm', '--mount', 'type=image,source=evil,target=/x,image-subpath=out', 'busybox'],
  );
  victimIsUntouched('parts');
});

/** Exchanges /v/a between a folder and a link out, as fast as a shell can. */
const EXCHANGER = `mkdir -p /v/dir; while :; do
  ln -sfn ../../../../../../../../..$1 /v/l; mkdir -p /v/a 2>/dev/null
  mv -T /v/a /v/spare 2>/dev/null; mv -T /v/l /v/a 2>/dev/null
  rm -rf /v/a /v/spare; mkdir /v/a
done`;

test('names that another container exchanges meanwhile lead nowhere else', async () => {
  await daemon.ok(
    ...['run', '-d', '--name', 'exchanger', '-v', 'raced:/v', 'busybox'],
    ...['sh', '-c', EXCHANGER.replace('$1', victim)],
  );
  try {
    for (let turn = 0; turn < 5; turn++) {
      const below = await daemon.mydock([
        ...['run', '--rm', '-v', 'raced:/v', '-v', 'prey:/v/a/b', 'busybox', 'sh', '-c'],
        'touch /v/a/b/touched 2>/dev/null; true',
      ]);
      assert.ok([0, 125, 126, 127].includes(below.code ?? -1), `${below.code}: ${below.stderr}`);
      const part = await daemon.mydock([
        ...['run', '--rm', '--mount', 'type=volume,source=raced,target=/x,volume-subpath=a'],
        ...['busybox', 'ls', '-A', '/x'],
      ]);
      assert.doesNotMatch(part.stdout, /secret/);
      victimIsUntouched(`turn ${turn}`);
    }
  } finally {
    await daemon.ok('rm', '-f', 'exchanger');
  }
});
