/**
 * A point in time as the `until` and `since` filters of the API take it: Unix seconds, RFC 3339 or the front of it
 * (local time without a zone), or a duration before now (`10m`, `1h30m`).
 */
import { rfc3339Ns, unixSecondsNs } from './time.ts';

const UNITS_MS: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 3.6e6 };

/** Milliseconds since the epoch; undefined for a text that is none of these. */
export function parsePointInTime(text: string, nowMs: number): number | undefined {
  const duration = durationMs(text);
  if (duration !== undefined) return nowMs - duration;
  const ns = unixSecondsNs(text) ?? rfc3339Ns(text);
  if (ns !== undefined) return Number(ns / 1_000_000n);
  if (!/^\d{4}-\d\d-\d\d(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)?$/.test(text)) return undefined;
  const [date = '', clock = '00'] = text.split('T');
  const full = `${date}T${clock}${':00'.repeat(Math.max(0, 3 - clock.split(':').length))}`;
  const time = new Date(full).getTime();
  return Number.isNaN(time) ? undefined : time;
}

/** Go's time.Duration with a unit behind every number. */
function durationMs(text: string): number | undefined {
  if (!/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|\u00b5s|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit = ''] of text.matchAll(/([\d.]+)([a-z\u00b5]+)/g)) {
    total += Number(number) * (UNITS_MS[unit] ?? 0);
  }
  return total;
}
