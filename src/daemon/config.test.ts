import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { daemonCommand, readConfig } from './config.ts';

const directory = mkdtempSync(join(tmpdir(), 'mydock-config-'));
after(() => rmSync(directory, { recursive: true }));

function file(content: unknown): string {
  const path = join(directory, 'daemon.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const read = (...args: string[]) => readConfig(daemonCommand().exitOverride(), args);

test('flags are repeatable where Docker’s are', () => {
  const config = read(
    '--host',
    'unix:///a',
    '-H',
    'unix:///b',
    '--registry-mirror',
    'http://m',
    '--log-opt',
    'max-size=1m',
  );
  assert.deepEqual(config.hosts, ['unix:///a', 'unix:///b']);
  assert.deepEqual(config.registryMirrors, ['http://m']);
  assert.deepEqual(config.logOpts, { 'max-size': '1m' });
});

test('the file has Docker’s key names; lists of both places are joined', () => {
  const path = file({
    'data-root': '/d',
    hosts: ['unix:///f'],
    'log-opts': { 'max-file': '2' },
    debug: true,
  });
  const config = read('--config-file', path, '--host', 'unix:///a');
  assert.equal(config.dataRoot, '/d');
  assert.deepEqual(config.hosts, ['unix:///f', 'unix:///a']);
  assert.deepEqual(config.logOpts, { 'max-file': '2' });
  assert.equal(config.logLevel, 'debug');
});

test('a directive in both places, an unknown one and a wrong type are refused by name', () => {
  assert.throws(
    () => read('--config-file', file({ 'data-root': '/d' }), '--data-root', '/e'),
    /specified both as a flag and in the configuration file: data-root/,
  );
  assert.throws(() => read('--config-file', file({ 'no-such': 1 })), /no-such/);
  assert.throws(() => read('--config-file', file({ hosts: 'unix:///a' })), /"hosts": invalid value/);
  assert.throws(() => read('--config-file', file('{')), /cannot be read/);
  assert.throws(() => read('--config-file', join(directory, 'missing')), /does not exist/);
});

test('paths and levels are checked', () => {
  assert.throws(() => read('--data-root', 'relative'), /not an absolute path/);
  assert.throws(() => read('--exec-root', `/${'x'.repeat(60)}`), /longer than 40 bytes/);
  assert.throws(() => read('--log-level', 'loud'), /invalid --log-level "loud"/);
});

test('runtimes: an object of the file, as in Docker, and NAME=PATH', () => {
  const path = file({ runtimes: { crun: { path: '/usr/bin/crun', runtimeArgs: ['--debug'] } } });
  const config = read(
    '--config-file',
    path,
    '--add-runtime',
    'runc=/usr/bin/runc',
    '--default-runtime',
    'crun',
  );
  assert.deepEqual(config.runtimes, {
    crun: { path: '/usr/bin/crun', runtimeArgs: ['--debug'] },
    runc: { path: '/usr/bin/runc', runtimeArgs: [] },
  });
  assert.equal(config.defaultRuntime, 'crun');
  assert.equal(read().defaultRuntime, 'mydock-runtime');
  for (const [runtimes, message] of [
    [
      { kata: { runtimeType: 'io.containerd.kata.v2' } },
      /runtime "kata": "runtimeType" names a containerd shim/,
    ],
    [{ x: { path: '/x', args: [] } }, /runtime "x": unknown key "args"/],
    [{ x: { path: '/x', runtimeArgs: 'y' } }, /runtime "x": "runtimeArgs" is not a list of texts/],
    [{ x: {} }, /runtime "x": "path" is not a text/],
    [{ x: '/x' }, /runtime "x": expected an object/],
    ['x', /"runtimes": invalid value/],
  ] as const) {
    assert.throws(() => read('--config-file', file({ runtimes })), message);
  }
  assert.throws(() => read('--add-runtime', 'crun'), /invalid runtime argument "crun": expected NAME=PATH/);
});

test('limits of downloads', () => {
  assert.equal(read().maxDownloadRate, 0);
  assert.equal(read('--max-download-rate', '10M').maxDownloadRate, 10 * 1024 * 1024);
  assert.equal(read('--max-download-rate', '1.5kB').maxDownloadRate, 1536);
  assert.equal(read('--max-download-rate', '2GiB').maxDownloadRate, 2 * 1024 ** 3);
  assert.equal(read('--config-file', file({ 'max-download-rate': 5000 })).maxDownloadRate, 5000);
  assert.equal(read().maxDownloadAttempts, 5);
  assert.equal(read('--max-download-attempts', '9').maxDownloadAttempts, 9);
  for (const wrong of ['fast', '-1', '10X', '', '1e3']) {
    assert.throws(() => read(`--max-download-rate=${wrong}`), {
      message: /--max-download-rate: invalid value/,
    });
  }
  assert.throws(() => read('--max-download-attempts', '0'), { message: /--max-download-attempts: invalid/ });
});

test('proxies are an object of the file, as in Docker, and flags of the command line', () => {
  const path = file({ proxies: { 'http-proxy': 'http://p', 'no-proxy': 'a,b' }, 'pull-stale': true });
  const config = read('--config-file', path, '--https-proxy', 'http://q');
  assert.deepEqual(
    [config.httpProxy, config.httpsProxy, config.noProxy, config.pullStale],
    ['http://p', 'http://q', 'a,b', true],
  );
  assert.throws(
    () => read('--config-file', path, '--http-proxy', 'http://q'),
    /both as a flag and in the configuration file: proxies\.http-proxy/,
  );
  assert.throws(() => read('--config-file', file({ proxies: { ftp: 'x' } })), /proxies\.ftp/);
  assert.throws(() => read('--config-file', file({ proxies: 'http://p' })), /"proxies": invalid value/);
  assert.equal(read().pullStale, false);
});
