/** Only the same registry, the closest names first, and not many. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountSources } from './mount-sources.ts';

test('repositories of the target’s registry, those with a like name first', () => {
  const known = [
    'docker.io/library/debian',
    'docker.io/team/tools/base',
    'docker.io/team/app',
    'ghcr.io/team/app',
    'docker.io/other/app',
    'docker.io/team/tools/app',
  ];
  assert.deepEqual(mountSources(known, 'docker.io/team/tools/app'), [
    'team/tools/base',
    'team/app',
    'library/debian',
  ]);
  assert.deepEqual(mountSources(known, 'ghcr.io/team/new'), ['team/app']);
  assert.deepEqual(mountSources(known, 'quay.io/team/app'), []);
});
