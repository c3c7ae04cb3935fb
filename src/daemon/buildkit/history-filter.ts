/**
 * Filters of the history of builds, as BuildKit has them: each a line of CSV whose conditions must all hold, of several
 * lines one. Conditions are `ref~=…`, `status==error`, `repository~=…`, and `startedAt`, `completedAt` and `duration`
 * compared with a time or a duration.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { parseDuration } from '../../build/dockerfile/duration.ts';
import type { BuildRecord } from './build-record.ts';

type Condition = (record: BuildRecord) => boolean;

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
};

/** Throws InvalidParameter for what is no filter. */
export function historyFilter(lines: readonly string[], nowMs: number): Condition {
  const wanted = lines.map((line) => line.split(',').map((text) => condition(text, nowMs)));
  return (record) => wanted.length === 0 || wanted.some((all) => all.every((holds) => holds(record)));
}

function condition(text: string, nowMs: number): Condition {
  const found = /^"?([A-Za-z]+)(~=|==|!=|>=|<=|>|<)(.*?)"?$/s.exec(text);
  const [, name = '', sign = '', value = ''] = found ?? [];
  const compare = COMPARISONS[sign];
  if (name === 'ref' || name === 'status' || name === 'repository') {
    if (compare === undefined) return (record) => matches(textOf(record, name), sign, value);
  } else if (compare !== undefined && (name === 'startedAt' || name === 'completedAt')) {
    const boundMs = timeOf(value, nowMs);
    const msOf = (record: BuildRecord) =>
      name === 'startedAt' ? record.createdMs : (record.completedMs ?? 0);
    return (record) => compare(Math.floor(msOf(record) / 1000), Math.floor(boundMs / 1000));
  } else if (compare !== undefined && name === 'duration') {
    const boundMs = durationOf(value);
    return ({ createdMs, completedMs = createdMs }) => compare(completedMs - createdMs, boundMs);
  }
  throw new InvalidParameterError(`invalid filter "${text}" of the history of builds`);
}

function textOf(record: BuildRecord, name: 'ref' | 'status' | 'repository'): string {
  if (name === 'ref') return record.ref;
  if (name === 'status') return record.status;
  return record.attribute('vcs:source') ?? record.attribute('context') ?? '';
}

function matches(text: string, sign: string, value: string): boolean {
  if (sign === '==') return text === value;
  if (sign === '!=') return text !== value;
  return text.includes(value);
}

/** A time, or how long ago it was. */
function timeOf(text: string, nowMs: number): number {
  const ago = parseMs(text);
  if (ago !== undefined) return nowMs - ago;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidParameterError(`invalid time ${text}`);
  return ms;
}

/** Milliseconds; undefined for what is none. */
function parseMs(text: string): number | undefined {
  const nanoseconds = parseDuration(text);
  return nanoseconds === undefined ? undefined : nanoseconds / 1e6;
}

function durationOf(text: string): number {
  const ms = parseMs(text);
  if (ms === undefined) throw new InvalidParameterError(`invalid duration ${text}`);
  return ms;
}
