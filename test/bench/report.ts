/** What was measured, as the table and the plots of docs/benchmarks.md. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { plotSvg } from './plot.ts';
import type { Curve, Results, Row } from './results.ts';

export function shown(value: number, unit: string): string {
  return `${unit === 'ms' && value >= 10 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
}

/** What was not measured is left out. */
export function tableText(results: Results): string {
  const [own = '', ...others] = Object.keys(results.engines);
  const columns = [
    'job',
    ...Object.entries(results.engines).map(([name, version]) => `${name} ${version}`),
    ...others.map((name) => `${own} : ${name}`),
    'rounds',
  ];
  const cells = ({ title, unit, rounds, values, failures }: Row): string[] => {
    const mine = values[own];
    return [
      title,
      ...[own, ...others].map((name) => {
        const value = values[name];
        if (failures[name] !== undefined) return 'failed';
        return value === undefined ? '–' : shown(value, unit);
      }),
      ...others.map((name) => {
        const theirs = values[name];
        return mine === undefined || theirs === undefined ? '–' : `1 : ${(theirs / mine).toFixed(1)}`;
      }),
      roundsText([own, ...others].flatMap((name) => rounds[name] ?? [])),
    ];
  };
  const line = (words: readonly string[]): string => `| ${words.join(' | ')} |`;
  return [
    line(columns),
    line(columns.map(() => '---')),
    ...results.rows().map((row) => line(cells(row))),
  ].join('\n');
}

/** One number where all engines had as many. */
function roundsText(counts: readonly number[]): string {
  return [...new Set(counts)].length === 1 ? String(counts[0]) : counts.join(', ');
}

/** Writes a plot a curve below `folder`; gives what shows them in a document that stands beside it. */
export function writePlots(results: Results, folder: string): string {
  const names = Object.keys(results.engines);
  const shownIn = results.curves().map((curve) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${curve.key}.svg`), curvePlot(curve, names));
    return `![${curve.title}](${basename(folder)}/${curve.key}.svg)`;
  });
  return shownIn.length === 0
    ? ''
    : `\nHow costs grow with the work (\`test/bench/growth.ts\`; medians of as many rounds as the
brackets say, of one where a round takes 3 s or longer; a line ends where the next round would take too long):\n\n${shownIn.join('\n\n')}\n`;
}

function curvePlot({ title, xLabel, unit, rounds, points }: Curve, names: readonly string[]): string {
  const lines = names
    .map((name) => ({
      name,
      points: points.flatMap(({ x, values }) => {
        const value = values[name];
        return value === undefined ? [] : [[x, value] as const];
      }),
    }))
    .filter((one) => one.points.length > 0);
  return plotSvg({ title: `${title} (${rounds})`, xLabel, yLabel: unit, lines });
}

/** Writes the table, and what shows the plots, in front of the first section of a document; its sections stay. */
export function writeDocument(path: string, results: Results): void {
  const old = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const at = old.search(/^## /m);
  const sections = at < 0 ? '' : `\n${old.slice(at)}`;
  writeFileSync(
    path,
    `# Benchmarks

Medians of \`make bench\`, all engines in one run on one machine, taking turns (${results.machine}). Absolute figures move from
machine to machine; the ratios are what to look at. What is measured is in \`test/bench\`; times include the command line
client, but for the row that names the API. Medians are of at least 10 rounds behind one that does not count where a round takes
under 3 s, of 3 elsewhere, of 2 where one takes 40 s; the last column has their numbers, engine by engine where they differ.
Memory is measured once, per container over 10 containers.

${tableText(results)}
${writePlots(results, join(dirname(path), 'plots'))}${sections}`,
  );
}
