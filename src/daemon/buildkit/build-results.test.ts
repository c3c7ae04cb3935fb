import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { DefinitionSchema, OpSchema } from '../../api/buildkit/types_pb.ts';
import type { SolvedBuild } from '../../build/solve/solved.ts';
import { BuildResults, resultDefinition, resultOf } from './build-results.ts';

function solved(): SolvedBuild & { released: number } {
  const build = {
    released: 0,
    images: [],
    epochSeconds: 0,
    materials: [],
    trail: [],
    cacheMounts: [],
    cacheTo: [],
    release: () => {
      build.released += 1;
      return Promise.resolve();
    },
  };
  return build;
}

test('a result stays until all that take from it are over', async () => {
  const results = new BuildResults();
  const build = solved();
  const { ref, held } = results.add(build);
  const other = results.hold(ref);
  assert.equal(other?.solved, build);
  await held.release();
  assert.equal(build.released, 0);
  assert.ok(results.hold(ref) !== undefined);
  await other.release();
  assert.equal(build.released, 0);
});

test('the last to let go releases it, and nobody gets it afterwards', async () => {
  const results = new BuildResults();
  const build = solved();
  const { ref, held } = results.add(build);
  await held.release();
  assert.equal(build.released, 1);
  assert.equal(results.hold(ref), undefined);
  assert.equal(results.hold('other'), undefined);
});

test('definitions name results; those of others are none of ours', () => {
  const definition = create(DefinitionSchema, resultDefinition('abc'));
  assert.equal(resultOf(definition), 'abc');
  // The first step is described, as clients check, and the last one has it as input.
  const last = fromBinary(OpSchema, definition.def.at(-1) ?? new Uint8Array());
  assert.deepEqual(Object.keys(definition.metadata), [last.inputs[0]?.digest]);
  const step = (identifier: string): Uint8Array =>
    toBinary(OpSchema, create(OpSchema, { source: { identifier } }));
  const graph = (...identifiers: string[]) => create(DefinitionSchema, { def: identifiers.map(step) });
  assert.equal(resultOf(graph('docker-image://busybox')), undefined);
  assert.equal(resultOf(graph('mydock-result://abc', 'local://context')), undefined);
  assert.equal(resultOf(graph()), undefined);
  assert.equal(resultOf(graph(...Array.from({ length: 101 }, () => 'mydock-result://abc'))), undefined);
  assert.throws(() => resultOf(create(DefinitionSchema, { def: [Buffer.from([0xff, 0xff])] })), {
    code: 'Internal',
  });
});
