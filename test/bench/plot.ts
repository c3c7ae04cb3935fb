/**
 * A line chart as SVG text: one line an engine, both axes from zero, readable on light and on dark pages (the colours
 * follow the reader's scheme). Pure; what is drawn is decided in growth.ts.
 */

export interface Line {
  readonly name: string;
  /** In the order of x. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly Line[];
}

const WIDTH = 720;
const HEIGHT = 400;
const AREA = { left: 72, right: 24, top: 52, bottom: 60 };
const TICKS = 5;
const COLOURS = ['#2f81f7', '#d18616', '#a371f7', '#3fb950'];
/** Engines are told apart without colours too. */
const DASHES = ['', '7 4', '2 4', '9 3 2 3'];

const STYLE = `text{font-family:system-ui,sans-serif;font-size:13px;fill:#57606a}.title{font-size:16px;fill:#24292f}
.page{fill:#ffffff}.grid{stroke:#d0d7de}.axis{stroke:#57606a}
@media (prefers-color-scheme:dark){.page{fill:#0d1117}text{fill:#9198a1}.title{fill:#e6edf3}.grid{stroke:#3d444d}.axis{stroke:#9198a1}}`;

/** Throws where there is nothing to draw. */
export function plotSvg({ title, xLabel, yLabel, lines }: Plot): string {
  const points = lines.flatMap((line) => line.points);
  if (points.length === 0) throw new Error(`the plot "${title}" has no points`);
  const x = axis(Math.max(...points.map(([at]) => at)), AREA.left, WIDTH - AREA.right);
  const y = axis(Math.max(...points.map(([, at]) => at)), HEIGHT - AREA.bottom, AREA.top);
  const middle = (AREA.left + WIDTH - AREA.right) / 2;
  const height = (AREA.top + HEIGHT - AREA.bottom) / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    `<style>${STYLE}</style>`,
    // A page may be dark where the reader's system says light.
    `<rect class="page" width="${WIDTH}" height="${HEIGHT}" rx="6"/>`,
    text(AREA.left, 22, title, 'class="title"'),
    ...y.ticks.flatMap((value) => [
      segment('grid', AREA.left, y.at(value), WIDTH - AREA.right, y.at(value)),
      text(AREA.left - 8, y.at(value) + 4, shown(value), 'text-anchor="end"'),
    ]),
    ...x.ticks.flatMap((value) => [
      segment('axis', x.at(value), HEIGHT - AREA.bottom, x.at(value), HEIGHT - AREA.bottom + 5),
      text(x.at(value), HEIGHT - AREA.bottom + 20, shown(value), 'text-anchor="middle"'),
    ]),
    segment('axis', AREA.left, HEIGHT - AREA.bottom, WIDTH - AREA.right, HEIGHT - AREA.bottom),
    segment('axis', AREA.left, AREA.top, AREA.left, HEIGHT - AREA.bottom),
    text(middle, HEIGHT - 14, xLabel, 'text-anchor="middle"'),
    text(18, height, yLabel, `text-anchor="middle" transform="rotate(-90 18 ${height})"`),
    ...lines.flatMap((line, index) => drawn(line, index, x.at, y.at)),
    ...lines.flatMap((line, index) => legend(line, index)),
    '</svg>',
    '',
  ].join('\n');
}

interface Axis {
  readonly ticks: number[];
  at(value: number): number;
}

/** From zero to the first round number that `max` does not pass. */
function axis(max: number, from: number, to: number): Axis {
  const step = roundStep((max > 0 ? max : 1) / TICKS);
  const count = Math.max(1, Math.ceil(max / step - 1e-9));
  const top = step * count;
  return {
    ticks: Array.from({ length: count + 1 }, (_, index) => index * step),
    at: (value) => round(from + ((to - from) * value) / top),
  };
}

/** 1, 2, 2.5 or 5 times a power of ten, at least `wanted`. */
function roundStep(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(wanted));
  const factor = [1, 2, 2.5, 5, 10].find((one) => one * power >= wanted * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function drawn(
  line: Line,
  index: number,
  x: (value: number) => number,
  y: (value: number) => number,
): string[] {
  const colour = COLOURS[index % COLOURS.length];
  const path = line.points.map(([px, py]) => `${x(px)},${y(py)}`).join(' ');
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"${dash(index)}/>`,
    ...line.points.map(([px, py]) => `<circle cx="${x(px)}" cy="${y(py)}" r="3.5" fill="${colour}"/>`),
  ];
}

function legend(line: Line, index: number): string[] {
  const left = AREA.left + index * 200;
  const colour = COLOURS[index % COLOURS.length];
  return [
    `<line x1="${left}" y1="38" x2="${left + 28}" y2="38" stroke="${colour}" stroke-width="2"${dash(index)}/>`,
    text(left + 36, 42, line.name, ''),
  ];
}

function dash(index: number): string {
  const pattern = DASHES[index % DASHES.length];
  return pattern === '' ? '' : ` stroke-dasharray="${pattern}"`;
}

function segment(name: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${name}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x}" y="${y}"${attributes === '' ? '' : ` ${attributes}`}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return content.replace(/[&<>"]/g, (character) => names[character] ?? character);
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** Without the noise of binary fractions; thousands apart. */
function shown(value: number): string {
  return Number(value.toPrecision(6)).toLocaleString('en-US', { maximumFractionDigits: 6 });
}
