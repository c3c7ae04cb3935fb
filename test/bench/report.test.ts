import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { tableText, writeDocument } from './report.ts';
import { Results } from './results.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'report-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function filled(): Results {
  const results = new Results(join(folder, 'results.json'));
  results.setEngines([
    { name: 'mydock', version: '1' },
    { name: 'Docker', version: '2' },
  ]);
  results.setOrder(['first', 'second', 'third'], ['curve']);
  const row = { key: 'key', unit: 'ms' };
  results.addRow({
    ...row,
    title: 'second',
    values: { mydock: 20 },
    rounds: { mydock: 10 },
    failures: { Docker: 'x' },
  });
  results.addRow({
    ...row,
    title: 'first',
    values: { mydock: 20, Docker: 50 },
    rounds: { mydock: 10, Docker: 3 },
    failures: {},
  });
  results.addCurve({
    key: 'curve',
    title: 'a curve',
    xLabel: 'things',
    unit: 's',
    rounds: 2,
    points: [
      { x: 0, values: { mydock: 1, Docker: 2 } },
      { x: 5, values: { mydock: 1 } },
    ],
    failures: {},
  });
  return results;
}

test('the table has what was measured, in order, with ratios, rounds, and what failed', () => {
  assert.deepEqual(tableText(filled()).split('\n').slice(2), [
    '| first | 20 ms | 50 ms | 1 : 2.5 | 10, 3 |',
    '| second | 20 ms | failed | – | 10 |',
  ]);
});

test('what an interrupted run has kept is found again; what failed counts as not measured', () => {
  filled();
  const again = new Results(join(folder, 'results.json'));
  assert.deepEqual(
    ['first', 'second', 'third'].map((title) => again.hasRow(title)),
    [true, false, false],
  );
  assert.equal(again.hasCurve('curve'), true);
  assert.equal(again.hasCurve('another'), false);
});

test('results of another form are not taken', () => {
  const path = join(folder, 'old.json');
  writeFileSync(path, JSON.stringify({ rows: { first: { rounds: 3 } }, order: { titles: ['first'] } }));
  assert.deepEqual(new Results(path).rows(), []);
});

test('a document keeps its sections, and shows the plots that lie beside it', () => {
  const path = join(folder, 'benchmarks.md');
  writeFileSync(path, '# Old\n\n| old | table |\n\n## By hand\n\nkept\n');
  writeDocument(path, filled());
  const text = readFileSync(path, 'utf8');
  assert.ok(text.startsWith('# Benchmarks\n') && !text.includes('old'), text);
  assert.ok(text.endsWith('\n## By hand\n\nkept\n'), text);
  assert.ok(text.includes('![a curve](plots/curve.svg)'), text);
  assert.ok(existsSync(join(folder, 'plots/curve.svg')));
});
