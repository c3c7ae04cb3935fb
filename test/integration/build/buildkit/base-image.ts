/** The image that the table's builds begin with: busybox, and below /base all that a destination can be. */
import { busyboxLayer } from '../../../fixtures/catalog.ts';
import { type Image, makeImage, makeLayer } from '../../../fixtures/image.ts';
import { makeTar } from '../../../fixtures/tar.ts';

const ENTRIES = [
  { path: 'd/', type: 'directory', mode: 0o750, uid: 7, gid: 8 },
  { path: 'd/old', data: 'old', mode: 0o600, uid: 7, gid: 8 },
  { path: 'd/sub/', type: 'directory', mode: 0o711 },
  { path: 'd/sub/deep', data: 'deep' },
  { path: 'f', data: 'base f', mode: 0o640, uid: 3, gid: 4 },
  { path: 'dlink', type: 'symlink', target: 'd' },
  { path: 'abslink', type: 'symlink', target: '/base/d' },
  { path: 'flink', type: 'symlink', target: 'f' },
  { path: 'dangling', type: 'symlink', target: '/base/new/place' },
  { path: 'outside', type: 'symlink', target: '../../../../base/d' },
  { path: 'd/inner', type: 'symlink', target: '../f' },
  { path: 'twin-a', data: 'twin' },
  { path: 'twin-b', type: 'hardlink', target: 'base/twin-a' },
  { path: 'setid', data: 'setid', mode: 0o6755, uid: 1, gid: 1 },
  { path: 'sgid/', type: 'directory', mode: 0o2775, uid: 0, gid: 50 },
  { path: 'attributes', data: 'x', xattrs: { 'user.kept': 'value' } },
] as const;

export async function tableBase(): Promise<Image> {
  const tar = makeTar([
    { path: 'base/', type: 'directory' },
    ...ENTRIES.map((entry) => ({ ...entry, path: `base/${entry.path}` })),
  ]);
  return makeImage({
    layers: [await busyboxLayer('gzip'), makeLayer(tar, 'gzip')],
    config: {
      Cmd: ['sh'],
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'BASE=from base'],
      Labels: { base: 'label' },
    },
  });
}
