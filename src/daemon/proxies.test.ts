import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyEnvironment, shownProxies } from './proxies.ts';

test('the configuration goes before the environment, and passwords are not shown', () => {
  const config = { httpProxy: '', httpsProxy: 'http://joe:secret@p:1', noProxy: '' };
  const env = proxyEnvironment(config, { http_proxy: 'q:2', HTTPS_PROXY: 'http://r', NO_PROXY: 'a,b' });
  assert.deepEqual(env, { HTTP_PROXY: 'q:2', HTTPS_PROXY: 'http://joe:secret@p:1', NO_PROXY: 'a,b' });
  assert.deepEqual(shownProxies(env), {
    HttpProxy: 'q:2',
    HttpsProxy: 'http://xxxxx:xxxxx@p:1',
    NoProxy: 'a,b',
  });
  const wrong = { httpProxy: 'socks5://p', httpsProxy: '', noProxy: '' };
  assert.throws(() => proxyEnvironment(wrong, {}), { kind: 'InvalidParameter' });
});
