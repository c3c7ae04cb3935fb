/** Signal names and numbers (signal(7)), as `kill`, `stop` and STOPSIGNAL take them. */
import { constants } from 'node:os';
import { InvalidParameterError } from './errors.ts';

const REALTIME_MIN = 34;
const REALTIME_MAX = 64;

/** `SIGTERM`, `term`, `15`, `RTMIN+3` as a number. Throws InvalidParameter with Docker's text. */
export function parseSignal(text: string): number {
  const name = text.trim().toUpperCase();
  if (/^\d+$/.test(name)) {
    const number = Number(name);
    if (number >= 1 && number <= REALTIME_MAX) return number;
    throw invalid(text);
  }
  const short = name.replace(/^SIG/, '');
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(short);
  if (realtime !== null) {
    const base = realtime[1] === 'MIN' ? REALTIME_MIN : REALTIME_MAX;
    const offset = Number(realtime[3] ?? 0) * (realtime[2] === '-' ? -1 : 1);
    const number = base + offset;
    if (number >= REALTIME_MIN && number <= REALTIME_MAX) return number;
    throw invalid(text);
  }
  const number = (constants.signals as Record<string, number | undefined>)[`SIG${short}`];
  if (number === undefined) throw invalid(text);
  return number;
}

/** The name without `SIG`, or the number as text where it has none; for events. */
export function signalName(number: number): string {
  for (const [name, value] of Object.entries(constants.signals)) {
    if (value === number && name !== 'SIGIOT' && name !== 'SIGPOLL') return name.slice(3);
  }
  return String(number);
}

function invalid(text: string): InvalidParameterError {
  return new InvalidParameterError(`invalid signal: ${text}`);
}
