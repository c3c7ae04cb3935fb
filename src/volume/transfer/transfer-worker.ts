/**
 * Entry point of a transfer's thread (transfer-protocol.ts): does the job of its `workerData` and ends. Bundled as
 * transfer-worker.cjs beside the daemon; run from this file in development.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { toWireError } from '../../image/layers/work/worker-protocol.ts';
import { runTransferJob } from './transfer-jobs.ts';
import { type FromTransfer, type ToTransfer, type TransferJob, WINDOW_BYTES } from './transfer-protocol.ts';

const port = parentPort;
if (port === null) throw new Error('transfer-worker runs as a worker thread only');

const abort = new AbortController();
const input: Uint8Array[] = [];
let inputEnded = false;
let unacknowledged = 0;
let wake: (() => void) | undefined;

function post(message: FromTransfer): void {
  port?.postMessage(message);
}

port.on('message', (message: ToTransfer) => {
  if (message.kind === 'abort') abort.abort();
  else if (message.kind === 'input') input.push(message.chunk);
  else if (message.kind === 'inputEnd') inputEnded = true;
  else unacknowledged -= message.bytes;
  wake?.();
});

async function news(): Promise<void> {
  abort.signal.throwIfAborted();
  await new Promise<void>((resolve) => {
    wake = resolve;
  });
  wake = undefined;
  abort.signal.throwIfAborted();
}

async function* read(): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    const chunk = input.shift();
    if (chunk !== undefined) {
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      post({ kind: 'credit', bytes: chunk.length });
    } else if (inputEnded) return;
    else await news();
  }
}

async function write(chunk: Buffer): Promise<void> {
  while (unacknowledged >= WINDOW_BYTES) await news();
  unacknowledged += chunk.length;
  post({ kind: 'output', chunk });
}

async function run(): Promise<void> {
  try {
    await runTransferJob(workerData as TransferJob, { signal: abort.signal, input: read, output: write });
    // Whoever is told of the end has all of the output.
    while (unacknowledged > 0) await news();
    post({ kind: 'done' });
  } catch (error) {
    post({ kind: 'failed', error: toWireError(error) });
  } finally {
    port?.close();
  }
}

void run();
