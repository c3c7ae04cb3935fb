/** linux.namespaces of paths: a mount namespace that others have prepared, and those that are not to be taken. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { Bundle, type Config } from './bundle.ts';

let bundle: Bundle;
before(async () => {
  bundle = await Bundle.make();
});
after(() => bundle.close());

function inMounts(path: string): (config: Config) => void {
  return ({ linux }) => {
    linux.namespaces = [...linux.namespaces.filter(({ type }) => type !== 'mount'), { type: 'mount', path }];
  };
}

test('a container in a mount namespace of a path: its root is that namespace’s, and exec enters it', async () => {
  const holder = spawn('unshare', ['--mount', 'sleep', '1000']);
  try {
    const path = `/proc/${holder.pid}/ns/mnt`;
    const own = readlinkSync('/proc/self/ns/mnt');
    await eventually('the namespace is there', () => readlinkSync(path) !== own);
    const hostMounts = readFileSync('/proc/self/mountinfo', 'utf8');
    bundle.configure('readlink /proc/self/ns/mnt; exec sleep 1000', inMounts(path));
    await bundle.runDetached('placed');
    await eventually('it is in there', () => bundle.output === `${readlinkSync(path)}\n`);
    const script = 'readlink /proc/self/ns/mnt; test -e /bin/busybox; test ! -e /usr; wc -l < /proc/mounts';
    const [namespace, mounts] = (await bundle.succeeds(['exec', 'placed', 'sh', '-ec', script])).split('\n');
    assert.equal(namespace, readlinkSync(path));
    assert.ok(Number(mounts) < 40, 'nothing of the old root is left');
    assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), hostMounts);
    await bundle.succeeds(['delete', '--force', 'placed']);
  } finally {
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  }
});

test('the mount namespaces of the runtime and of the host are not taken, nor what is none', async () => {
  for (const [path, message] of [
    ['/proc/self/ns/mnt', /is the mount namespace of the runtime/],
    ['/proc/1/ns/mnt', /is the mount namespace of the (host|runtime)/],
    ['/proc/self/ns/uts', /is not a mount namespace/],
    ['relative', /path must be absolute/],
  ] as const) {
    bundle.configure('true', inMounts(path));
    await bundle.fails(['run', '--bundle', bundle.folder, 'taken'], message);
  }
});
