import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testIo } from '../test-io.ts';
import { indentJson, parseExact } from './json-indent.ts';
import { displayPorts } from './ports.ts';
import { printRows, type RowKind } from './rows.ts';
import { alignTable } from './table.ts';
import { ellipsis, shortId } from './text.ts';
import { binarySize, formatG, humanSize } from './units.ts';

test('sizes have four significant digits, or as many as asked for', () => {
  const sizes: [number, number, string][] = [
    [0, 4, '0B'],
    [999, 3, '999B'],
    [1000, 3, '1kB'],
    [5_134_000, 3, '5.13MB'],
    [5_134_000, 4, '5.134MB'],
    [72_800_000, 3, '72.8MB'],
    [999_900_000, 3, '1e+03MB'],
    [1_470_000_000, 3, '1.47GB'],
  ];
  for (const [bytes, precision, text] of sizes) assert.equal(humanSize(bytes, precision), text);
  assert.equal(binarySize(24 * 2 ** 30), '24GiB');
  assert.equal(formatG(0.00001234, 3), '1.23e-05');
});

test('columns are padded by three and at least ten wide, the last not at all', () => {
  assert.equal(
    alignTable(['A\tLONG HEADING\tC', 'aaaaaaaaaaa\tb\tlast one']),
    'A             LONG HEADING   C\naaaaaaaaaaa   b              last one\n',
  );
  assert.equal(alignTable(['é…\tb']), 'é…        b\n');
  assert.equal(alignTable([]), '');
});

const KIND: RowKind<{ name: string; size: number }> = {
  typeName: 'testContext',
  fields: {
    Name: { heading: 'NAME', value: (row) => row.name },
    Size: { heading: 'SIZE', value: (row) => row.size },
  },
  methods: { Label: (row, key) => `${row.name}.${key}` },
};
const ROWS = [
  { name: 'a<b', size: 1 },
  { name: 'c', size: 2 },
];

function rows(format: string | undefined): string {
  const io = testIo();
  printRows(io, KIND, ROWS, format, 'table {{.Name}}\\t{{.Size}}');
  return io.out();
}

test('rows as a table, as JSON, by template', () => {
  assert.equal(rows(undefined), 'NAME      SIZE\na<b       1\nc         2\n');
  assert.equal(rows('table'), rows(''));
  assert.equal(rows('json'), '{"Name":"a\\u003cb","Size":1}\n{"Name":"c","Size":2}\n');
  assert.equal(rows('{{.Name}}\\t{{json .Name}}'), 'a<b\t"a<b"\nc\t"c"\n');
  assert.equal(
    rows('table {{upper .Name}} {{.Label "x.my-key"}}'),
    'NAME my key\nA<B a<b.x.my-key\nC c.x.my-key\n',
  );
  assert.throws(() => rows('{{.Foo}}'), {
    message: `failed to execute template: template: :1:2: executing "" at <.Foo>: can't evaluate field Foo in type *formatter.testContext`,
  });
  assert.throws(() => rows('{{.Name'), {
    message: 'failed to parse template: template: :1: unclosed action',
  });
});

test('ports join to ranges where host and container agree', () => {
  const tcp = (PrivatePort: number, PublicPort?: number, IP?: string) => ({
    PrivatePort,
    Type: 'tcp' as const,
    ...(PublicPort === undefined ? {} : { PublicPort }),
    ...(IP === undefined ? {} : { IP }),
  });
  assert.equal(displayPorts([tcp(80), tcp(81), tcp(90)]), '80-81/tcp, 90/tcp');
  assert.equal(displayPorts([tcp(80, 80, '0.0.0.0'), tcp(81, 81, '0.0.0.0')]), '0.0.0.0:80-81->80-81/tcp');
  assert.equal(
    displayPorts([tcp(80, 8080, '::'), tcp(80, 8080, '0.0.0.0'), tcp(9)]),
    '9/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp',
  );
});

test('JSON is indented without touching its values', () => {
  const text = '[{"a":9223372036854775807,"b":{},"c":[ ],"d":[1,"x,{}:\\""],"e":null}]';
  assert.equal(
    indentJson(text),
    '[\n    {\n        "a": 9223372036854775807,\n        "b": {},\n        "c": [],\n        "d": [\n            1,\n            "x,{}:\\""\n        ],\n        "e": null\n    }\n]',
  );
  assert.deepEqual(parseExact('{"a":9223372036854775807,"b":1.5}'), { a: 9223372036854775807n, b: 1.5 });
});

test('text is cut with an ellipsis, IDs at twelve', () => {
  assert.equal(ellipsis('abcdef', 5), 'abcd…');
  assert.equal(ellipsis('abcde', 5), 'abcde');
  assert.equal(shortId(`sha256:${'ab'.repeat(32)}`), 'abababababab');
});
