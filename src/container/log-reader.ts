/**
 * Reads the logs that supervisors write (Docker's json-file format: one JSON object a line). Works on stopped,
 * running, just rotated and just emptied logs alike and holds one read buffer, whatever the log's size. Which files
 * a log has is log-files.ts.
 */
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { errnoCode } from '../base/errors.ts';
import { rfc3339Ns } from '../base/time.ts';
import {
  type LogPlace,
  type LogSource,
  logFiles,
  nextLogFile,
  openLogAt,
  openLogFile,
  openLogTail,
} from './log-files.ts';

export interface LogLine {
  stream: 'stdout' | 'stderr';
  /** RFC 3339 with nanoseconds. */
  time: string;
  /** With its line end, unless the line was split or never ended. */
  text: string;
  /** Labels and variables that log options put into every line. */
  attributes?: Record<string, string>;
}

export interface LogRange {
  /** Inclusive, nanoseconds since the epoch; undefined for no bound. */
  sinceNs?: bigint | undefined;
  untilNs?: bigint | undefined;
  /** Only the last so many lines; undefined for all. */
  tail?: number | undefined;
  /** Go on with what is written from now on, until `ended` says that nothing more comes. */
  follow: boolean;
  /** Where reading begins, if it has one, whatever `tail` says; keeps up with what the reader has been told. */
  cursor?: LogCursor | undefined;
}

/** How far a reader is, for one that goes on in its place. */
export class LogCursor {
  #place: LogPlace | undefined;
  #ahead: LogPlace | undefined;
  #begun: boolean;

  constructor({ begun = false, place }: { begun?: boolean; place?: LogPlace | undefined } = {}) {
    this.#begun = begun;
    this.#place = place;
  }

  /** Whether the files were looked at; without a place there was none. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Behind the last line that was told. */
  get place(): LogPlace | undefined {
    return this.#place;
  }

  begin(place: LogPlace | undefined): void {
    this.#begun = true;
    this.#place = place;
  }

  /** Behind the lines that are about to be told. */
  reach(place: LogPlace): void {
    this.#ahead = place;
  }

  /** To be called in the same turn in which they are. */
  told(): void {
    this.#place = this.#ahead ?? this.#place;
  }
}

/** Followers look at the file at least this often, for file systems that do not notify. */
const POLL_MS = 500;

/**
 * The log's lines, oldest first, in batches as they are read. `ended` is asked before each look at the end of the
 * file. Stops at `signal`.
 */
export async function* readLog(
  path: string,
  range: LogRange,
  ended: () => boolean,
  signal: AbortSignal,
): AsyncGenerator<LogLine[]> {
  const { cursor } = range;
  let source = await openFirst(path, range);
  try {
    if (source === undefined) cursor?.begin(undefined);
    else if (source.offset !== undefined) cursor?.begin({ inode: source.inode, offset: source.offset });
    for (let rest: Buffer = Buffer.alloc(0); !signal.aborted; ) {
      const last = ended();
      while (source === undefined && !last && range.follow && !signal.aborted) {
        await changed(path, signal);
        source = openLogFile(path);
      }
      if (source === undefined) return;
      let chunk = await source.read();
      const newer = chunk.length > 0 ? undefined : nextLogFile(path, source);
      // What was written between that look at its end and the rotation.
      if (newer !== undefined) chunk = await source.read();
      if (chunk.length > 0) {
        newer?.close();
        const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        const end = data.lastIndexOf(0x0a) + 1;
        rest = data.subarray(end);
        const lines = parseLines(data.toString('utf8', 0, end), range);
        const offset = Math.max(0, (source.offset ?? 0) - rest.length);
        cursor?.reach({ inode: source.inode, offset });
        if (lines.length > 0) yield lines;
        else cursor?.told();
        continue;
      }
      if (newer !== undefined) {
        source.close();
        source = newer;
        rest = Buffer.alloc(0);
        continue;
      }
      if (!range.follow || last || past(range.untilNs)) return;
      await changed(path, signal);
    }
  } finally {
    source?.close();
  }
}

/** The oldest file, or `tail` lines before the end of all of them. */
function openFirst(path: string, { tail, cursor }: LogRange): Promise<LogSource | undefined> {
  if (cursor?.place !== undefined) return Promise.resolve(openLogAt(path, cursor.place));
  // Where there was no file, all that there is by now is new.
  if (tail !== undefined && cursor?.begun !== true) return openLogTail(path, tail);
  return Promise.resolve(openLogFile(logFiles(path)[0] ?? path));
}

function past(untilNs: bigint | undefined): boolean {
  return untilNs !== undefined && BigInt(Date.now()) * 1_000_000n > untilNs;
}

function parseLines(text: string, range: LogRange): LogLine[] {
  const lines: LogLine[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const parsed = parseLine(line);
    if (parsed === undefined) continue;
    if (range.sinceNs !== undefined || range.untilNs !== undefined) {
      const timeNs = rfc3339Ns(parsed.time) ?? 0n;
      if (range.sinceNs !== undefined && timeNs < range.sinceNs) continue;
      if (range.untilNs !== undefined && timeNs > range.untilNs) continue;
    }
    lines.push(parsed);
  }
  return lines;
}

/** A line that a full disk or a power cut has broken is left out. */
function parseLine(line: string): LogLine | undefined {
  try {
    const entry = JSON.parse(line) as {
      log?: string;
      stream?: string;
      time?: string;
      attrs?: Record<string, string>;
    };
    return {
      stream: entry.stream === 'stderr' ? 'stderr' : 'stdout',
      time: entry.time ?? '',
      text: entry.log ?? '',
      ...(entry.attrs === undefined ? {} : { attributes: entry.attrs }),
    };
  } catch {
    return undefined;
  }
}

/** Resolves when the log's folder changed, after POLL_MS, or at `signal`. */
function changed(path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watchOrFolder(path);
    const done = (): void => {
      clearTimeout(timer);
      watcher.close();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, POLL_MS);
    watcher.on('change', done);
    watcher.on('error', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** Watches a file, or its folder where it is not there, as for a moment in each rotation. */
function watchOrFolder(path: string): FSWatcher {
  try {
    return watch(path, { persistent: false });
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    return watch(dirname(path), { persistent: false });
  }
}
