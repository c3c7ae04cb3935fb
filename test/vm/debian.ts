/**
 * The operating system of the virtual machine: Debian 13 with its own kernel (6.12: EROFS images in files) and systemd,
 * cgroup v2 alone. Made once by mmdebstrap, kept in the cache of fixtures, and never written to: what a run changes
 * goes into a temporary file of QEMU's. Nothing of the project is in it.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../fixtures/packages.ts';

const SUITE = 'trixie';
const MAKING_LIMIT_MS = 600_000;

/** What the tests call, what the sanitizers' programs are linked with, and what makes it a machine. */
const PACKAGES = [
  ...[
    'systemd',
    'systemd-sysv',
    'dbus',
    'udev',
    'kmod',
    'passwd',
    'procps',
    'util-linux-extra',
    'iproute2',
    'nftables',
  ],
  ...[
    'apparmor',
    'busybox-static',
    'e2fsprogs',
    'xfsprogs',
    'btrfs-progs',
    'erofs-utils',
    'openssl',
    'ca-certificates',
  ],
  ...[
    'libasan8',
    'libubsan1',
    'libjansson4',
    'libseccomp2',
    'libisal2',
    'bsdutils',
    'file',
    'strace',
    'less',
  ],
];

const VERSION = createHash('sha256')
  .update(readFileSync(import.meta.filename))
  .digest('hex')
  .slice(0, 12);

export interface DebianMachine {
  /** An ext4 image. */
  readonly disk: string;
  readonly kernel: string;
  /** A cpio archive: busybox and the one module that the disk needs, without /init. */
  readonly initrdFolder: string;
  readonly busybox: string;
}

/**
 * Unpacked rather than installed: its scripts would make an initramfs that takes longer to make and to boot than ours.
 */
const UNPACK_KERNEL = `
set -e
cd "$1/var/tmp"
chroot "$1" sh -c 'cd /var/tmp && apt-get -q -o APT::Sandbox::User=root download \
    $(apt-cache depends linux-image-cloud-amd64 | sed -n "s/.*Depends: \\(linux-image-[^ ]*\\)/\\1/p")'
dpkg-deb -x ./linux-image-*.deb "$1"
rm ./linux-image-*.deb
chroot "$1" depmod "$(ls "$1/usr/lib/modules")"
echo mydock-vm > "$1/etc/hostname"
`;

function makeMachine(folder: string): void {
  const root = join(folder, 'root');
  const initrd = join(folder, 'initrd');
  mkdirSync(initrd, { recursive: true });
  const hook = join(folder, 'hook');
  writeFileSync(hook, UNPACK_KERNEL);
  const leaveOut = ['doc', 'man', 'locale', 'info'].map(
    (name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`,
  );
  const options = ['--variant=minbase', '--mode=root', '--quiet', `--include=${PACKAGES.join(',')}`];
  execFileSync('mmdebstrap', [...options, ...leaveOut, `--customize-hook=sh ${hook} "$1"`, SUITE, root], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: MAKING_LIMIT_MS,
    maxBuffer: 1 << 26,
  });
  const modules = join(root, 'usr/lib/modules');
  const [release = ''] = readdirSync(modules);
  const module = join(modules, release, 'kernel/drivers/block/virtio_blk.ko.xz');
  writeFileSync(join(initrd, 'virtio_blk.ko'), execFileSync('xz', ['-dc', module]));
  execFileSync('cp', [join(root, 'boot', `vmlinuz-${release}`), join(folder, 'vmlinuz')]);
  execFileSync('cp', [join(root, 'usr/bin/busybox'), join(folder, 'busybox')]);
  makeExt4(root, join(folder, 'root.img'), '6G');
  rmSync(root, { recursive: true });
  rmSync(hook);
}

/** An ext4 image of a folder. It is sparse, and larger than the folder by what the machine may write. */
export function makeExt4(folder: string, image: string, size: string): void {
  const features = ['-O', '^has_journal,^resize_inode', '-E', 'lazy_itable_init=1,nodiscard'];
  execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', ...features, '-d', folder, image, size], {
    stdio: 'pipe',
  });
}

/** Needs root and, the first time, a network. */
export async function debianMachine(): Promise<DebianMachine> {
  const folder = await cached(`vm-debian-${VERSION}`, (path) => {
    console.log(`making the Debian of the virtual machine (once)`);
    makeMachine(path);
    return Promise.resolve();
  });
  return {
    disk: join(folder, 'root.img'),
    kernel: join(folder, 'vmlinuz'),
    initrdFolder: join(folder, 'initrd'),
    busybox: join(folder, 'busybox'),
  };
}
