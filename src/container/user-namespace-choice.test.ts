import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineContext } from './engine-context.ts';
import type { ContainerRecord } from './record.ts';
import { releaseRange } from './user-namespace-choice.ts';

function engineWith(containers: readonly Partial<ContainerRecord>[], givenBack: string[]): EngineContext {
  return {
    containers: { all: () => containers.map((record) => ({ id: record.id, record })) },
    userNamespaces: { ranges: { giveBack: (id: string) => givenBack.push(id) } },
  } as unknown as EngineContext;
}

const range = { uids: [], gids: [] };

test('a range goes with the last container that is in it', () => {
  const givenBack: string[] = [];
  const owner = { id: 'owner', userNamespace: range } as unknown as ContainerRecord;
  const joined = { id: 'joined', userNamespace: { ...range, joins: 'owner' } } as unknown as ContainerRecord;
  releaseRange(engineWith([joined], givenBack), owner);
  assert.deepEqual(givenBack, []);
  releaseRange(engineWith([], givenBack), joined);
  assert.deepEqual(givenBack, ['owner']);
});

test('the removal of a container without a user namespace looks at no other', () => {
  const engine = {
    containers: { all: () => assert.fail('all containers are gone through') },
    userNamespaces: { ranges: { giveBack: () => assert.fail('a range is given back') } },
  } as unknown as EngineContext;
  releaseRange(engine, { id: 'plain' } as ContainerRecord);
});
