/** How BuildKit's clients write bytes and times. */
import type { BuildVertexStatus } from '../../../api/build-status.ts';
import { secondsBetween } from './build-record.ts';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `74B`, `3.62MB`. */
export function byteText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(2)}${UNITS[unit]}`;
}

/** ` 1.00MB / 3.62MB`, ` 74B`, or nothing. */
export function amountBytes({ current, total }: BuildVertexStatus): string {
  if (total) return ` ${byteText(current)} / ${byteText(total)}`;
  return current === 0 ? '' : ` ${byteText(current)}`;
}

export function amountSeconds({ started, completed, timestamp }: BuildVertexStatus): number {
  return started === undefined ? 0 : secondsBetween(started, completed ?? timestamp);
}
