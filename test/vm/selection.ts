/**
 * Which tests `make test-vm` runs: those whose outcome depends on the kernel, on cgroup v2 or on systemd. With
 * substrings, every test file that contains one of them.
 */

/** Native programs, unit tests and integration tests: the latter, and those of the former that unpack, in a sandbox. */
const SANDBOXED: readonly string[] = [
  'test/native/launch_test.c',
  // VLANs, ipvlan, SCTP; the erofs-utils that know extra devices.
  'src/network/links/network-links.test.ts',
  'src/network/ports/ports.test.ts',
  'src/image/layers/erofs/index-kernel.test.ts',
  'test/integration/container/isolation.test.ts',
  'test/integration/security/apparmor.test.ts',
  'test/integration/container/limits.test.ts',
  'test/integration/container/limit-defaults.test.ts',
  'test/integration/container/update.test.ts',
  'test/integration/container/figures.test.ts',
  'test/integration/container/pause.test.ts',
  'test/integration/container/lifecycle.test.ts',
  'test/integration/container/storage-size.test.ts',
  'test/integration/volume/quota.test.ts',
  // Emulators of other architectures, which are registered for a machine as a whole.
  'test/integration/build/emulated.test.ts',
];

/** Tests that talk to the machine's systemd, which a sandbox would hide: one at a time, after all others. */
const OUTSIDE: readonly RegExp[] = [/^test\/vm\//, /^test\/integration\/container\/cgroup-driver/];

export function isOutside(file: string): boolean {
  return OUTSIDE.some((pattern) => pattern.test(file));
}

export function isPicked(file: string, substrings: readonly string[]): boolean {
  if (substrings.length > 0) return substrings.some((text) => file.includes(text));
  return SANDBOXED.includes(file) || isOutside(file);
}
