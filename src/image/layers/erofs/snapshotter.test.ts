/** The EROFS driver passes the shared suite, mounting from files and from loop devices. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { digestHex } from '../../digest.ts';
import { INDEX_NAME, layerDevices } from '../layer-files.ts';
import { snapshotterSuite } from '../snapshotter-suite.ts';
import { tarOf } from '../suite/fixture.ts';
import { assertSound, hasFsck } from '../suite/fsck.ts';
import type { MountMethod } from './image-mount.ts';
import { probeErofs } from './probe.ts';
import { ErofsSnapshotter } from './snapshotter.ts';

/** Of a store with hundreds of layers some are enough: the others are alike. */
const LAYERS_CHECKED = 8;
/** With more devices than it has room for, the tool crashes. */
const FSCK_DEVICES = 200;

function refusal(method: MountMethod): string | false {
  const directory = mkdtempSync(join(tmpdir(), 'mydock-probe-'));
  try {
    const probe = probeErofs(directory, [method]);
    return 'refused' in probe ? probe.refused : false;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** All indexes and merged images of a store by fsck.erofs. */
function checkStore(root: string): void {
  const devices = (hex: string): string[] => {
    const directory = join(root, hex);
    return layerDevices(directory, JSON.parse(readFileSync(join(directory, 'info.json'), 'utf8')));
  };
  const layers = readdirSync(root).filter((name) => /^[0-9a-f]{64}$/.test(name));
  for (const hex of layers.slice(0, LAYERS_CHECKED)) assertSound(join(root, hex, INDEX_NAME), devices(hex));
  for (const key of readdirSync(join(root, 'images'))) {
    const directory = join(root, 'images', key);
    const info = JSON.parse(readFileSync(join(directory, 'info.json'), 'utf8')) as { layers: string[] };
    const inside = info.layers.map((diffId) => diffId.replace('sha256:', ''));
    if (!inside.every((hex) => existsSync(join(root, hex)))) continue;
    const files = inside.flatMap(devices);
    if (files.length <= FSCK_DEVICES) assertSound(join(directory, 'image.erofs'), files);
  }
}

for (const method of ['file-backed', 'loop devices'] as const) {
  describe(`erofs, ${method}`, { skip: refusal(method) }, () => {
    snapshotterSuite({
      open: (root) => {
        mkdirSync(root, { recursive: true });
        return new ErofsSnapshotter(root, { mountDirectory: `${root}-mounts`, method, lasting: false });
      },
      leftovers: (root) => readdirSync(root).filter((name) => !/^(?:[0-9a-f]{64}|images)$/.test(name)),
      ...(hasFsck() ? { check: checkStore } : {}),
    });
  });
}

test('fsck.erofs finds the store of the suite sound, and would find damage', {
  skip: hasFsck()
    ? false
    : 'fsck.erofs 1.8 or newer is not installed: no image of the suite is checked by it',
}, async () => {
  const root = mkdtempSync(join(tmpdir(), 'mydock-fsck-'));
  const options = { mountDirectory: `${root}-mounts`, method: 'file-backed', lasting: false } as const;
  const snapshotter = new ErofsSnapshotter(root, options);
  try {
    const tar = join(root, 'tar');
    writeFileSync(
      tar,
      tarOf({ name: 'd/f', type: 'file', content: 'f' }, { name: 'l', type: 'symlink', linkName: 'd' }),
    );
    const { diffId } = await snapshotter.addTar(tar);
    await snapshotter.prepare([diffId]);
    checkStore(root);
    const index = join(root, digestHex(diffId), INDEX_NAME);
    const bytes = readFileSync(index);
    writeFileSync(index, bytes.fill(0xff, 1024 + 128 + 128));
    assert.throws(() => checkStore(root), /fsck\.erofs/);
  } finally {
    await snapshotter.close();
    rmSync(root, { recursive: true });
    rmSync(`${root}-mounts`, { recursive: true });
  }
});
