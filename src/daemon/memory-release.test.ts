import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdleWatch } from './memory-release.ts';

function watched(): { use(ms: number): void; look(): void; releases(): number } {
  let cpuMs = 0;
  let releases = 0;
  const watch = new IdleWatch({
    cpuMs: () => cpuMs,
    release: () => {
      releases += 1;
      cpuMs += 30;
    },
  });
  return {
    use: (ms) => {
      cpuMs += ms;
    },
    look: () => watch.look(),
    releases: () => releases,
  };
}

test('memory is released once after work, when it is over', () => {
  const { use, look, releases } = watched();
  use(700);
  look();
  assert.equal(releases(), 0, 'it still works');
  use(10);
  look();
  assert.equal(releases(), 0, 'its threads may still be there');
  look();
  assert.equal(releases(), 1);
  for (let n = 0; n < 5; n++) look();
  assert.equal(releases(), 1, 'a release is no work');
});

test('little work is let be until it adds up', () => {
  const { use, look, releases } = watched();
  for (let n = 0; n < 7; n++) {
    use(40);
    look();
  }
  assert.equal(releases(), 0);
  use(40);
  look();
  assert.equal(releases(), 1);
});
