/** Images made to break out of their layer: whatever is done with them, nothing outside the layer changes. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { type Gateway, startGateway } from '../../fixtures/gateway.ts';
import { makeImage, makeLayer } from '../../fixtures/image.ts';
import { makeTar, type TarEntry } from '../../fixtures/tar.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
let gateway: Gateway;
let victim = '';

// The driver of this machine, which indexes layers where it can, and the one that unpacks them.
for (const flags of [[], ['--storage-driver', 'overlay']]) {
  describe(flags.at(-1) ?? 'default', () => {
    before(async () => {
      gateway = await startGateway();
      daemon = await Daemon.start(flags);
      victim = join(daemon.folder, 'victim');
      mkdirSync(victim);
      writeFileSync(join(victim, 'precious'), 'untouched\n');
    });
    after(async () => {
      try {
        await daemon.close();
      } finally {
        await gateway.stop();
      }
    });
    hostileImages();
  });
}

/** The victim folder, the parents of every layer, and the files an escape would most like to have. */
function outsideState(): string {
  const shown = [victim, daemon.folder, '/', '/etc', '/tmp'].map((path) =>
    readdirSync(path).sort().join(' '),
  );
  const { mode, uid, mtimeMs } = lstatSync(join(victim, 'precious'));
  return JSON.stringify([
    shown.slice(0, 4),
    readFileSync(join(victim, 'precious'), 'utf8'),
    mode,
    uid,
    mtimeMs,
  ]);
}

let count = 0;
/** Pulls an image of these layers and runs it where the pull was not refused; the outside must not change. */
async function unharmed(...layers: readonly (readonly TarEntry[])[]): Promise<string> {
  count += 1;
  const tars = layers.map((entries) => makeLayer(makeTar(entries), 'gzip'));
  const reference = gateway.add(
    `hostile-${count}`,
    'latest',
    makeImage({ layers: [await busyboxLayer(), ...tars] }),
  );
  const before = outsideState();
  const pulled = await daemon.mydock(['pull', '-q', reference]);
  assert.equal(outsideState(), before, 'after the pull');
  if (pulled.code === 0) {
    const script =
      'cat /link; echo x > /escape/new; rm -rf /escape/*; echo y > /link; ls -la / > /dev/null; exit 0';
    const { stdout } = await daemon.mydock(['run', '--rm', reference, 'sh', '-c', script]);
    assert.doesNotMatch(stdout, /untouched/, "what the host's file holds is not shown");
    assert.equal(outsideState(), before, 'after a run');
  }
  assert.equal(existsSync('/escaped'), false);
  return pulled.code === 0 ? '' : pulled.stderr;
}

const up = '../'.repeat(12);

function hostileImages(): void {
  test('names with .. and absolute names', async () => {
    await unharmed([{ path: `${up}escaped`, data: 'x' }]);
    await unharmed([{ path: `${up}${victim.slice(1)}/escaped`, data: 'x' }]);
    await unharmed([{ path: `${up}${victim.slice(1)}/precious`, data: 'x' }]);
    await unharmed([{ path: `a/b/../../${up}escaped`, data: 'x' }]);
    await unharmed([{ path: '/escaped', data: 'x' }]);
    await unharmed([{ path: `${victim.slice(1)}/precious`, data: 'x' }]);
    await unharmed([{ path: '..', type: 'directory', mode: 0o000 }]);
    await unharmed([{ path: '.', type: 'directory', mode: 0o777, uid: 77 }]);
  });

  test('files through symlinks that lead out, in one layer and over two', async () => {
    const link: TarEntry = { path: 'escape', type: 'symlink', target: victim };
    const relativeLink: TarEntry = { path: 'escape', type: 'symlink', target: `${up}${victim.slice(1)}` };
    for (const first of [link, relativeLink]) {
      await unharmed([first, { path: 'escape/precious', data: 'overwritten' }]);
      await unharmed([first], [{ path: 'escape/precious', data: 'overwritten' }]);
      await unharmed([first, { path: 'escape/new/deep', data: 'x' }]);
      await unharmed([first], [{ path: 'escape/.wh.precious', data: '' }]);
      await unharmed([first], [{ path: 'escape/.wh..wh..opq', data: '' }]);
      await unharmed([first, { path: 'escape', type: 'directory', mode: 0o777, uid: 77 }]);
    }
  });

  test('hard links to what is outside', async () => {
    for (const target of [
      `${victim}/precious`,
      `${up}${victim.slice(1)}/precious`,
      `a/${up}${victim.slice(1)}/precious`,
    ]) {
      await unharmed([{ path: 'link', type: 'hardlink', target }]);
      await unharmed([
        { path: 'link', type: 'hardlink', target },
        { path: 'link', data: 'overwritten' },
      ]);
    }
    await unharmed([
      { path: 'escape', type: 'symlink', target: victim },
      { path: 'link', type: 'hardlink', target: 'escape/precious' },
      { path: 'link', data: 'overwritten' },
    ]);
  });

  test('a hard link to a symlink is one to the link itself', async () => {
    await unharmed([
      { path: 'outward', type: 'symlink', target: `${victim}/precious` },
      { path: 'link', type: 'hardlink', target: 'outward' },
    ]);
  });

  test('whiteouts with names that mean something else', async () => {
    for (const name of ['.wh...', '.wh..', '.wh.', `.wh.${up}`]) await unharmed([{ path: name, data: '' }]);
  });

  test('device nodes are there, and their use is up to the device rules', async () => {
    await unharmed([{ path: 'disk', type: 'block', mode: 0o666, device: [254, 0] }]);
  });

  test("names that are empty, endless, or no file's", async () => {
    await unharmed([{ path: '', data: 'x' }]);
    await unharmed([{ path: `${'d/'.repeat(3000)}x`, data: 'x' }]);
    await unharmed([{ path: 'n'.repeat(300), data: 'x' }]);
    await unharmed([{ path: 'link', type: 'symlink', target: 'x'.repeat(5000) }]);
  });

  test('an image whose WorkingDir and User point elsewhere', async () => {
    const layer = makeLayer(makeTar([{ path: 'cwd', type: 'symlink', target: '/proc/self/fd/7' }]), 'gzip');
    for (const WorkingDir of ['/proc/self/fd/7', '/cwd', '/proc/1/root/../..', '/dev/fd/3']) {
      const image = makeImage({
        layers: [await busyboxLayer(), layer],
        config: { Cmd: ['sh', '-c', 'cat ../../../../../../etc/hostname; ls -a .'], WorkingDir },
      });
      const reference = gateway.add(`workdir-${WorkingDir.replaceAll('/', '-').slice(1)}`, 'latest', image);
      const result = await daemon.mydock(['run', '--rm', reference]);
      assert.doesNotMatch(result.stdout, /victim|vmlinuz/, WorkingDir);
    }
  });
}
