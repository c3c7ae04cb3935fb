/** `system check`: finds what is damaged or missing in the stores, and repairs it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithRegistry());
});
after(() => close());

/** The largest file below a folder of the data root whose name matches. */
function largest(folder: string, pattern: RegExp): string {
  const root = join(daemon.dataRoot, folder);
  const paths = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
  const [path] = paths.sort((a, b) => statSync(b).size - statSync(a).size);
  assert.ok(path !== undefined, `${pattern} below ${root}`);
  return path;
}

function flipByte(path: string): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from('X'), 0, 1, Math.floor(statSync(path).size / 2));
  closeSync(fd);
}

async function check(...flags: string[]): Promise<{ code: number | null; text: string }> {
  const { code, stdout, stderr } = await daemon.mydock(['system', 'check', ...flags]);
  assert.equal(stderr, '');
  return { code, text: stdout };
}

async function findsAndRepairs(problem: RegExp): Promise<void> {
  const found = await check();
  assert.match(found.text, problem);
  assert.equal(found.code, 1);
  const repaired = await check('--repair');
  assert.match(repaired.text, /repaired/);
  assert.equal(repaired.code, 0, repaired.text);
  const after = await check();
  assert.match(after.text, /no problems/);
  assert.equal(after.code, 0);
  assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'busybox', 'echo', 'works'), 'works');
}

test('all is well', async () => {
  const { code, text } = await check();
  assert.match(text, /^Checked 1 images, \d+ layers, \d+ blobs, 0 containers, 0 volumes: no problems\.\n$/);
  assert.equal(code, 0);
});

test('a layer whose bytes changed is made anew from its blob', async () => {
  flipByte(largest('layers/erofs', /^layer\.tar$/));
  assert.equal((await check('--quick')).code, 0);
  await findsAndRepairs(/layer sha256:\w{64}: its tar has the digest sha256:/);
});

test('a layer that is gone is made anew from its blob', async () => {
  const path = largest('layers/erofs', /^layer\.tar$/);
  rmSync(path);
  await findsAndRepairs(/layer sha256:\w{64}: /);
});

test('a damaged index is made anew', async () => {
  const path = largest('layers/erofs', /^layer\.erofs$/);
  truncateSync(path, 700);
  await findsAndRepairs(/layer sha256:\w{64}: /);
});

test('a damaged blob is removed, and the next pull brings it back', async () => {
  const path = largest('content/blobs', /./);
  flipByte(path);
  await findsAndRepairs(/blob sha256:\w{64}: its bytes have the digest sha256:/);
});

test('folders of containers and volumes', async () => {
  await daemon.ok('create', '--name', 'folderless', 'busybox', 'true');
  await daemon.ok('volume', 'create', 'hollow');
  rmSync(join(daemon.dataRoot, 'containers', await daemon.inspect('folderless', '{{.Id}}')), {
    recursive: true,
  });
  rmSync(join(daemon.dataRoot, 'volumes/hollow/_data'), { recursive: true });
  await findsAndRepairs(
    /container folderless \(\w+\): its folder .* is missing.*volume hollow: its folder .* is missing/s,
  );
  await daemon.ok('start', 'folderless');
  await daemon.ok('rm', '-f', 'folderless');
  await daemon.ok('volume', 'rm', 'hollow');
});

test('what is left of a removed container, as a file of it cannot be removed', async (context) => {
  const id = await daemon.ok('create', 'busybox', 'true');
  const name = 'immutable';
  const home = join(daemon.dataRoot, 'containers', id);
  const left = join(daemon.dataRoot, 'removed', id);
  writeFileSync(join(home, name), '');
  const held = spawnSync('chattr', ['+i', join(home, name)]).status === 0;
  try {
    await daemon.ok('rm', id);
    if (!held) return context.skip('no immutable files here');
    let found = await check('--quick');
    await eventually('the folder is told', async () => {
      found = await check('--quick');
      return found.code === 1;
    });
    assert.match(
      found.text,
      new RegExp(`folder ${left}: left by a removed container.*not permitted.*chattr`, 'is'),
    );
    const tried = await check('--quick', '--repair');
    assert.match(tried.text, /not repaired: .*the repair failed: .*not permitted/i);
    assert.equal(tried.code, 1);
  } finally {
    if (held) spawnSync('chattr', ['-i', join(left, name)]);
  }
  const repaired = await check('--quick', '--repair');
  assert.equal(repaired.code, 0, repaired.text);
  assert.equal(existsSync(left), false);
  assert.match((await check('--quick')).text, /no problems/);
});

test('what cannot be repaired is said, and the exit code tells', async () => {
  const path = largest('layers/erofs', /^layer\.tar$/);
  rmSync(path);
  const blobs = join(daemon.dataRoot, 'content/blobs/sha256');
  for (const name of readdirSync(blobs)) rmSync(join(blobs, name));
  const { code, text } = await check('--repair');
  assert.match(
    text,
    /layer sha256:\w{64}: [^\n]*\n {2}not repaired: [^\n]*its blob is not here: pull, load or build/,
  );
  assert.equal(code, 1);
});
