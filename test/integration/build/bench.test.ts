/** The rows of the benchmarks that build, with small sizes: that they measure what they say. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildJobs } from '../../bench/build-jobs.ts';
import type { Engine } from '../../bench/engines.ts';
import { CLIENT } from '../engine.ts';
import { daemonWithBusybox } from '../harness.ts';

test('every row of builds gives a time', async () => {
  const { daemon, close } = await daemonWithBusybox();
  try {
    const engine: Engine = {
      name: 'mydock',
      version: '',
      command: [CLIENT],
      env: { ...process.env, HOME: daemon.home, MYDOCK_HOST: `unix://${daemon.socket}` },
      pullFlags: [],
      hasBuildkit: true,
      hasClassicBuilder: true,
      pruneBuilds: ['builder', 'prune', '-af'],
      daemonNames: [],
      helperNames: [],
      start: () => Promise.resolve(),
      revive: () => Promise.resolve(),
      stop: () => Promise.resolve(),
    };
    const sizes = { files: 300, meanFileBytes: 500, runSteps: 2 };
    for (const job of buildJobs('busybox', join(daemon.folder, 'contexts'), sizes)) {
      assert.ok(((await job.measure(engine)) ?? 0) > 0, job.title);
      if (job.key !== 'build-change') continue;
      const counted = ['run', '--rm', 'bench-build', 'sh', '-c', 'find /files -type f | wc -l'];
      assert.equal(await daemon.ok(...counted), '300');
      assert.match(await daemon.ok('run', '--rm', 'bench-build', 'cat', '/files/0/0'), /^\d+$/);
    }
  } finally {
    await close();
  }
});
