import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ContainerCreateRequest } from '../../api/containers.ts';
import { type Respond, sendJson } from '../../client/fake-daemon.ts';
import { mydock } from '../run-in-test.ts';
import { proxyVariables, withProxies } from './proxies.ts';

test('proxies of a daemon go before the default ones, in capitals and small letters', () => {
  const proxies = {
    default: { httpProxy: 'http://d', noProxy: 'a,b', allProxy: '', other: 'x', ftpProxy: 1 },
    'tcp://far:2375': { httpsProxy: 'http://f', allProxy: 'socks://f', ftpProxy: 'ftp://f' },
    'tcp://none': null,
  };
  assert.deepEqual(proxyVariables(proxies, 'unix:///run/mydock.sock'), {
    HTTP_PROXY: 'http://d',
    http_proxy: 'http://d',
    NO_PROXY: 'a,b',
    no_proxy: 'a,b',
  });
  assert.deepEqual(proxyVariables(proxies, 'tcp://far:2375'), {
    HTTPS_PROXY: 'http://f',
    https_proxy: 'http://f',
    FTP_PROXY: 'ftp://f',
    ftp_proxy: 'ftp://f',
    ALL_PROXY: 'socks://f',
    all_proxy: 'socks://f',
  });
  assert.deepEqual(proxyVariables(proxies, 'tcp://none'), {});
  assert.deepEqual(proxyVariables({}, 'constructor'), {});
});

test('a variable that was given stays as it is, each spelling for itself', () => {
  const proxies = { HTTP_PROXY: 'p', http_proxy: 'p', NO_PROXY: 'n', no_proxy: 'n' };
  assert.deepEqual(withProxies(['A=b', 'HTTP_PROXY=', 'no_proxy'], proxies), [
    'A=b',
    'HTTP_PROXY=',
    'no_proxy',
    'http_proxy=p',
    'NO_PROXY=n',
  ]);
});

test('run and create ask for them; a configuration that cannot be read is told', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mydock-proxies-'));
  const path = join(folder, 'config.json');
  const respond: Respond = ({ url }, response) =>
    sendJson(response, url.includes('/create') ? { Id: 'ab'.repeat(32), Warnings: [] } : {});
  const environment = async (...words: string[]): Promise<{ env: unknown; error: string; code: number }> => {
    const { daemon, io, exitCode } = await mydock(words, respond, { env: { DOCKER_CONFIG: folder } });
    const body = JSON.parse(daemon.requests[0]?.body ?? '{}') as ContainerCreateRequest;
    return { env: body.Env, error: io.err(), code: exitCode };
  };
  try {
    writeFileSync(path, JSON.stringify({ proxies: { default: { httpsProxy: 'http://p:1' } } }));
    const expected = ['A=b', 'https_proxy=own', 'HTTPS_PROXY=http://p:1'];
    const flags = ['-e', 'A=b', '-e', 'https_proxy=own'];
    assert.deepEqual(await environment('create', ...flags, 'image'), { env: expected, error: '', code: 0 });
    assert.deepEqual(await environment('run', '-d', ...flags, 'image'), {
      env: expected,
      error: '',
      code: 0,
    });
    writeFileSync(path, '{');
    const { env, error, code } = await environment('create', 'image');
    assert.deepEqual([env, code], [[], 0]);
    assert.match(error, /^WARNING: Error parsing config file \(.*config\.json\)/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
