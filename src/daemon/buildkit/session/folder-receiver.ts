/**
 * The receiving side of fsutil's transfer of a tree, as BuildKit's FileSync.DiffCopy has it: the client lists its files
 * (STAT), we ask for those that differ (REQ, by place in the list), it sends their pieces (DATA, an empty one at the
 * end, several files at once), and both say that they are done (FIN).
 */
import { close, write } from 'node:fs';
import { promisify } from 'node:util';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Packet, Packet_PacketType, type PacketSchema } from '../../../api/buildkit/file-stat_pb.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { FolderWriter, type WantedFile } from './folder-writer.ts';
import { kindOf } from './go-mode.ts';

const writeAsync = promisify(write);
const closeAsync = promisify(close);

/** More than any source tree has; each costs some hundred bytes until its content has come. */
const FILES_MAX = 2_000_000;
/** Honest clients send four files at once. */
const OPEN_FILES_MAX = 64;

export interface ReceiveOptions {
  onProgress?: ((received: { bytes: number; files: number }) => void) | undefined;
  /** Called once nothing more will be sent, so that the client can end the call. */
  end?: () => void;
}

interface OpenFile {
  readonly fd: number;
  readonly wanted: WantedFile;
  position: number;
}

/**
 * Makes `directory` what the client sends. `send` takes one message and resolves when there is room for more. Throws
 * InvalidParameter for a client that does not keep to the protocol, and for what it says went wrong on its side.
 */
export async function receiveFolder(
  packets: AsyncIterable<Packet>,
  send: (packet: MessageInitShape<typeof PacketSchema>) => Promise<void>,
  directory: string,
  options: ReceiveOptions = {},
): Promise<void> {
  const receiver = new FolderReceiver(new FolderWriter(directory), send, options);
  try {
    for await (const packet of packets) await receiver.take(packet);
    receiver.requireComplete();
  } finally {
    await receiver.close();
  }
}

class FolderReceiver {
  readonly #writer: FolderWriter;
  readonly #send: (packet: MessageInitShape<typeof PacketSchema>) => Promise<void>;
  readonly #options: ReceiveOptions;
  readonly #wanted = new Map<number, WantedFile>();
  readonly #open = new Map<number, OpenFile>();
  #count = 0;
  #bytes = 0;
  #listed = false;
  #finished = false;

  constructor(
    writer: FolderWriter,
    send: (packet: MessageInitShape<typeof PacketSchema>) => Promise<void>,
    options: ReceiveOptions,
  ) {
    this.#writer = writer;
    this.#send = send;
    this.#options = options;
  }

  async take({ type, stat, id, data }: Packet): Promise<void> {
    switch (type) {
      case Packet_PacketType.STAT:
        if (this.#listed) throw wrong('a file after the end of its list');
        if (stat === undefined) this.#listed = true;
        else await this.#file(stat);
        break;
      case Packet_PacketType.DATA:
        await this.#data(id, data);
        break;
      case Packet_PacketType.ERR:
        throw new InvalidParameterError(`error from sender: ${Buffer.from(data).toString().slice(0, 4096)}`);
      case Packet_PacketType.FIN:
        if (!this.#finished) throw wrong('its end before ours');
        return;
      default:
        throw wrong(`a packet of type ${type}`);
    }
    this.#options.onProgress?.({ bytes: this.#bytes, files: this.#count });
    if (!this.#listed || this.#wanted.size > 0 || this.#finished) return;
    this.#writer.finish();
    this.#finished = true;
    await this.#send({ type: Packet_PacketType.FIN });
    this.#options.end?.();
  }

  requireComplete(): void {
    if (!this.#finished) throw wrong('the end of the call before all of its files');
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { fd } of open) await closeAsync(fd);
    this.#writer.close();
  }

  async #file(stat: NonNullable<Packet['stat']>): Promise<void> {
    const id = this.#count++;
    if (this.#count > FILES_MAX)
      throw new InvalidParameterError(`the context has more than ${FILES_MAX} files`);
    const wanted = this.#writer.add(stat);
    if (wanted === undefined || kindOf(stat.mode) !== 'regular') return;
    this.#wanted.set(id, wanted);
    await this.#send({ type: Packet_PacketType.REQ, id });
  }

  async #data(id: number, data: Uint8Array): Promise<void> {
    const file = this.#open.get(id) ?? this.#begin(id);
    if (data.length === 0) {
      this.#open.delete(id);
      this.#wanted.delete(id);
      await closeAsync(file.fd);
      this.#writer.settleWanted(file.wanted);
      return;
    }
    this.#bytes += data.length;
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await writeAsync(file.fd, data, done, data.length - done, file.position);
      done += bytesWritten;
      file.position += bytesWritten;
    }
  }

  #begin(id: number): OpenFile {
    const wanted = this.#wanted.get(id);
    if (wanted === undefined) throw wrong(`content of file ${id}, which was not asked for`);
    if (this.#open.size >= OPEN_FILES_MAX) throw wrong(`more than ${OPEN_FILES_MAX} files at once`);
    const file = { fd: this.#writer.openWanted(wanted), wanted, position: 0 };
    this.#open.set(id, file);
    return file;
  }
}

function wrong(what: string): InvalidParameterError {
  return new InvalidParameterError(
    `the client does not keep to the protocol of file transfers: it sent ${what}`,
  );
}
