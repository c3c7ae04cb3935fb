import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inRange, maskProxy, parseProxy, proxyFor } from './proxy.ts';

const PROXY = 'http://proxy:3128';

test('which requests go through a proxy', () => {
  const env = {
    HTTPS_PROXY: PROXY,
    no_proxy: 'internal, .corp.example ,10.0.0.0/8,reg.example:5000,192.168.1.1,fd00::/8',
  };
  const through = (url: string): boolean => proxyFor(new URL(url), env) !== undefined;
  const direct = [
    'https://internal',
    'https://a.internal',
    'https://x.corp.example',
    'https://10.1.2.3:5000',
    'https://reg.example:5000',
    'https://192.168.1.1',
    'https://[fd00::1]',
    'https://localhost:5000',
    'https://127.1.2.3',
    'https://[::1]:5000',
    'http://other',
  ];
  for (const url of direct) assert.equal(through(url), false, url);
  for (const url of [
    'https://other',
    'https://reg.example',
    'https://notinternal',
    'https://11.1.2.3',
    'https://192.168.1.10',
  ]) {
    assert.equal(through(url), true, url);
  }
  assert.equal(proxyFor(new URL('http://x'), { http_proxy: 'proxy:3128' }), PROXY);
  assert.equal(proxyFor(new URL('https://x'), { HTTPS_PROXY: PROXY, NO_PROXY: '*' }), undefined);
});

test('address ranges', () => {
  assert.equal(inRange('127.0.0.9', '127.0.0.0/8'), true);
  assert.equal(inRange('::1', '::1/128'), true);
  for (const range of ['x/8', '127.0.0.0', '127.0.0.0/99', '127.0.0.0/x', '::/0', '']) {
    assert.equal(inRange('127.0.0.9', range), false, range);
  }
});

test('upper case goes before lower case, and a leading dot or `*.` leaves the domain itself out', () => {
  const env = { HTTP_PROXY: 'http://upper', http_proxy: 'http://lower', NO_PROXY: '.a.example,*.b.example' };
  assert.equal(proxyFor(new URL('http://x'), env), 'http://upper');
  assert.equal(proxyFor(new URL('http://x'), { ...env, HTTP_PROXY: '' }), 'http://lower');
  for (const host of ['a.example', 'b.example'])
    assert.notEqual(proxyFor(new URL(`http://${host}`), env), undefined, host);
  for (const host of ['x.a.example', 'x.b.example'])
    assert.equal(proxyFor(new URL(`http://${host}`), env), undefined, host);
});

test('proxies of other protocols are refused, and passwords are never shown', () => {
  assert.equal(parseProxy('joe:pw@proxy:3128'), 'http://joe:pw@proxy:3128');
  for (const proxy of ['socks5://joe:secret@proxy', 'http://joe:secret@', 'joe:secret@[proxy']) {
    assert.throws(
      () => parseProxy(proxy),
      (error: Error) => /^invalid proxy/.test(error.message) && !error.message.includes('secret'),
    );
  }
  assert.equal(maskProxy('http://joe:p@w@proxy:3128/'), 'http://xxxxx:xxxxx@proxy:3128/');
  assert.equal(maskProxy('joe:pw@proxy'), 'xxxxx:xxxxx@proxy');
  assert.equal(maskProxy('http://proxy:3128/a@b'), 'http://proxy:3128/a@b');
});
