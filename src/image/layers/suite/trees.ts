/** Trees with everything that a layer can hold, and how GNU tar and mount(8) stack them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { addon } from '../../../native/addon.ts';
import { CAPABILITY, type Fixture, sh } from './fixture.ts';
import { type Manifest, treeManifest } from './tree-manifest.ts';

/** Everything a file system can hold, as a layer's tree. */
export function makeBaseTree(directory: string): void {
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
export function makeSecondTree(directory: string): void {
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

/** A layer's tree into overlayfs's form, by other means than the driver's. */
function convertWhiteouts(directory: string): void {
  sh(
    directory,
    `
    find . -name '.wh..wh..opq' -print0 | while IFS= read -r -d '' f; do
      d=$(dirname "$f"); touch -r "$d" ../stamp; rm "$f"
      python3 -c 'import os,sys; os.setxattr(sys.argv[1], "trusted.overlay.opaque", b"y")' "$d"; touch -r ../stamp "$d"
    done
    find . -name '.wh.*' -print0 | while IFS= read -r -d '' f; do
      d=$(dirname "$f"); b=$(basename "$f"); touch -r "$d" ../stamp; rm "$f"; mknod "$d/\${b#.wh.}" c 0 0; touch -r ../stamp "$d"
    done
  `,
  );
}

/** The manifest of tars unpacked by GNU tar and stacked with mount(8). */
export function referenceManifest(fixture: Pick<Fixture, 'newDirectory'>, tars: Buffer[]): Manifest {
  const trees = tars.map((tar) => {
    const holder = fixture.newDirectory();
    const tree = join(holder, 'fs');
    mkdirSync(tree);
    const options = [
      '--xattrs',
      '--xattrs-include=*',
      '--numeric-owner',
      '--same-permissions',
      '--same-owner',
    ];
    execFileSync('tar', [...options, '-xf', '-', '-C', tree], { input: tar });
    convertWhiteouts(tree);
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
