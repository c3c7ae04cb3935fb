import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { blockUsage, parseBlkio } from './block-usage.ts';
import { freeze, isFrozen, thaw } from './freezer.ts';
import { ContainerCgroup, type Hierarchy, parseHierarchies } from './hierarchy.ts';
import { cpuUsage, memoryUsage, pidsUsage } from './usage.ts';

let root: string;
before(() => {
  root = mkdtempSync(join(tmpdir(), 'cgroup-test-'));
});
after(() => rmSync(root, { recursive: true, force: true }));

/** A container's cgroup of plain files: `{'v1 memory': {'memory.limit_in_bytes': '1'}, v2: {…}}`. */
function fake(name: string, files: Record<string, Record<string, string>>): ContainerCgroup {
  const hierarchies: Hierarchy[] = [];
  for (const [place, contents] of Object.entries(files)) {
    const [version, controllers = ''] = place.split(' ');
    const mount = join(root, name, place.replaceAll(/\W/g, '-'));
    mkdirSync(join(mount, 'c'), { recursive: true });
    for (const [file, text] of Object.entries(contents)) writeFileSync(join(mount, 'c', file), text);
    hierarchies.push({
      version: version === 'v2' ? 2 : 1,
      controllers: controllers === '' ? [] : controllers.split(','),
      mount,
    });
  }
  return new ContainerCgroup('/c', hierarchies);
}

test('mounts are told apart: v1 by controllers, v2, others', () => {
  const text = `proc /proc proc rw 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,nosuid,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0
none /sys/fs/cgroup/unified cgroup2 rw 0 0
`;
  assert.deepEqual(parseHierarchies(text), [
    { version: 1, controllers: ['cpu', 'cpuacct'], mount: '/sys/fs/cgroup/cpu' },
    { version: 1, controllers: ['name=systemd'], mount: '/sys/fs/cgroup/systemd' },
    { version: 2, controllers: [], mount: '/sys/fs/cgroup/unified' },
  ]);
});

test('a bundle names its cgroup, whatever its annotations, arguments and environment say', () => {
  const group = `/mydock/${'a'.repeat(64)}`;
  const other = `/mydock/${'b'.repeat(64)}`;
  const mounts: Hierarchy[] = [{ version: 2, controllers: [], mount: '/m' }];
  const named = (spec: object | string): string | undefined => {
    const bundle = mkdtempSync(join(root, 'bundle-'));
    writeFileSync(join(bundle, 'config.json'), typeof spec === 'string' ? spec : JSON.stringify(spec));
    try {
      return ContainerCgroup.of(bundle, mounts).v2;
    } catch (error) {
      assert.match(String(error), /names no cgroup/);
      return undefined;
    }
  };
  const process = { args: [`"cgroupsPath":"${other}"`, `{"cgroupsPath":"${other}"}`] };
  const annotations = { cgroupsPath: other };
  assert.equal(named({ process, linux: { cgroupsPath: group } }), `/m${group}`);
  assert.equal(named({ annotations, linux: { cgroupsPath: group } }), `/m${group}`);
  assert.equal(named({ linux: { cgroupsPath: group }, annotations }), `/m${group}`);
  const quoted = `/par"ent${group}`;
  assert.equal(named({ annotations, linux: { cgroupsPath: quoted } }), `/m${quoted}`);
  assert.equal(named(JSON.stringify({ linux: { cgroupsPath: group } }, null, 2)), `/m${group}`);
  const scope = `a-b.slice:mydock:${'a'.repeat(64)}`;
  assert.equal(
    named({ linux: { cgroupsPath: scope } }),
    `/m/a.slice/a-b.slice/mydock-${'a'.repeat(64)}.scope`,
  );
  for (const cgroupsPath of ['/', '/mydock', '/mydock/../x']) {
    assert.equal(named({ linux: { cgroupsPath } }), undefined);
  }
  assert.equal(named({ process, linux: {} }), undefined);
  assert.throws(() => ContainerCgroup.of(join(root, 'nowhere')), /names no cgroup/);
});

test('v1 figures: nanoseconds, ticks as nanoseconds, a limit above the machine is the machine', () => {
  const cgroup = fake('usage1', {
    'v1 cpu,cpuacct': {
      'cpuacct.usage': '500\n',
      'cpuacct.usage_percpu': '300 200 \n',
      'cpuacct.stat': 'user 3\nsystem 4\n',
      'cpu.stat': 'nr_periods 5\nnr_throttled 2\nthrottled_time 99\n',
    },
    'v1 memory': {
      'memory.usage_in_bytes': '4096\n',
      'memory.max_usage_in_bytes': '8192\n',
      'memory.limit_in_bytes': '9223372036854771712\n',
      'memory.failcnt': '0\n',
      'memory.stat': 'cache 10\ntotal_inactive_file 7\n',
    },
    'v1 pids': { 'pids.current': '3\n', 'pids.max': 'max\n' },
  });
  assert.deepEqual(cpuUsage(cgroup), {
    cpu_usage: {
      total_usage: 500,
      percpu_usage: [300, 200],
      usage_in_kernelmode: 40_000_000,
      usage_in_usermode: 30_000_000,
    },
    throttling_data: { periods: 5, throttled_periods: 2, throttled_time: 99 },
  });
  const memory = {
    usage: 4096,
    max_usage: 8192,
    stats: { cache: 10, total_inactive_file: 7 },
    limit: 1_000_000,
  };
  assert.deepEqual(memoryUsage(cgroup, 1_000_000), memory);
  assert.deepEqual(pidsUsage(cgroup), { current: 3 });
});

test('v2 figures', () => {
  const cgroup = fake('usage2', {
    v2: {
      'cpu.stat': 'usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 0\n',
      'memory.current': '4096',
      'memory.max': 'max',
      'memory.stat': 'inactive_file 5\n',
      'pids.current': '2',
      'pids.max': '10',
      'io.stat': '8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n',
    },
  });
  assert.equal(cpuUsage(cgroup).cpu_usage.total_usage, 7000);
  assert.deepEqual(memoryUsage(cgroup, 9999), { usage: 4096, stats: { inactive_file: 5 }, limit: 9999 });
  assert.deepEqual(pidsUsage(cgroup), { current: 2, limit: 10 });
  assert.deepEqual(blockUsage(cgroup).io_service_bytes_recursive, [
    { major: 8, minor: 0, op: 'read', value: 10 },
    { major: 8, minor: 0, op: 'write', value: 20 },
  ]);
});

test('blkio lines without the total', () => {
  assert.deepEqual(parseBlkio('8:0 Read 1\n8:0 Total 1\nTotal 1'), [
    { major: 8, minor: 0, op: 'Read', value: 1 },
    { major: 8, minor: 0, op: 'Total', value: 1 },
  ]);
});

test('the freezer: v1 before v2', async () => {
  const v1 = fake('freeze1', { 'v1 freezer': { 'freezer.state': 'THAWED' }, v2: { 'cgroup.freeze': '0' } });
  assert.equal(isFrozen(v1), false);
  await freeze(v1);
  assert.equal(isFrozen(v1), true);
  thaw(v1);
  assert.equal(isFrozen(v1), false);
  const v2 = fake('freeze2', { v2: { 'cgroup.freeze': '0', 'cgroup.events': 'populated 1\nfrozen 1\n' } });
  await freeze(v2);
  assert.equal(readFileSync(join(root, 'freeze2/v2/c/cgroup.freeze'), 'utf8'), '1');
});
