/**
 * Which requests are being answered, and which ones took long: for `GET /system/diagnostics`. Paths only, since queries
 * may hold what is secret, and a bounded number of them.
 */
import type { RequestDiagnostics } from '../api/diagnostics.ts';

const SLOW_MS = 500;
const KEPT = 50;
const PATH_MAX = 200;

interface Entry {
  readonly method: string;
  readonly path: string;
  readonly began: number;
}

const underWay = new Set<Entry>();
const slow: RequestDiagnostics['Slow'] = [];
let answered = 0;

/** To be called when a request begins; what it gives when its handler has ended. */
export function noteRequest(method: string, path: string): () => void {
  const entry = { method, path: path.slice(0, PATH_MAX), began: performance.now() };
  underWay.add(entry);
  return () => {
    underWay.delete(entry);
    answered += 1;
    const ms = Math.round(performance.now() - entry.began);
    if (ms < SLOW_MS) return;
    slow.push({ Method: method, Path: entry.path, Milliseconds: ms, Ended: new Date().toISOString() });
    if (slow.length > KEPT) slow.shift();
  };
}

export function requestDiagnostics(): RequestDiagnostics {
  const now = performance.now();
  return {
    Answered: answered,
    UnderWay: [...underWay].slice(0, KEPT).map(({ method, path, began }) => ({
      Method: method,
      Path: path,
      Milliseconds: Math.round(now - began),
    })),
    UnderWayCount: underWay.size,
    Slow: [...slow],
  };
}
