import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildMaterial } from '../../build/solve/solved.ts';
import { provenanceOf } from './provenance.ts';

function told(frontendAttrs: Record<string, string>, materials: readonly BuildMaterial[] = []) {
  const order = { ref: 'r', frontend: 'dockerfile.v0', frontendAttrs, exporters: [] };
  return JSON.parse(Buffer.from(provenanceOf(order, materials)).toString()) as {
    materials?: unknown;
    invocation: { configSource: unknown; parameters: unknown };
  };
}

test('a folder of the client: what was ordered, nothing of where it lies', () => {
  const { invocation, ...rest } = told({ filename: 'sub/File', 'build-arg:A': '2', 'cgroup-parent': 'x' });
  assert.equal('materials' in rest, false);
  assert.deepEqual(invocation.configSource, { entryPoint: 'sub/File' });
  assert.deepEqual(invocation.parameters, {
    frontend: 'dockerfile.v0',
    args: { 'build-arg:A': '2' },
    locals: [{ name: 'context' }, { name: 'dockerfile' }],
  });
});

test('addresses lose their passwords', () => {
  const attributes = {
    context: 'https://me:secret@host/x.git#main',
    'context:b': 'https://t0ken@host/y.git',
  };
  const materials = [{ kind: 'git', name: 'https://me:secret@host/x.git#main', pin: 'abc' }] as const;
  const provenance = told(attributes, materials);
  assert.deepEqual(provenance.invocation.configSource, {
    uri: 'https://host/x.git#main',
    entryPoint: 'Dockerfile',
  });
  assert.deepEqual(provenance.materials, [{ uri: 'https://host/x.git#main', digest: { sha1: 'abc' } }]);
  assert.doesNotMatch(JSON.stringify(provenance), /secret|t0ken/);
});

test('images by package URL, whatever their names', () => {
  const pin = `sha256:${'1'.repeat(64)}`;
  const uriOf = (name: string, platform?: string): unknown => {
    const material = { kind: 'image' as const, name, pin, ...(platform === undefined ? {} : { platform }) };
    const [found] = told({}, [material]).materials as { uri: string; digest: unknown }[];
    assert.deepEqual(found?.digest, { sha256: '1'.repeat(64) });
    return found?.uri;
  };
  assert.equal(uriOf('alpine', 'linux/amd64'), 'pkg:docker/alpine@latest?platform=linux%2Famd64');
  assert.equal(uriOf('host:5000/a/b:1'), 'pkg:docker/host%3A5000/a/b@1');
  assert.equal(uriOf(`alpine@${pin}`), `pkg:docker/alpine?digest=${pin}`);
  assert.equal(uriOf('2'.repeat(64)), `pkg:docker/${'2'.repeat(64)}`);
});
