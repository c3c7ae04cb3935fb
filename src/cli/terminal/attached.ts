/** A connection that carries a process's output, and its input where that is wanted: how it is opened and followed. */
import { FrameDecoder, STREAM_STDERR, STREAM_SYSTEM_ERROR } from '../../api/stream.ts';
import type { Client, OutputStream, RequestOptions } from '../../client/client.ts';
import type { Io } from '../io.ts';
import { type CopyOptions, copyStreams } from './stream-copy.ts';

export interface Attached {
  /** Resolves when the output has ended and is written. */
  copy(): Promise<void>;
  destroy(): void;
}

/** Resolves once the daemon has handed over the connection. */
export async function attach(
  client: Client,
  io: Io,
  path: string,
  request: Omit<RequestOptions, 'body'>,
  options: CopyOptions,
): Promise<Attached> {
  const output = options.stdin ? undefined : await client.output(path, request);
  if (output !== undefined) {
    return { copy: () => copyOutputNow(io, output, options.tty), destroy: () => output.destroy() };
  }
  const stream = await client.hijack(path, request);
  return { copy: () => copyStreams(io, stream, options), destroy: () => stream.destroy() };
}

/** As `copyStreams`, without Node's streams as long as stdout and stderr take what is written to them. */
async function copyOutputNow(io: Io, output: OutputStream, raw: boolean): Promise<void> {
  let full: Promise<void>[] = [];
  const write = (target: 'stdout' | 'stderr', payload: Buffer): void => {
    if (io.writeNow?.(target, payload) === true) return;
    if (io[target].write(Buffer.from(payload))) return;
    full.push(new Promise((resolve) => io[target].once('drain', resolve)));
  };
  const decoder = new FrameDecoder((code, payload) => {
    write(code === STREAM_STDERR || code === STREAM_SYSTEM_ERROR ? 'stderr' : 'stdout', payload);
  });
  try {
    await output.each((piece) => {
      if (raw) write('stdout', piece);
      else decoder.push(piece);
      if (full.length === 0) return undefined;
      const drained = Promise.all(full).then(() => undefined);
      full = [];
      return drained;
    });
    if (!raw && !decoder.complete) throw new Error('unexpected EOF');
  } finally {
    output.destroy();
  }
}
