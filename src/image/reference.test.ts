import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  canonicalString,
  familiarName,
  familiarString,
  parseReference,
  withDefaultTag,
} from './reference.ts';

const HEX = '7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa';

test('familiar names stand for full ones', () => {
  const cases: [string, string, string][] = [
    ['ubuntu', 'docker.io/library/ubuntu:latest', 'ubuntu:latest'],
    ['docker.io/ubuntu:22.04', 'docker.io/library/ubuntu:22.04', 'ubuntu:22.04'],
    ['index.docker.io/library/ubuntu', 'docker.io/library/ubuntu:latest', 'ubuntu:latest'],
    ['user/app', 'docker.io/user/app:latest', 'user/app:latest'],
    ['library/foo/bar', 'docker.io/library/foo/bar:latest', 'library/foo/bar:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/x:1', 'localhost:5000/x:1', 'localhost:5000/x:1'],
    ['LOCAL/app', 'LOCAL/app:latest', 'LOCAL/app:latest'],
    ['example.com/a/b/c', 'example.com/a/b/c:latest', 'example.com/a/b/c:latest'],
    ['[fc00::1]:5000/docker', '[fc00::1]:5000/docker:latest', '[fc00::1]:5000/docker:latest'],
    ['192.168.0.1:80', 'docker.io/library/192.168.0.1:80', '192.168.0.1:80'],
    ['docker---rules/dock__er', 'docker.io/docker---rules/dock__er:latest', 'docker---rules/dock__er:latest'],
    [`a@sha256:${HEX}`, `docker.io/library/a@sha256:${HEX}`, `a@sha256:${HEX}`],
    [`a:t@sha256:${HEX}`, `docker.io/library/a:t@sha256:${HEX}`, `a:t@sha256:${HEX}`],
    [`docker.io/${HEX}`, `docker.io/library/${HEX}:latest`, `${HEX}:latest`],
  ];
  for (const [text, canonical, familiar] of cases) {
    const reference = withDefaultTag(parseReference(text));
    assert.equal(canonicalString(reference), canonical, text);
    assert.equal(familiarString(reference), familiar, text);
  }
  assert.equal(familiarName(parseReference('docker.io/library/redis:7')), 'redis');
});

test('malformed references are refused with Docker’s texts', () => {
  const format = 'invalid reference format';
  const cases: [string, string][] = [
    ['', format],
    ['Foo', `${format}: repository name (library/Foo) must be lowercase`],
    ['docker/Docker', `${format}: repository name (docker/Docker) must be lowercase`],
    [HEX, `invalid repository name (${HEX}), cannot specify 64-byte hexadecimal strings`],
    ['https://github.com/docker/docker', format],
    ['-docker', format],
    ['docker-/docker', format],
    ['docker///docker', format],
    ['docker/', format],
    ['dock..er/docker', format],
    ['dock_.er/docker', format],
    ['_docker/_docker', format],
    ['[fc00::1]', format],
    ['[fe80::1%eth0]:5000/debian', format],
    ['fc00::1:5000/debian', format],
    ['a:', format],
    ['a:-x', format],
    [`a:${'x'.repeat(129)}`, format],
    ['a@sha256:abc', format],
    ['a b', format],
    ['a\n', format],
    ['aé', format],
    [`a@sha512:${HEX}`, 'unsupported digest algorithm'],
    [`a@sha256:${HEX}00`, 'invalid checksum digest length'],
    [`a@sha256:${HEX.toUpperCase()}`, 'invalid checksum digest format'],
    [`${'a/'.repeat(127)}aaa`, 'repository name must not be more than 255 characters'],
    ['a'.repeat(100_000), format],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseReference(text), { kind: 'InvalidParameter', message }, text.slice(0, 80));
  }
});

test('a name of Docker Hub that looks like one of another registry keeps its domain', () => {
  const reference = parseReference('docker.io/example.com/app:1');
  assert.equal(familiarString(reference), 'docker.io/example.com/app:1');
  assert.deepEqual(parseReference(familiarString(reference)), reference);
});
