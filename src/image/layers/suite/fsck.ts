/** Checks of EROFS images by the file system's own tool, where it is installed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SUPER, SUPER_OFFSET } from '../erofs/format.ts';

/** Bit of the features that says that the superblock has a checksum. */
const CHECKSUM_FEATURE = 1;

let works: boolean | undefined;

/** Whether fsck.erofs is here, in a version that knows of extra devices (1.8). */
export function hasFsck(): boolean {
  works ??= ((): boolean => {
    const { stdout, error } = spawnSync('fsck.erofs', ['--version'], { encoding: 'utf8' });
    const version = /(\d+)\.(\d+)/.exec(stdout ?? '');
    if (error !== undefined || version === null) return false;
    const [major, minor] = [Number(version[1]), Number(version[2])];
    return major > 1 || (major === 1 && minor >= 8);
  })();
  return works;
}

/** Fails with what the tool says. Its versions up to 1.8 crash over checksums in blocks of 512 bytes: it sees none. */
export function assertSound(image: string, devices: readonly string[]): void {
  const directory = mkdtempSync(join(tmpdir(), 'mydock-fsck-'));
  try {
    const bytes = readFileSync(image);
    const at = SUPER_OFFSET + SUPER.featureCompat;
    bytes.writeUInt32LE(bytes.readUInt32LE(at) & ~CHECKSUM_FEATURE, at);
    const copy = join(directory, 'image');
    writeFileSync(copy, bytes);
    const options = devices.map((device) => `--device=${device}`);
    const { status, stdout, stderr } = spawnSync('fsck.erofs', [...options, copy], { encoding: 'utf8' });
    assert.equal(status, 0, `fsck.erofs ${image}: ${stdout}${stderr}`);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
