/** Pulls that are killed at any moment. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DockerRegistry, dockerRegistryMissing } from '../testing/docker-registry.ts';
import { testImage, testLayer } from '../testing/image-builder.ts';

const SCRIPT = fileURLToPath(new URL('../testing/pull-process.ts', import.meta.url));

interface Outcome {
  found: boolean;
  broken: string[];
  downloading: number;
}

/** Runs the process, killing it after `killMs` where given. Undefined where it was killed. */
async function runPull(root: string, reference: string, killMs?: number): Promise<Outcome | undefined> {
  const child = spawn(process.execPath, [SCRIPT, root, reference], { stdio: ['ignore', 'pipe', 'inherit'] });
  const timer = killMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killMs);
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
    // Its work is done; writing everything out to disk, as an orderly end does, takes long and changes nothing here.
    if (output.endsWith('\n')) child.kill('SIGKILL');
  });
  const [code] = await new Promise<[number | null]>((resolve) =>
    child.once('close', (status) => resolve([status])),
  );
  clearTimeout(timer);
  const isDone = output.endsWith('\n');
  // It may have come to its orderly end before it was killed.
  assert.ok(code === null || (code === 0 && isDone), `the process failed with ${code}`);
  return isDone ? (JSON.parse(output) as Outcome) : undefined;
}

const skip = dockerRegistryMissing() || (process.getuid?.() !== 0 && 'unpacking layers needs root');

test('a pull that is killed at any moment leaves nothing half, and the next one goes on', {
  skip,
}, async () => {
  await using registry = await DockerRegistry.start();
  const layers = await Promise.all(
    Array.from({ length: 6 }, (_, i) => testLayer(`file${i}`, { sizeBytes: 3 << 20 })),
  );
  await registry.push('app', 'latest', testImage(layers));
  const root = mkdtempSync(join(tmpdir(), 'mydock-crash-'));
  try {
    const reference = `${registry.host}/app`;
    const begun = performance.now();
    assert.deepEqual(await runPull(join(root, 'calm'), reference), {
      found: false,
      broken: [],
      downloading: 6,
    });
    const wholeMs = performance.now() - begun;
    for (let part = 0.3; part < 1.05; part += 0.17) {
      const data = join(root, `killed-${part.toFixed(2)}`);
      await runPull(data, reference, wholeMs * part);
      const outcome = await runPull(data, reference);
      assert.deepEqual(outcome?.broken, []);
      const blobs = readdirSync(join(data, 'content', 'blobs', 'sha256')).length;
      assert.equal(blobs, layers.length + 1, `killed at ${part.toFixed(2)}`);
      assert.deepEqual(readdirSync(join(data, 'content', 'ingest')), []);
      assert.ok(existsSync(join(data, 'mydock.db')));
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
