/** process of config.json and of exec: scheduler, ioPriority, execCPUAffinity, personality, and what is refused. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { Bundle, type Process } from './bundle.ts';

let bundle: Bundle;
before(async () => {
  // Whatever nice(1) this runs under, processes begin at 0.
  setPriority(0);
  bundle = await Bundle.make();
});
after(() => bundle.close());

/** nice, policy (sched(7)) and processors, as the kernel tells the process. */
const SCRIPT =
  'read -r line < /proc/self/stat; set -- $line; shift 18; nice=$1; shift 22; echo "$nice $1"; ' +
  'grep Cpus_allowed_list /proc/self/status';

test('the init and an exec are scheduled as they ask', async () => {
  bundle.configure(`${SCRIPT}; exec sleep 1000`, (config) => {
    config.process['scheduler'] = { policy: 'SCHED_BATCH', nice: 4 };
    config.process['ioPriority'] = { class: 'IOPRIO_CLASS_BE', priority: 3 };
    // Of processes that are executed later; these start from the container's own process.
    config.process['execCPUAffinity'] = { initial: '0', final: '0' };
  });
  await bundle.runDetached('busy');
  await eventually('the init has said it', () => bundle.output.startsWith('4 3\n'));
  assert.match(await bundle.succeeds(['exec', 'busy', 'sh', '-c', SCRIPT]), /^4 3\nCpus_allowed_list:\t0\n$/);
  const file = join(bundle.folder, 'process.json');
  const process: Process = {
    user: { uid: 9, gid: 9 },
    args: ['sh', '-c', SCRIPT],
    env: ['PATH=/bin'],
    cwd: '/',
    scheduler: { policy: 'SCHED_IDLE' },
  };
  writeFileSync(file, JSON.stringify(process));
  assert.match(await bundle.succeeds(['exec', '--process', file, 'busy']), /^0 5\nCpus_allowed_list:\t0\n$/);
  writeFileSync(file, JSON.stringify({ ...process, execCPUAffinity: { final: '8191' } }));
  await bundle.fails(
    ['exec', '--process', file, 'busy'],
    /process\.execCPUAffinity\.final to 8191: none of these processors/,
  );
  await bundle.succeeds(['delete', '--force', 'busy']);
});

test('what cannot be is refused by name and value', async () => {
  const refused: [RegExp, Record<string, unknown>][] = [
    [/process\.scheduler\.policy must be one of/, { scheduler: { policy: 'SCHED_NONE' } }],
    [/process\.scheduler\.priority goes with/, { scheduler: { policy: 'SCHED_OTHER', priority: 3 } }],
    [/process\.ioPriority\.class must be/, { ioPriority: { class: 'best' } }],
    [/process\.execCPUAffinity\.initial must be a list/, { execCPUAffinity: { initial: '1-' } }],
    [/process\.commandLine is for Windows/, { commandLine: 'cmd.exe' }],
  ];
  for (const [message, fields] of refused) {
    bundle.configure('true', (config) => Object.assign(config.process, fields));
    await bundle.fails(['run', '--bundle', bundle.folder, 'refused'], message);
  }
});
