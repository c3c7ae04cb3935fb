/** The API versions that clients may ask for: 1.24 to 1.51, with and without prefix. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const message = (text: string): string => (JSON.parse(text) as { message: string }).message;

test('every version from 1.24 to 1.51 is answered, and so is none', async () => {
  const prefixes = ['', ...Array.from({ length: 28 }, (_, i) => `/v1.${24 + i}`)];
  for (const prefix of prefixes) {
    for (const path of [
      '/_ping',
      '/version',
      '/info',
      '/containers/json?all=1',
      '/images/json',
      '/networks',
    ]) {
      const { status, headers } = await daemon.api('GET', `${prefix}${path}`);
      assert.equal(status, 200, `${prefix}${path}`);
      assert.equal(headers['api-version'], '1.51');
    }
    const created = await daemon.api('POST', `${prefix}/containers/create`, {
      Image: 'busybox',
      Cmd: ['true'],
    });
    assert.equal(created.status, 201, prefix);
    const { Id } = created.json<{ Id: string }>();
    assert.equal((await daemon.api('POST', `${prefix}/containers/${Id}/start`)).status, 204, prefix);
    const waited = await daemon.api('POST', `${prefix}/containers/${Id}/wait`);
    assert.equal(waited.json<{ StatusCode: number }>().StatusCode, 0, prefix);
    assert.equal((await daemon.api('DELETE', `${prefix}/containers/${Id}`)).status, 204, prefix);
  }
});

test('versions are plain major.minor wherever they are reported', async () => {
  const version = (await daemon.api('GET', '/version')).json<Record<string, unknown>>();
  assert.equal(version['ApiVersion'], '1.51');
  assert.equal(version['MinAPIVersion'], '1.24');
  assert.match(String(version['Version']), /^\d+\.\d+\.\d+/);
  assert.equal((await daemon.api('HEAD', '/_ping')).headers['api-version'], '1.51');
});

test('other versions are refused in the words that clients look for', async () => {
  const old = await daemon.api('GET', '/v1.23/version');
  assert.equal(old.status, 400);
  assert.match(message(old.text), /client version 1\.23 is too old\. Minimum supported API version is 1\.24/);
  const young = await daemon.api('GET', '/v1.52/version');
  assert.equal(young.status, 400);
  assert.match(
    message(young.text),
    /client version 1\.52 is too new\. Maximum supported API version is 1\.51/,
  );
});
