/**
 * Reads the json-file logs that supervisors write (Docker's json-file driver: one JSON object a line, rotated to
 * `path.1`, `path.2`, …, the highest number oldest). Works on stopped, running and just rotated logs alike and holds
 * one read buffer, whatever the log's size.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { rfc3339Ns } from '../base/time.ts';

export interface LogLine {
  stream: 'stdout' | 'stderr';
  /** RFC 3339 with nanoseconds. */
  time: string;
  /** With its line end, unless the line was split or never ended. */
  text: string;
}

export interface LogRange {
  /** Inclusive, nanoseconds since the epoch; undefined for no bound. */
  sinceNs?: bigint | undefined;
  untilNs?: bigint | undefined;
  /** Only the last so many lines; undefined for all. */
  tail?: number | undefined;
  /** Go on with what is written from now on, until `ended` says that nothing more comes. */
  follow: boolean;
}

const READ_BYTES = 256 * 1024;
/** Followers look at the file at least this often, for file systems that do not notify. */
const POLL_MS = 500;

interface Position {
  fd: number;
  inode: number;
  offset: number;
}

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
  let position = openFirst(path, range.tail);
  try {
    for (let rest: Buffer = Buffer.alloc(0); !signal.aborted; ) {
      const last = ended();
      while (position === undefined && !last && range.follow && !signal.aborted) {
        await changed(path, signal);
        position = openFile(path, 0);
      }
      if (position === undefined) return;
      const chunk = readChunk(position);
      if (chunk.length > 0) {
        const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        const end = data.lastIndexOf(0x0a) + 1;
        rest = data.subarray(end);
        const lines = parseLines(data.toString('utf8', 0, end), range);
        if (lines.length > 0) yield lines;
        continue;
      }
      const newer = nextFile(path, position);
      if (newer !== undefined) {
        closeSync(position.fd);
        position = newer;
        rest = Buffer.alloc(0);
        continue;
      }
      if (!range.follow || last || past(range.untilNs)) return;
      await changed(path, signal);
    }
  } finally {
    if (position !== undefined) closeSync(position.fd);
  }
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
    const entry = JSON.parse(line) as { log?: string; stream?: string; time?: string };
    return {
      stream: entry.stream === 'stderr' ? 'stderr' : 'stdout',
      time: entry.time ?? '',
      text: entry.log ?? '',
    };
  } catch {
    return undefined;
  }
}

/** Existing files of a log, oldest first. */
function files(path: string): string[] {
  const found = [path];
  for (let n = 1; existsSync(`${path}.${n}`); n++) found.unshift(`${path}.${n}`);
  return found;
}

function openFile(path: string, offset: number): Position | undefined {
  try {
    const fd = openSync(path, 'r');
    return { fd, inode: fstatSync(fd).ino, offset };
  } catch {
    // Not written yet, or rotated away between two looks: the caller looks again.
    return undefined;
  }
}

/** Where reading begins: the oldest file, or `tail` lines before the end of all of them. */
function openFirst(path: string, tail: number | undefined): Position | undefined {
  const all = files(path);
  if (tail === undefined) return openFile(all[0] ?? path, 0);
  let wanted = tail;
  let position: Position | undefined;
  for (const file of all.reverse()) {
    const candidate = openFile(file, 0);
    if (candidate === undefined) continue;
    const { offset, found } = seekBack(candidate.fd, wanted);
    candidate.offset = offset;
    if (position !== undefined) closeSync(position.fd);
    position = candidate;
    wanted -= found;
    if (wanted <= 0) break;
  }
  return position;
}

/** The offset of the last `lines` complete lines of a file, and how many of them it has. */
function seekBack(fd: number, lines: number): { offset: number; found: number } {
  const size = fstatSync(fd).size;
  if (lines <= 0) return { offset: size, found: 0 };
  const buffer = Buffer.allocUnsafe(64 * 1024);
  let found = 0;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - buffer.length);
    const length = readSync(fd, buffer, 0, end - start, start);
    for (let at = length - 1; at >= 0; at--) {
      if (buffer[at] !== 0x0a) continue;
      if (found === lines) return { offset: start + at + 1, found };
      found++;
    }
    end = start;
  }
  return { offset: 0, found };
}

function readChunk(position: Position): Buffer {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const length = readSync(position.fd, buffer, 0, buffer.length, position.offset);
  position.offset += length;
  return buffer.subarray(0, length);
}

/** The file that was begun after the one being read; undefined where that is the newest. */
function nextFile(path: string, position: Position): Position | undefined {
  const all = files(path);
  const index = all.findIndex((file) => statSync(file, { throwIfNoEntry: false })?.ino === position.inode);
  const next = index < 0 ? all[0] : all[index + 1];
  return next === undefined ? undefined : openFile(next, 0);
}

/** Resolves when the log's folder changed, after POLL_MS, or at `signal`. */
function changed(path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(existsSync(path) ? path : dirname(path), { persistent: false });
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
