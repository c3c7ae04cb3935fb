import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plotSvg } from './plot.ts';

const plot = {
  title: 'start <by> layers & "more"',
  xLabel: 'layers',
  yLabel: 'ms',
  lines: [
    { name: 'one', points: [[0, 100] as const, [50, 150] as const, [100, 198] as const] },
    { name: 'two', points: [[0, 300] as const, [100, 900] as const] },
  ],
};

function circles(svg: string): { x: number; y: number }[] {
  return [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map((match) => ({
    x: Number(match[1]),
    y: Number(match[2]),
  }));
}

test('points lie where the axes say, both from zero', () => {
  const svg = plotSvg(plot);
  const [first, second, third, , last] = circles(svg);
  assert.deepEqual([first?.x, second?.x, third?.x], [72, 384, 696]);
  // The y axis goes to 1000: 52 is its top, 340 its bottom.
  assert.equal(first?.y, 340 - 28.8);
  assert.equal(last?.y, 80.8);
});

test('ticks are round numbers, and every line has its legend', () => {
  const svg = plotSvg(plot);
  const texts = [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map((match) => match[1]);
  assert.deepEqual(
    ['0', '200', '400', '600', '800', '1,000'].filter((tick) => !texts.includes(tick)),
    [],
  );
  assert.ok(['20', '40', '60', '80', '100'].every((tick) => texts.includes(tick)));
  assert.ok(
    texts.includes('one') && texts.includes('two') && texts.includes('layers') && texts.includes('ms'),
  );
});

test('text is escaped, and colours follow the scheme of the page', () => {
  const svg = plotSvg(plot);
  assert.ok(svg.includes('start &lt;by&gt; layers &amp; &quot;more&quot;'));
  assert.ok(!svg.includes('<by>'));
  assert.ok(svg.includes('prefers-color-scheme:dark'));
  // Text is read on a ground of the plot's own.
  assert.ok(svg.indexOf('<rect class="page"') < svg.indexOf('<text'));
  assert.match(svg, /\.page\{fill:#ffffff\}.*dark\)\{\.page\{fill:#0d1117\}/s);
});

test('fractions and a single point can be drawn; nothing cannot', () => {
  const lines = [{ name: 'one', points: [[3, 0.0042] as const] }];
  assert.match(plotSvg({ ...plot, lines }), />0\.005</);
  assert.throws(() => plotSvg({ ...plot, lines: [] }), /has no points/);
});
