/** Trees with everything that a layer can hold, and how GNU tar and mount(8) stack them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addon } from '../../../native/addon.ts';
import { CAPABILITY, type Fixture, gnuTar, gnuUntar, sh } from './fixture.ts';
import { type Manifest, treeManifest } from './tree-manifest.ts';

/** Everything a file system can hold, as a layer's tree. */
function makeBaseTree(directory: string): void {
  const deep = Array.from({ length: 180 }, (_, i) => `deep-directory-${i}`.padEnd(19, '-')).join('/');
  sh(
    directory,
    `
    umask 022
    mkdir -p usr/lib/x86 usr/bin etc var/empty opt/old/sub dev tmp many
    printf hello > usr/bin/hello; printf '' > etc/empty; head -c 512 /dev/zero > etc/block
    head -c 1000000 /dev/urandom > usr/lib/big
    ln usr/bin/hello usr/bin/hello-again; ln usr/bin/hello etc/hello-far
    ln -s usr/lib lib; ln -s /usr/bin bin; ln -s nowhere etc/dangling; ln -s "$(printf 'l%.0s' {1..400})" etc/long-link
    ln etc/dangling etc/dangling-again
    printf x > etc/$'\\xff\\xfe-bytes'; printf x > etc/$'new\\nline'; printf x > "etc/ünïcode"; printf x > etc/"$(printf 'n%.0s' {1..255})"
    mknod dev/null c 1 3; mknod dev/sda b 8 0; mknod dev/big c 4095 70000; mkfifo dev/pipe
    ln dev/null dev/null-again
    printf s > usr/bin/setuid; chown 1000:2000 usr/bin/setuid; chmod 6755 usr/bin/setuid
    printf o > etc/owned; chown 3000000:4000000000 etc/owned; chmod 0000 etc/owned
    chmod 1777 tmp; chmod 2755 var; chown 7:8 var/empty; chmod 0700 var/empty
    truncate -s 9M usr/lib/sparse; printf middle | dd of=usr/lib/sparse bs=1 seek=5000000 conv=notrunc status=none
    truncate -s 3M usr/lib/hole
    for i in $(seq 300); do printf $i > many/file-$i; done
    mkdir -p ${deep}; printf deep > ${deep}/file
    printf old > opt/old/file; printf old > opt/old/sub/file
  `,
  );
  const node = addon();
  node.setXattr(join(directory, 'usr/bin/hello'), 'security.capability', CAPABILITY);
  node.setXattr(join(directory, 'etc/empty'), 'user.note', Buffer.from([0, 1, 0xff, 0x0a]));
  node.setXattr(join(directory, 'opt/old'), 'user.directory', Buffer.from('value'));
  node.setXattr(join(directory, 'etc/dangling'), 'trusted.link', Buffer.from('on a link'));
  node.setTimes(join(directory, 'etc/block'), -1_000_000_000, 123_456_789);
  node.setTimes(join(directory, 'etc/dangling'), 1_234_567_890, 987_654_321);
  node.setTimes(join(directory, 'lib'), 5, 1);
  node.setTimes(join(directory, 'many'), 1_000_000_000, 1);
  node.setTimes(join(directory, 'opt/old'), 1_100_000_000, 999_999_999);
  node.setTimes(directory, 1_200_000_000, 42);
}

/** Changes on top of it, with whiteouts as files. */
function makeSecondTree(directory: string): void {
  sh(
    directory,
    `
    mkdir -p etc opt/old usr/bin many var/empty
    : > etc/.wh.empty; : > .wh.tmp; : > opt/old/.wh..wh..opq; printf new > opt/old/new
    mkdir etc/block; printf inside > etc/block/inside
    printf file > usr/lib
    ln -s hello usr/bin/hello; : > usr/bin/.wh.hello-again
    for i in $(seq 12); do : > many/.wh.file-$i; done
    printf fresh > var/empty/fresh; ln var/empty/fresh var/empty/fresh-link
    chmod 0711 many
  `,
  );
  addon().setTimes(join(directory, 'many'), 1_300_000_000, 7);
}

/**
 * A layer's tree into overlayfs's form, by other means than the driver's: one program for all of it, as one for each
 * mark would cost more than the test. Directories keep their times.
 */
const CONVERT_WHITEOUTS = `
import os, stat, sys
for folder, _, files in os.walk(os.fsencode(sys.argv[1]), topdown=False):
    marks = [name for name in files if name.startswith(b'.wh.')]
    if not marks:
        continue
    before = os.stat(folder)
    for name in marks:
        os.unlink(os.path.join(folder, name))
        if name == b'.wh..wh..opq':
            os.setxattr(folder, 'trusted.overlay.opaque', b'y')
        else:
            os.mknod(os.path.join(folder, name[4:]), stat.S_IFCHR, 0)
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
`;

/** The manifest of tars unpacked by GNU tar and stacked with mount(8). */
export function referenceManifest(fixture: Pick<Fixture, 'newDirectory'>, tars: readonly Buffer[]): Manifest {
  const trees = tars.map((tar) => {
    const holder = fixture.newDirectory();
    const tree = join(holder, 'fs');
    mkdirSync(tree);
    gnuUntar(tar, tree);
    execFileSync('python3', ['-c', CONVERT_WHITEOUTS, tree]);
    return tree;
  });
  const target = fixture.newDirectory();
  const empty = fixture.newDirectory();
  const lowers = [...trees.toReversed(), empty].join(':');
  execFileSync('mount', ['-t', 'overlay', 'reference', '-o', `ro,lowerdir=${lowers}`, target]);
  try {
    return treeManifest(target);
  } finally {
    execFileSync('umount', [target]);
  }
}

/** An image of two layers by GNU tar, and what its first layer and both are to look like. */
export interface ReferenceImage {
  readonly tars: readonly [base: Buffer, second: Buffer];
  readonly base: Manifest;
  readonly both: Manifest;
}

const referenceImages = new Map<string, ReferenceImage>();

/** The two trees above as GNU tar packs them with `options`: made once a process, for all drivers alike. */
export function referenceImage(...options: string[]): ReferenceImage {
  const made = referenceImages.get(options.join(' '));
  if (made !== undefined) return made;
  const scratch = mkdtempSync(join(tmpdir(), 'mydock-trees-'));
  let count = 0;
  const newDirectory = (): string => {
    const path = join(scratch, `${count++}`);
    mkdirSync(path, { mode: 0o755 });
    return path;
  };
  try {
    const [base, second] = [newDirectory(), newDirectory()];
    makeBaseTree(base);
    makeSecondTree(second);
    const tars = [gnuTar(base, ...options), gnuTar(second, ...options)] as const;
    const image = {
      tars,
      base: referenceManifest({ newDirectory }, tars.slice(0, 1)),
      both: referenceManifest({ newDirectory }, tars),
    };
    referenceImages.set(options.join(' '), image);
    return image;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
