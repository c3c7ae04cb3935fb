/**
 * A store of blobs that a client serves on its session by containerd's content service: an OCI layout that a build takes
 * from, a cache, or the place of an output. The client keeps several, each under a name. Nothing that comes from there
 * is believed: sizes are bounded here, digests are checked by whoever reads. A client that says nothing is given up.
 */
import { randomBytes } from 'node:crypto';
import { Content, WriteAction } from '../../../api/buildkit/content_pb.ts';
import type { ClientCall, GrpcChannel, Metadata } from '../../../api/grpc/channel.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import { InvalidParameterError, UnavailableError } from '../../../base/errors.ts';
import type { ClientStore, StoredBlob } from '../../../build/session.ts';
import type { Digest } from '../../../image/digest.ts';

const STORE_HEADER = 'buildkit-attachable-store-id';
const PIECE_MAX_BYTES = 1 << 20;
/** A client that does not send or take a piece within this time is taken for gone. */
const STALL_MS = 60_000;

type WriteCall = ClientCall<typeof Content.method.write.input, typeof Content.method.write.output>;

export class ServedStore implements ClientStore {
  readonly #channel: GrpcChannel;
  readonly #metadata: Metadata;
  readonly #name: string;
  readonly #stallMs: number;

  constructor(channel: GrpcChannel, name: string, stallMs: number = STALL_MS) {
    this.#channel = channel;
    this.#name = name;
    // Bytes as they are: clients look for the very value. Node writes header values as Latin-1.
    this.#metadata = { [STORE_HEADER]: Buffer.from(name, 'utf8').toString('latin1') };
    this.#stallMs = stallMs;
  }

  async size(digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    return await this.#patiently(`look for ${digest}`, signal, async ({ signal: limited }) => {
      try {
        const { info } = await this.#channel.unary(
          Content.method.info,
          { digest },
          { metadata: this.#metadata, signal: limited },
        );
        return info === undefined ? undefined : Number(info.size);
      } catch (error) {
        if (error instanceof GrpcError && error.code === 'NotFound') return undefined;
        throw error;
      }
    });
  }

  /** Throws InvalidParameter where the client sends more than `sizeBytes`, or less. */
  async *read({ digest, sizeBytes }: StoredBlob, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const patience = this.#patience(signal);
    let received = 0;
    try {
      const call = this.#channel.open(Content.method.read, {
        metadata: this.#metadata,
        signal: patience.signal,
      });
      await call.write({ digest });
      call.end();
      for await (const { offset, data } of call.messages()) {
        patience.stop();
        if (Number(offset) !== received) {
          throw new InvalidParameterError(`it sent bytes from ${offset} where ${received} were expected`);
        }
        received += data.length;
        if (received > sizeBytes) {
          throw new InvalidParameterError(`it sent more than the ${sizeBytes} bytes that were expected`);
        }
        if (data.length > 0) yield data;
        patience.start();
      }
      if (received < sizeBytes) {
        throw new InvalidParameterError(`it sent ${received} of ${sizeBytes} bytes`);
      }
    } catch (error) {
      throw this.#told(`read ${digest}`, error, signal);
    } finally {
      patience.stop();
    }
  }

  async write(
    { digest, sizeBytes }: StoredBlob,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#patiently(`write ${digest}`, signal, async (patience) => {
      const call = this.#channel.open(Content.method.write, {
        metadata: this.#metadata,
        signal: patience.signal,
      });
      try {
        await sendBlob(call, { digest, sizeBytes }, content, () => patience.start());
      } catch (error) {
        if (!(error instanceof GrpcError) || error.code !== 'AlreadyExists') throw error;
      } finally {
        call.cancel();
      }
    });
  }

  async #patiently<T>(
    action: string,
    signal: AbortSignal,
    body: (patience: Patience) => Promise<T>,
  ): Promise<T> {
    const patience = this.#patience(signal);
    try {
      return await body(patience);
    } catch (error) {
      throw this.#told(action, error, signal);
    } finally {
      patience.stop();
    }
  }

  #patience(signal: AbortSignal): Patience {
    const silent = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const patience: Patience = {
      signal: AbortSignal.any([signal, silent.signal]),
      start: () => {
        clearTimeout(timer);
        const reason = new UnavailableError(`the client was silent for ${this.#stallMs / 1000} s`);
        timer = setTimeout(() => silent.abort(reason), this.#stallMs);
      },
      stop: () => clearTimeout(timer),
    };
    patience.start();
    return patience;
  }

  /** With the action in front, and the client's words behind it. */
  #told(action: string, error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    const text = `cannot ${action} in the store "${this.#name}" of the client`;
    if (error instanceof UnavailableError || (error instanceof GrpcError && error.code === 'Unavailable'))
      return new UnavailableError(text, error);
    if (error instanceof GrpcError || error instanceof InvalidParameterError)
      return new InvalidParameterError(text, error);
    return error;
  }
}

/** How long the client may be silent. */
interface Patience {
  readonly signal: AbortSignal;
  /** From now on, anew. */
  start(): void;
  stop(): void;
}

/** As the service wants it: where it stands, then each piece acknowledged, then the commit. */
async function sendBlob(
  call: WriteCall,
  { digest, sizeBytes }: StoredBlob,
  content: AsyncIterable<Uint8Array>,
  onAnswer: () => void,
): Promise<void> {
  const answers = call.messages();
  const ask = async (request: Parameters<WriteCall['write']>[0]): Promise<number> => {
    await call.write(request);
    const { value, done } = await answers.next();
    if (done === true) throw new InvalidParameterError('it ended the transfer');
    onAnswer();
    return Number(value.offset);
  };
  const total = BigInt(sizeBytes);
  const blob = { ref: `mydock-${randomBytes(16).toString('hex')}`, total, expected: digest };
  let offset = await ask({ ...blob, action: WriteAction.STAT });
  if (offset !== 0) throw new InvalidParameterError(`it has ${offset} bytes of a transfer that is new`);
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; at += PIECE_MAX_BYTES) {
      const data = chunk.subarray(at, at + PIECE_MAX_BYTES);
      const wanted: number = offset + data.length;
      offset = await ask({ ...blob, action: WriteAction.WRITE, offset: BigInt(offset), data });
      if (offset !== wanted) throw new InvalidParameterError(`it took ${offset} of ${wanted} bytes`);
    }
  }
  await ask({ ...blob, action: WriteAction.COMMIT, offset: BigInt(offset) });
  call.end();
}
