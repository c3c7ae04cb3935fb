/**
 * The messages of a pull, as Docker's clients parse and draw them (Engine API, "JSON message stream"). Texts, field
 * names and the shape of the bar are fixed by those clients.
 */

export interface PullProgress {
  /** The layer's short digest, or the tag for the first line; absent for lines about the whole pull. */
  id?: string;
  status: string;
  progressDetail?: { current?: number; total?: number };
  /** The bar as text, for clients that only print. */
  progress?: string;
}

export type OnProgress = (message: PullProgress) => void;

/** At most this often a layer reports how far it is. */
const INTERVAL_MS = 100;
const BAR_WIDTH = 50;

/** 12 hex digits, as Docker names layers on terminals. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}

/** A line without numbers: `Waiting`, `Pull complete`. */
export function layerStatus(id: string, status: string): PullProgress {
  return { status, progressDetail: {}, id };
}

/** A line with numbers. */
export function layerProgress(id: string, status: string, current: number, total: number): PullProgress {
  return { status, progressDetail: { current, total }, progress: progressBar(current, total), id };
}

/** `[=====>      ]  1.05MB/4.2MB` */
export function progressBar(current: number, total: number): string {
  if (total <= 0) return humanSize(current).padStart(8);
  const filled = Math.min(BAR_WIDTH, Math.floor(((current / total) * 100) / 2));
  const bar = `[${'='.repeat(filled)}>${' '.repeat(BAR_WIDTH - filled)}] `;
  const counts = humanSize(current).padStart(8);
  return current > total ? bar + counts : `${bar}${counts}/${humanSize(total)}`;
}

/** Decimal units with four significant digits, as Docker prints sizes: `1.466GB`. */
export function humanSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}

/** Thins out progress to one message per interval; the last state of each phase is always told. */
export class ProgressMeter {
  readonly #id: string;
  readonly #status: string;
  readonly #total: number;
  readonly #emit: OnProgress;
  #nextMs = 0;

  constructor(id: string, status: string, total: number, emit: OnProgress) {
    this.#id = id;
    this.#status = status;
    this.#total = total;
    this.#emit = emit;
  }

  update(current: number): void {
    const now = performance.now();
    if (now < this.#nextMs && current < this.#total) return;
    this.#nextMs = now + INTERVAL_MS;
    this.#emit(layerProgress(this.#id, this.#status, Math.min(current, this.#total), this.#total));
  }
}
