import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkShape, type Shape } from './shape.ts';

const SHAPE: Shape = {
  object: {
    Name: 'string',
    Count: 'integer',
    Names: { list: 'string' },
    Sizes: { list: 'integer' },
    Labels: { map: 'string' },
    Ports: { map: { list: { object: { Port: 'string' } } } },
    Points: { map: { object: { Address: 'string' } } },
    Pools: { list: { object: { Subnet: 'string' } } },
  },
};

function settled(body: unknown): unknown {
  checkShape(body, SHAPE, '');
  return body;
}

test('null is what Go makes of it', () => {
  const body = JSON.parse(`{
    "Name": null, "Names": ["a", null], "Sizes": [null, 2], "Labels": {"a": null, "__proto__": null},
    "Ports": {"80/tcp": null, "81/tcp": [null]}, "Points": {"x": null}, "Pools": [null], "other": [null]
  }`) as Record<string, unknown>;
  settled(body);
  assert.equal(
    JSON.stringify(body),
    '{"Name":null,"Names":["a",""],"Sizes":[0,2],"Labels":{"a":"","__proto__":""},' +
      '"Ports":{"80/tcp":null,"81/tcp":[{}]},"Points":{"x":null},"Pools":[{}],"other":[null]}',
  );
  assert.equal(settled(undefined), undefined);
});

test('a wrong type is refused by the name of its field', () => {
  for (const [body, message] of [
    [{ Name: 1 }, 'invalid JSON: cannot read number 1 as string in field Name'],
    [{ Count: 1.5 }, 'invalid JSON: cannot read number 1.5 as integer in field Count'],
    [{ Names: 'a' }, 'invalid JSON: cannot read string "a" as array in field Names'],
    [{ Names: ['a', {}] }, 'invalid JSON: cannot read object {} as string in field Names[1]'],
    [{ Labels: { a: 1 } }, 'invalid JSON: cannot read number 1 as string in field Labels.a'],
    [
      { Ports: { x: [{ Port: 1 }] } },
      'invalid JSON: cannot read number 1 as string in field Ports.x[0].Port',
    ],
    [[], 'invalid JSON: cannot read array [] as object in field (body)'],
  ] as const) {
    assert.throws(() => settled(body), { kind: 'InvalidParameter', message });
  }
});

test('fields that every object has are no fields of the shape', () => {
  assert.deepEqual(settled({ constructor: 'x', toString: {} }), { constructor: 'x', toString: {} });
});
