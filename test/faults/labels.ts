/**
 * The labelled steps that the source has (src/base/steps.ts), against those that the scenarios' operations pass: one
 * that none passes is struck at by nothing.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, ROOT } from '../run/discovery.ts';
import type { Point } from './order.ts';

const STEP = /\bstep(?:Sync)?\(\s*['`]([a-z-]+\/[a-z-]+)['`]/g;
const TOLD = 'labels: ';

function labelsOfSource(): Set<string> {
  const files = filesBelow('src', '.ts').filter((name) => !name.endsWith('.test.ts'));
  const texts = files.map((name) => readFileSync(join(ROOT, name), 'utf8'));
  return new Set(texts.flatMap((text) => [...text.matchAll(STEP)].flatMap(([, label]) => label ?? [])));
}

/** A line of a sandbox's output; `heardLabels` reads it. */
export function toldLabels(points: readonly Point[]): string {
  const labels = points.map(({ point }) => point.replace(/^(begin|end) /, ''));
  return `${TOLD}${[...new Set(labels)].join(' ')}`;
}

/** The labels in such a line; undefined of any other line. */
export function heardLabels(line: string): string[] | undefined {
  return line.startsWith(TOLD) ? line.slice(TOLD.length).split(' ') : undefined;
}

/** Those of the source that are not among the `passed` ones, in order. */
export function neverPassed(passed: ReadonlySet<string>): string[] {
  return [...labelsOfSource()].filter((label) => !passed.has(label)).sort();
}
