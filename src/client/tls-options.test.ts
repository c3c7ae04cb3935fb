import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { tlsOptions } from './tls-options.ts';

test('TLS is off until a flag, a file or a variable asks for it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-tls-'));
  try {
    const env = { DOCKER_CERT_PATH: folder };
    assert.equal(tlsOptions({}, env), undefined);
    assert.equal(tlsOptions({ tls: true }, env)?.verify, false);
    assert.throws(() => tlsOptions({ tlsverify: true }, env), /could not read CA certificate/);
    writeFileSync(join(folder, 'ca.pem'), 'CA');
    const verified = tlsOptions({}, { ...env, DOCKER_TLS_VERIFY: '1' });
    assert.equal(verified?.verify, true);
    assert.equal(verified?.ca?.toString(), 'CA');
    assert.equal(verified?.key, undefined);
    assert.throws(() => tlsOptions({ tlskey: join(folder, 'nope') }, env), /could not read key/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
