/**
 * What has been measured, in a file, so that a run that was interrupted goes on where it was and single jobs can be
 * measured anew. Written after every job.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism, release, totalmem } from 'node:os';
import { dirname } from 'node:path';

/** Medians by the engine's name. */
export type Values = Record<string, number>;
/** How many rounds a median is of, by the engine's name. */
export type Rounds = Record<string, number>;
/** What an engine that could not be measured said, by its name. */
export type Failures = Record<string, string>;

export interface Row {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly rounds: Rounds;
  readonly values: Values;
  readonly failures: Failures;
}

export interface Curve {
  readonly key: string;
  readonly title: string;
  readonly xLabel: string;
  readonly unit: string;
  /** At most, for a point. */
  readonly rounds: number;
  readonly points: readonly { readonly x: number; readonly values: Values }[];
  readonly failures: Failures;
}

/** Of the file; what was written in another form is not read. */
const FORM = 2;

interface Content {
  form: number;
  machine: string;
  /** Versions by name, in the order of the columns. */
  engines: Record<string, string>;
  /** By title: a job may have several. */
  rows: Record<string, Row>;
  curves: Record<string, Curve>;
  /** Titles of all rows and keys of all curves, as they are to be shown. */
  order: { titles: string[]; curves: string[] };
}

export class Results {
  readonly #path: string;
  readonly #content: Content;

  /** What an earlier run has left in the file counts. */
  constructor(path: string) {
    this.#path = path;
    const empty: Content = {
      form: FORM,
      machine: '',
      engines: {},
      rows: {},
      curves: {},
      order: { titles: [], curves: [] },
    };
    const kept = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Content) : empty;
    this.#content = kept.form === FORM ? kept : empty;
    this.#content.machine = `${availableParallelism()} processors, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`;
  }

  get machine(): string {
    return this.#content.machine;
  }

  get engines(): Readonly<Record<string, string>> {
    return this.#content.engines;
  }

  /** In their order, as far as they were measured. */
  rows(): Row[] {
    return this.#content.order.titles.flatMap((title) => this.#content.rows[title] ?? []);
  }

  curves(): Curve[] {
    return this.#content.order.curves.flatMap((key) => this.#content.curves[key] ?? []);
  }

  row(title: string): Row | undefined {
    return this.#content.rows[title];
  }

  curve(key: string): Curve | undefined {
    return this.#content.curves[key];
  }

  /** Whether nothing of a row is left to measure. */
  hasRow(title: string): boolean {
    return isWhole(this.#content.rows[title]);
  }

  hasCurve(key: string): boolean {
    return isWhole(this.#content.curves[key]);
  }

  setEngines(engines: readonly { readonly name: string; readonly version: string }[]): void {
    for (const { name, version } of engines) this.#content.engines[name] = version;
    this.#save();
  }

  setOrder(titles: readonly string[], curves: readonly string[]): void {
    this.#content.order = { titles: [...titles], curves: [...curves] };
    this.#save();
  }

  addRow(row: Row): void {
    this.#content.rows[row.title] = row;
    this.#save();
  }

  addCurve(curve: Curve): void {
    this.#content.curves[curve.key] = curve;
    this.#save();
  }

  #save(): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    writeFileSync(`${this.#path}.new`, `${JSON.stringify(this.#content, null, 2)}\n`);
    renameSync(`${this.#path}.new`, this.#path);
  }
}

function isWhole(part: { readonly failures: Failures } | undefined): boolean {
  return part !== undefined && Object.keys(part.failures).length === 0;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}
