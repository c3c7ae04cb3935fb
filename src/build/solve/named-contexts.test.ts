/** Which named context a name of the Dockerfile means. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePlatform } from '../../image/platform.ts';
import { NamedContexts } from './named-contexts.ts';

const AMD = parsePlatform('linux/amd64');
const ARM = parsePlatform('linux/arm64');

test('names are those of images, `latest` need not be said, a platform comes first', () => {
  const spec = { kind: 'session', name: 'x' } as const;
  const contexts = new NamedContexts({
    'docker.io/library/alpine:latest': spec,
    'tools::linux/arm64': spec,
    tools: spec,
    'host:5000/a:1': spec,
    Odd: spec,
    part: { kind: 'stage', name: 'Builder' },
  });
  const found = (name: string, platform = AMD) => contexts.find(name, platform)?.name;
  assert.equal(found('alpine'), 'docker.io/library/alpine:latest');
  assert.equal(found('alpine:3'), undefined);
  assert.equal(found('tools'), 'tools');
  assert.equal(found('docker.io/library/tools:latest', ARM), 'tools::linux/arm64');
  assert.equal(found('host:5000/a:1'), 'host:5000/a:1');
  assert.equal(found('host:5000/a'), undefined);
  assert.equal(found('Odd'), 'Odd');
  assert.equal(found('0'), undefined);
  assert.deepEqual(contexts.find('part', AMD), { name: 'part', stage: 'Builder' });
  assert.equal(new NamedContexts({}).find('__proto__', AMD), undefined);
});
