/** What the daemon's directives on security make of containers that say nothing themselves. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { timeLimitMs } from '../../run/time-limit.ts';
import { daemonCommand } from '../engine.ts';
import { daemonWithBusybox } from '../harness.ts';

test('--seccomp-profile, --no-new-privileges and features of a configuration file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'defaults-'));
  const profile = join(folder, 'profile.json');
  const rule = { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 };
  writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] }));
  const file = join(folder, 'daemon.json');
  writeFileSync(
    file,
    JSON.stringify({ 'seccomp-profile': profile, 'no-new-privileges': true, features: { cdi: false } }),
  );
  const { daemon, close } = await daemonWithBusybox(['--config-file', file]);
  try {
    const shell = async (flags: readonly string[], line: string): Promise<string> =>
      await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
    assert.match(await shell([], 'mkdir /x 2>&1 || true'), /No space left/);
    assert.equal(await shell(['--security-opt', 'seccomp=builtin'], 'mkdir /x && echo made'), 'made');
    assert.equal(await shell(['--security-opt', 'seccomp=unconfined'], 'mkdir /x && echo made'), 'made');
    assert.equal(await shell(['--privileged'], 'mkdir /x && echo made'), 'made');
    const line = 'grep NoNewPrivs /proc/self/status | cut -f2';
    assert.equal(await shell([], line), '1');
    assert.equal(await shell(['--security-opt', 'no-new-privileges=false'], line), '0');
    const info = (await daemon.api('GET', '/info')).json<{
      SecurityOptions: string[];
      CDISpecDirs: string[];
    }>();
    assert.ok(info.SecurityOptions.includes(`name=seccomp,profile=${profile}`));
    assert.ok(info.SecurityOptions.includes('name=no-new-privileges'));
    assert.deepEqual(info.CDISpecDirs, []);
  } finally {
    await close();
    rmSync(folder, { recursive: true });
  }
});

test('a profile that is none keeps the daemon from starting, and is named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'defaults-'));
  const profile = join(folder, 'profile.json');
  writeFileSync(profile, '{"defaultAction": "allow"}');
  for (const [path, message] of [
    [profile, /opening seccomp profile \(.*profile.json\) failed: .*defaultAction is .*allow/],
    [join(folder, 'missing'), /opening seccomp profile \(.*missing\) failed/],
  ] as const) {
    const place = {
      dataRoot: join(folder, 'data'),
      execRoot: '/run/mydock-refused',
      socket: join(folder, 's'),
    };
    const [file = '', ...args] = daemonCommand(place, ['--seccomp-profile', path]);
    const result = spawnSync(file, args, { encoding: 'utf8', timeout: timeLimitMs(20_000) });
    assert.equal(result.status, 1);
    assert.match(result.stderr + result.stdout, message);
  }
  rmSync(folder, { recursive: true });
});
