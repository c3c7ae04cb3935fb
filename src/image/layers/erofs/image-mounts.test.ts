/** One mount an image, shared, counted across restarts, made again where it has gone, and never left behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { addon } from '../../../native/addon.ts';
import { type DiffID, digestHex } from '../../digest.ts';
import { TAR_NAME } from '../layer-files.ts';
import { readMountTable } from '../mount-table.ts';
import { tarOf } from '../suite/fixture.ts';
import type { MountMethod } from './image-mount.ts';
import { probeErofs } from './probe.ts';
import { type ErofsOptions, ErofsSnapshotter } from './snapshotter.ts';

/** Longer than any test: nothing is unmounted for having lingered. */
const FOREVER_MS = 600_000;
const MNT_DETACH = 2;

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'mydock-mounts-')));
after(() => rmSync(scratch, { recursive: true }));

const probe = probeErofs(scratch);
const skip = 'refused' in probe ? probe.refused : false;

/** A store and a run folder, and the mounts below them. */
class Place {
  readonly root = mkdtempSync(join(scratch, 'place-'));
  readonly store = join(this.root, 'store');
  readonly run = join(this.root, 'run');
  readonly method: MountMethod;
  #targets = 0;

  constructor(method: MountMethod) {
    this.method = method;
  }

  open(options: Partial<ErofsOptions> = {}): ErofsSnapshotter {
    const all = { mountDirectory: this.run, method: this.method, lasting: false, lingerMs: FOREVER_MS };
    return new ErofsSnapshotter(this.store, { ...all, ...options });
  }

  target(): { target: string; upper: string; work: string } {
    const base = join(this.root, `target-${this.#targets++}`);
    const paths = { target: join(base, 'root'), upper: join(base, 'upper'), work: join(base, 'work') };
    for (const path of Object.values(paths)) mkdirSync(path, { recursive: true });
    return paths;
  }

  /** Mounted images. */
  images(): string[] {
    return readMountTable()
      .map(({ mountPoint }) => mountPoint)
      .filter((path) => path.startsWith(`${this.run}/`));
  }

  /** Everything mounted below the place. */
  mounts(): string[] {
    return readMountTable()
      .map(({ mountPoint }) => mountPoint)
      .filter((path) => path.startsWith(`${this.root}/`));
  }

  /** The files of the store that loop devices have. */
  loops(): string[] {
    return readdirSync('/sys/block')
      .filter((name) => name.startsWith('loop'))
      .flatMap((name) => {
        try {
          return [readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim()];
        } catch {
          // A device that has no file.
          return [];
        }
      })
      .filter((path) => path.startsWith(`${this.root}/`));
  }

  mergedImages(): string[] {
    return readdirSync(join(this.store, 'images'));
  }

  close(): void {
    for (const path of this.mounts().reverse()) addon().unmount(path, MNT_DETACH);
    rmSync(this.root, { recursive: true });
  }
}

async function addLayer(snapshotter: ErofsSnapshotter, name: string): Promise<DiffID> {
  const tar = tarOf({ name, type: 'file', content: name.repeat(1000) });
  const { diffId } = await snapshotter.addTar(
    (async function* () {
      yield tar;
    })(),
  );
  return diffId;
}

async function eventually(what: string, isTrue: () => boolean): Promise<void> {
  for (let i = 0; i < 3000 && !isTrue(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(isTrue(), what);
}

for (const method of ['file-backed', 'loop devices'] as const) {
  const refused = ((): string | false => {
    if (skip !== false) return skip;
    const found = probeErofs(scratch, [method]);
    return 'refused' in found ? found.refused : false;
  })();

  describe(`mounts of images, ${method}`, { skip: refused }, () => {
    let place: Place;
    let snapshotter: ErofsSnapshotter;
    let layers: DiffID[];

    before(async () => {
      place = new Place(method);
      snapshotter = place.open();
      layers = [await addLayer(snapshotter, 'base'), await addLayer(snapshotter, 'top')];
    });
    after(async () => {
      await snapshotter.close();
      assert.deepEqual(place.mounts(), []);
      await eventually('no loop device is left', () => place.loops().length === 0);
      place.close();
    });

    test('all who ask at the same time share one mount, which goes with the last of them', async () => {
      const brief = place.open({ lingerMs: 20 });
      const targets = Array.from({ length: 6 }, () => place.target());
      await Promise.all(targets.map((paths) => brief.mount({ layers, ...paths })));
      const readOnly = place.target().target;
      await brief.mount({ layers, target: readOnly });
      assert.equal(place.images().length, 1);
      for (const { target } of targets) {
        assert.equal(readFileSync(join(target, 'top'), 'utf8'), 'top'.repeat(1000));
        await brief.unmount(target);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(place.images().length, 1, 'the read-only one uses it still');
      assert.throws(() => writeFileSync(join(readOnly, 'x'), ''), { code: 'EROFS' });
      await brief.unmount(readOnly);
      await eventually('the image is unmounted', () => place.images().length === 0);
      await eventually('its mount point is gone', () => readdirSync(place.run).length === 0);
      await brief.close();
    });

    test('an image that is used again while it lingers is not mounted again', async () => {
      const [first, second] = [place.target(), place.target()];
      await snapshotter.mount({ layers, ...first });
      const [before_] = readMountTable().filter(({ mountPoint }) => mountPoint.startsWith(place.run));
      await snapshotter.unmount(first.target);
      await snapshotter.mount({ layers, ...second });
      const [after_] = readMountTable().filter(({ mountPoint }) => mountPoint.startsWith(place.run));
      assert.deepEqual(after_, before_);
      await snapshotter.unmount(second.target);
      assert.equal(place.images().length, 1);
    });

    test('what a killed daemon has mounted is counted by the next one', async () => {
      const [writable, readOnly] = [place.target(), place.target().target];
      const killed = place.open();
      await killed.mount({ layers, ...writable });
      await killed.mount({ layers, target: readOnly });
      await killed.mount({ layers: layers.slice(0, 1), target: place.target().target });
      addon().unmount(place.mounts().at(-1) ?? '', MNT_DETACH);
      assert.equal(place.images().length, 2);

      const next = place.open({ lingerMs: 20 });
      await next.sweep();
      await eventually('the image of nobody is unmounted', () => place.images().length === 1);
      await next.unmount(writable.target);
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(place.images().length, 1);
      await next.unmount(readOnly);
      await eventually('the other one as well', () => place.images().length === 0);
      await next.close();
      /* The first object thinks that its image is mounted. */
      const again = place.target();
      await snapshotter.mount({ layers, ...again });
      assert.deepEqual(readdirSync(again.target).sort(), ['base', 'top']);
      await snapshotter.unmount(again.target);
    });

    test('an image that others unmount is mounted again', async () => {
      const [first, second] = [place.target(), place.target()];
      await snapshotter.mount({ layers, ...first });
      for (const path of place.images()) addon().unmount(path, MNT_DETACH);
      await snapshotter.mount({ layers, ...second });
      for (const { target } of [first, second]) {
        assert.equal(readFileSync(join(target, 'base'), 'utf8').length, 4000);
        await snapshotter.unmount(target);
      }
    });

    test('a layer that is stored anew is what new root filesystems see, also while the old one is in use', async () => {
      const [old, fresh] = [place.target(), place.target()];
      const layer = await addLayer(snapshotter, 'mended');
      const stack = [...layers, layer];
      const tar = join(place.store, digestHex(layer), TAR_NAME);
      const at = readFileSync(tar).indexOf('mendedmended');
      const fd = openSync(tar, 'r+');
      writeSync(fd, 'M', at);
      closeSync(fd);
      await snapshotter.mount({ layers: stack, ...old });
      assert.match(readFileSync(join(old.target, 'mended'), 'latin1'), /^Mended/);
      await snapshotter.remove(layer);
      await addLayer(snapshotter, 'mended');
      await snapshotter.mount({ layers: stack, ...fresh });
      assert.match(readFileSync(join(fresh.target, 'mended'), 'latin1'), /^mended/);
      assert.deepEqual(readdirSync(old.target).sort(), ['base', 'mended', 'top']);
      await snapshotter.unmount(old.target);
      assert.match(readFileSync(join(fresh.target, 'mended'), 'latin1'), /^mended/);
      await snapshotter.unmount(fresh.target);
      await snapshotter.remove(layer);
    });

    test('a merged image that is broken is made again, also one that an earlier boot has left', async () => {
      const [key] = place.mergedImages();
      assert.ok(key !== undefined);
      const directory = join(place.store, 'images', key);
      const damages: (() => void)[] = [
        () => truncateSync(join(directory, 'image.erofs'), 2000),
        () => writeFileSync(join(directory, 'info.json'), '{'),
        () => writeFileSync(join(directory, 'image.erofs'), Buffer.alloc(8192, 1)),
        () => rmSync(directory, { recursive: true }),
        () => {
          const image = readFileSync(join(directory, 'image.erofs'));
          image.fill(0xff, image.length - 600);
          writeFileSync(join(directory, 'image.erofs'), image);
          const info = readFileSync(join(directory, 'info.json'), 'utf8');
          const old = info.replace(/"bootId":"[^"]*"/, '"bootId":"an earlier one"');
          writeFileSync(join(directory, 'info.json'), old);
        },
      ];
      for (const damage of damages) {
        damage();
        const next = place.open({ mountDirectory: join(place.root, 'other-run') });
        const paths = place.target();
        await next.mount({ layers, ...paths });
        assert.equal(readFileSync(join(paths.target, 'top'), 'utf8').length, 3000, damage.toString());
        await next.unmount(paths.target);
        await next.close();
      }
    });

    test('a mount that fails leaves nothing and says what the kernel says', async () => {
      const layer = await addLayer(snapshotter, 'lost');
      rmSync(join(place.store, digestHex(layer), 'layer.tar'));
      const before_ = [place.mounts(), place.loops()];
      await assert.rejects(
        snapshotter.mount({ layers: [layer], ...place.target() }),
        /cannot mount the image at .*layer\.tar is missing/,
      );
      assert.deepEqual([place.mounts(), place.loops()], before_);
      await snapshotter.remove(layer);
      await assert.rejects(snapshotter.mount({ layers: [layer], ...place.target() }), { kind: 'NotFound' });
    });

    test('a damaged index is found, and made anew from the tar; a damaged tar is told', async () => {
      const layer = await addLayer(snapshotter, 'damaged');
      const path = (name: string): string => join(place.store, digestHex(layer), name);
      const paths = place.target();
      await snapshotter.mount({ layers: [layer], ...paths });
      await snapshotter.unmount(paths.target);
      await snapshotter.check(layer);
      const index = readFileSync(path('layer.erofs'));
      index[index.length - 100] = (index[index.length - 100] ?? 0) ^ 1;
      writeFileSync(path('layer.erofs'), index);
      await assert.rejects(snapshotter.check(layer), {
        kind: 'Internal',
        message: /the index of layer sha256:.* is damaged/,
      });
      assert.equal(await snapshotter.restore(layer), true);
      await snapshotter.check(layer);
      await snapshotter.mount({ layers: [layer], ...paths });
      assert.equal(readFileSync(join(paths.target, 'damaged'), 'utf8').length, 7000);
      await snapshotter.unmount(paths.target);

      const tar = readFileSync(path('layer.tar'));
      writeFileSync(path('layer.tar'), tar.fill(0x41, 600, 700));
      await assert.rejects(snapshotter.restore(layer), {
        kind: 'Internal',
        message: /the tar of layer .* is damaged/,
      });
      assert.ok(snapshotter.layer(layer) !== undefined);
      truncateSync(path('layer.tar'), 512);
      await assert.rejects(snapshotter.check(layer), /layer\.tar is cut off at 512 bytes/);
      rmSync(path('layer.tar'));
      await assert.rejects(snapshotter.check(layer), /layer\.tar is missing/);
      assert.equal(await snapshotter.restore(layer), false);
      await snapshotter.remove(layer);
    });

    test('removing a layer unmounts and drops its images at once', async () => {
      const layer = await addLayer(snapshotter, 'short-lived');
      const { target, ...paths } = place.target();
      const count = place.mergedImages().length;
      await snapshotter.mount({ layers: [...layers, layer], target, ...paths });
      await snapshotter.unmount(target);
      const mounted = place.images().length;
      await snapshotter.remove(layer);
      assert.equal(place.images().length, mounted - 1);
      assert.equal(place.mergedImages().length, count);
      assert.deepEqual(snapshotter.layers().sort(), [...layers].sort());
    });

    test('after a reboot: nothing is mounted, and the folder is gone', async () => {
      const run = join(place.root, 'run-of-an-earlier-boot');
      const first = place.open({ mountDirectory: run });
      await first.mount({ layers, ...place.target() });
      for (const path of place.mounts().reverse()) addon().unmount(path, MNT_DETACH);
      rmSync(run, { recursive: true });
      const next = place.open({ mountDirectory: run });
      await next.sweep();
      const paths = place.target();
      await next.mount({ layers, ...paths });
      assert.deepEqual(readdirSync(paths.target).sort(), ['base', 'top']);
      await next.unmount(paths.target);
      await next.close();
    });

    test('merged images that nobody uses are bounded, the latest used stay', async () => {
      const bounded = place.open({
        mountDirectory: join(place.root, 'bounded-run'),
        unusedImages: { count: 2, bytes: 2 ** 20 },
      });
      const more = await Promise.all(['1', '2', '3'].map((name) => addLayer(bounded, name)));
      for (const layer of more) await bounded.prepare([layer]);
      await bounded.prepare(layers);
      assert.ok(place.mergedImages().length <= 3, `${place.mergedImages()}`);
      const paths = place.target();
      await bounded.mount({ layers, ...paths });
      assert.equal(readdirSync(paths.target).length, 2);
      await bounded.unmount(paths.target);
      for (const layer of more) await bounded.remove(layer);
      await bounded.close();
    });
  });
}

test('SIGKILL in the middle of mounting leaves no loop device', { skip: skip }, async () => {
  const place = new Place('loop devices');
  try {
    const file = join(place.root, 'file');
    writeFileSync(file, Buffer.alloc(4096));
    const module = join(import.meta.dirname, '../../../native/addon.ts');
    const script = `
      const { addon } = await import(${JSON.stringify(module)});
      addon().loopAttach(${JSON.stringify(file)}, false);
      process.stdout.write('attached');
      setTimeout(() => {}, 20000);`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    assert.deepEqual(place.loops(), [file]);
    child.kill('SIGKILL');
    await eventually('the loop device has cleared itself', () => place.loops().length === 0);
  } finally {
    place.close();
  }
});
