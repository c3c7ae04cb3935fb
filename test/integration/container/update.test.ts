/** `update` and `rename`: limits of a running container in its cgroups, conflicts, names. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const MIB = 1024 * 1024;

async function update(container: string, body: object) {
  return await daemon.api('POST', `/containers/${container}/update`, body);
}

async function inside(container: string, v1: string, v2: string): Promise<string> {
  const line = `cat /sys/fs/cgroup/${v1} 2>/dev/null || cat /sys/fs/cgroup/${v2}`;
  return await daemon.ok('exec', container, 'sh', '-c', line);
}

test('limits reach the running container, are stored, and can be taken away', async () => {
  await daemon.ok('run', '-d', '--name', 'uu', 'busybox', 'sleep', '1000');
  const answer = await update('uu', {
    Memory: 64 * MIB,
    MemorySwap: 128 * MIB,
    CpuShares: 512,
    PidsLimit: 50,
  });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(await inside('uu', 'memory/memory.limit_in_bytes', 'memory.max'), String(64 * MIB));
  assert.equal(await inside('uu', 'pids/pids.max', 'pids.max'), '50');
  assert.equal(
    await inside('uu', 'cpu/cpu.shares', 'cpu.weight').then((text) => /^(512|59)$/.test(text)),
    true,
  );
  assert.equal((await update('uu', { Memory: 256 * MIB, MemorySwap: -1 })).status, 200);
  assert.equal(await inside('uu', 'memory/memory.limit_in_bytes', 'memory.max'), String(256 * MIB));
  assert.equal((await update('uu', { PidsLimit: -1, NanoCpus: 500_000_000 })).status, 200);
  assert.equal(await inside('uu', 'pids/pids.max', 'pids.max'), 'max');
  assert.match(await inside('uu', 'cpu/cpu.cfs_quota_us', 'cpu.max'), /^50000\b/);
  assert.equal(
    await daemon.inspect('uu', '{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CpuShares}}'),
    `${256 * MIB} -1 512`,
  );
  await daemon.ok('restart', '-t', '0', 'uu');
  assert.equal(await inside('uu', 'memory/memory.limit_in_bytes', 'memory.max'), String(256 * MIB));
  await daemon.ok('rm', '-f', 'uu');
});

test('what conflicts or cannot be is refused and changes nothing', async () => {
  await daemon.ok('run', '-d', '--name', 'cc', '--rm', '--cpus', '0.5', 'busybox', 'sleep', '1000');
  const quota = await update('cc', { CpuQuota: 20_000 });
  assert.equal(quota.status, 409);
  assert.match(
    quota.text,
    /Cannot update container \w+: Conflicting options: CPU Quota cannot be updated as NanoCPUs/,
  );
  const memory = await update('cc', { Memory: 64 * MIB });
  assert.equal(memory.status, 409);
  assert.match(memory.text, /Memory limit should be smaller than already set memoryswap limit/);
  const policy = await update('cc', { RestartPolicy: { Name: 'always' } });
  assert.equal(policy.status, 409);
  assert.match(policy.text, /AutoRemove is enabled/);
  assert.equal((await update('cc', { RestartPolicy: { Name: 'sometimes' } })).status, 400);
  assert.equal((await update('cc', { Memory: 1 })).status, 400);
  assert.equal((await update('cc', { Memory: 'much' })).status, 400);
  assert.equal((await update('nobody', {})).status, 404);
  assert.equal(await daemon.inspect('cc', '{{.HostConfig.CpuQuota}} {{.HostConfig.Memory}}'), '0 0');
  await daemon.ok('rm', '-f', 'cc');
});

test('a restart policy counts from the update on', async () => {
  await daemon.ok('run', '-d', '--name', 'rr', 'busybox', 'sleep', '1000');
  assert.equal(
    (await update('rr', { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 4 } })).status,
    200,
  );
  const policy = '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}';
  assert.equal(await daemon.inspect('rr', policy), 'on-failure 4');
  await daemon.ok('rm', '-f', 'rr');
});

test('rename gives another name, which must be free and valid', async () => {
  await daemon.ok('create', '--name', 'old', 'busybox', 'true');
  await daemon.ok('create', '--name', 'taken', 'busybox', 'true');
  const rename = (name: string) => daemon.api('POST', `/containers/old/rename?name=${name}`);
  assert.equal((await rename('')).status, 400);
  assert.match((await rename('old')).text, /same name as its current name/);
  const conflict = await rename('taken');
  assert.equal(conflict.status, 409);
  assert.match(conflict.text, /Error when allocating new name: Conflict\. The container name \\"\/taken\\"/);
  assert.equal((await rename('a%20b')).status, 400);
  assert.equal((await rename('new')).status, 204);
  assert.equal((await daemon.api('GET', '/containers/old/json')).status, 404);
  assert.equal(await daemon.inspect('new', '{{.Name}}'), '/new');
  await daemon.stop('SIGTERM');
  await daemon.launch();
  assert.equal(await daemon.inspect('new', '{{.Name}}'), '/new');
  await daemon.ok('rm', 'new', 'taken');
});
