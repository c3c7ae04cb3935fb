import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  logLimits,
  parseSyslogAddress,
  syslogFacility,
  validateLogConfig,
  withLogDefaults,
} from './log-options.ts';
import { checkTag, expandTag } from './log-tag.ts';
import type { ContainerRecord } from './record.ts';

function refuses(Type: string, Config: Record<string, string>, message: string): void {
  assert.throws(() => validateLogConfig({ Type, Config }), { kind: 'InvalidParameter', message });
}

test('options are refused with the texts of Docker', () => {
  refuses('json-file', { foo: 'bar' }, "unknown log opt 'foo' for json-file log driver");
  refuses('local', { tag: 'x' }, "unknown log opt 'tag' for log driver local");
  refuses('json-file', { mode: 'x' }, 'logger: logging mode not supported: x');
  const alone = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
  refuses('json-file', { 'max-buffer-size': '1m' }, alone);
  const size = "error parsing option max-buffer-size: invalid size: 'zz'";
  refuses('json-file', { mode: 'non-blocking', 'max-buffer-size': 'zz' }, size);
  refuses('json-file', { 'max-size': '0' }, 'max-size must be a positive number');
  refuses('json-file', { 'max-size': 'abc' }, "invalid size: 'abc'");
  refuses('json-file', { 'max-file': '0' }, 'max-file cannot be less than 1');
  refuses('json-file', { 'max-file': 'x' }, 'strconv.Atoi: parsing "x": invalid syntax');
  refuses('local', { compress: 'maybe' }, 'strconv.ParseBool: parsing "maybe": invalid syntax');
  const files = 'compress cannot be true when max-file is less than 2 or max-size is not set';
  refuses('json-file', { compress: 'true', 'max-file': '1' }, files);
  refuses('syslog', { 'syslog-facility': 'zz' }, 'invalid syslog facility');
  refuses('syslog', { 'syslog-format': 'zz' }, 'Invalid syslog format');
  const form = 'syslog-address should be in form proto://address, got foo://x';
  refuses('syslog', { 'syslog-address': 'foo://x' }, form);
  refuses('syslog', { 'syslog-address': 'unix:///nonex' }, 'stat /nonex: no such file or directory');
  refuses('zzz', {}, "logger: no log driver named 'zzz' is registered");
  assert.throws(() => validateLogConfig({ Type: 'gelf', Config: {} }), { kind: 'NotImplemented' });
  assert.throws(() => validateLogConfig({ Type: 'syslog', Config: { 'syslog-tls-key': 'x' } }), {
    kind: 'NotImplemented',
  });
});

test('what Docker takes is taken', () => {
  validateLogConfig({ Type: 'none', Config: { whatever: 'x' } });
  validateLogConfig({ Type: 'local', Config: { 'max-size': '10m', 'max-file': '1' } });
  const attributes = { labels: 'a,b', 'labels-regex': '^x', env: 'c', 'env-regex': 'y$', tag: '{{.Name}}' };
  validateLogConfig({ Type: 'json-file', Config: { ...attributes, mode: 'blocking' } });
  validateLogConfig({ Type: 'syslog', Config: { ...attributes, 'syslog-address': 'udp://h:1' } });
});

test('sizes count in thousands, and rotation is on by default', () => {
  assert.deepEqual(logLimits('json-file', {}), { maxBytes: 20_000_000, maxFiles: 5, compress: false });
  assert.deepEqual(logLimits('local', { 'max-size': '1.5k' }), {
    maxBytes: 1500,
    maxFiles: 5,
    compress: true,
  });
  assert.equal(logLimits('local', { 'max-file': '1' }).compress, false);
  assert.equal(logLimits('json-file', { 'max-size': '-1' }).maxBytes, 0);
  assert.equal(logLimits('journald', { 'cache-max-file': '2' }).maxFiles, 2);
});

test("the daemon's options are for the daemon's driver only", () => {
  const defaults = { logDriver: 'local', logOpts: { 'max-file': '3' } };
  assert.deepEqual(withLogDefaults(null, defaults), { Type: 'local', Config: { 'max-file': '3' } });
  const own = { Type: 'local', Config: { 'max-file': '7' } };
  assert.deepEqual(withLogDefaults(own, defaults), own);
  assert.deepEqual(withLogDefaults({ Type: 'none' }, defaults), { Type: 'none', Config: {} });
});

test('addresses and facilities of syslog', () => {
  assert.deepEqual(parseSyslogAddress('tcp://[::1]:601'), {
    protocol: 'tcp',
    path: '',
    host: '::1',
    port: 601,
  });
  assert.equal(parseSyslogAddress('udp://logs.example').port, 514);
  assert.throws(() => parseSyslogAddress('tcp://1.2.3.4:99:9'), { kind: 'InvalidParameter' });
  assert.equal(syslogFacility(''), 3);
  assert.equal(syslogFacility('local7'), 23);
  assert.equal(syslogFacility('16'), 16);
});

test('tags are filled from the container, and unknown fields refused', () => {
  const record = {
    id: 'a'.repeat(64),
    name: 'web',
    image: 'nginx:1',
    imageId: `sha256:${'b'.repeat(64)}`,
    config: {},
  } as ContainerRecord;
  const tag = '{{.ImageName}}/{{ .Name }}/{{.ID}}-{{.ImageID}}';
  checkTag(tag);
  assert.equal(expandTag(tag, record), `nginx:1/web/${'a'.repeat(12)}-${'b'.repeat(12)}`);
  assert.throws(() => checkTag('{{.Foo}}'), { message: /can't evaluate field Foo in type \*logger.Info$/ });
  assert.throws(() => checkTag('{{if .ID}}x{{end}}'), { kind: 'InvalidParameter' });
});
