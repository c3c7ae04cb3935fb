import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRegistryAuth } from './credentials.ts';

const encode = (value: unknown, form: 'base64' | 'base64url' = 'base64url'): string =>
  Buffer.from(JSON.stringify(value)).toString(form);

test('both base64 alphabets, padded or not', () => {
  const auth = { username: 'joe', password: 'pä>?ss~~', serveraddress: 'https://x/' };
  assert.deepEqual(decodeRegistryAuth(encode(auth)), auth);
  assert.deepEqual(decodeRegistryAuth(encode(auth, 'base64')), auth);
});

test('empty headers and fields mean anonymous', () => {
  assert.deepEqual(decodeRegistryAuth(''), {});
  assert.deepEqual(decodeRegistryAuth(encode({})), {});
  assert.deepEqual(decodeRegistryAuth(encode(null)), {});
  assert.deepEqual(decodeRegistryAuth(encode({ username: '', password: '', email: null })), {});
});

test('the pair of a configuration file counts where there is no user name', () => {
  const auth = Buffer.from('joe:a:b').toString('base64');
  assert.deepEqual(decodeRegistryAuth(encode({ auth })), { username: 'joe', password: 'a:b' });
});

test('what is not such a header is refused without being repeated', () => {
  for (const header of ['!', 'c2VjcmV0', encode('secret'), encode([1]), 'a'.repeat(100_000)]) {
    assert.throws(
      () => decodeRegistryAuth(header),
      (error: Error) => error.message.includes('X-Registry-Auth') && !error.message.includes('secret'),
    );
  }
  assert.throws(() => decodeRegistryAuth(encode({ username: 7 })), { kind: 'InvalidParameter' });
});
