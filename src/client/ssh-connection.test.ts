import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { parseHost } from './host.ts';
import { sshConnection } from './ssh-connection.ts';

/** Runs `body` with a program called ssh first in PATH that records its words and runs `script`. */
async function withSsh(script: string, body: (words: () => string[]) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-ssh-'));
  const path = process.env['PATH'];
  writeFileSync(join(folder, 'ssh'), `#!/bin/sh\nprintf '%s\\n' "$@" > ${folder}/words\n${script}\n`);
  chmodSync(join(folder, 'ssh'), 0o755);
  process.env['PATH'] = `${folder}:${path}`;
  try {
    await body(() => readFileSync(join(folder, 'words'), 'utf8').trim().split('\n'));
  } finally {
    process.env['PATH'] = path;
    rmSync(folder, { recursive: true });
  }
}

function sshHost(url: string) {
  const host = parseHost(url);
  assert.ok(host.kind === 'ssh');
  return host;
}

test('bytes go through ssh both ways, with half-close', async () => {
  await withSsh('cat; echo end', async (words) => {
    const stream = sshConnection(sshHost('ssh://me@far:2222/run/o.sock'));
    stream.end('hello ');
    assert.equal(await text(stream), 'hello end\n');
    const remote = words().slice(words().indexOf('--') + 1);
    assert.deepEqual(remote, ['me@far', 'mydock', '-H', "'unix:///run/o.sock'", 'system', 'dial-stdio']);
    assert.ok(words().join(' ').includes('-p 2222'));
  });
});

test('an ssh that fails breaks the stream', async () => {
  await withSsh('exit 255', async () => {
    await assert.rejects(text(sshConnection(sshHost('ssh://far'))), /ssh to far ended with status 255/);
  });
});
