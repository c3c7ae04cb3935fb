/**
 * The sending side of fsutil's transfer of a tree (see folder-receiver.ts): a folder of this machine goes to the client,
 * for `--output type=local`. Links are sent as links; nothing outside of the folder is read.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  read,
  readdirSync,
  readlinkSync,
} from 'node:fs';
import { promisify } from 'node:util';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Packet, Packet_PacketType, type PacketSchema } from '../../../api/buildkit/file-stat_pb.ts';
import { errnoCode, InvalidParameterError } from '../../../base/errors.ts';
import {
  byDescriptor,
  O_DIRECTORY,
  O_NOFOLLOW,
  openChild,
  openInsideWithoutLinks,
} from '../../../native/inside-root.ts';
import { goMode } from './go-mode.ts';

const readAsync = promisify(read);

const PIECE_BYTES = 256 << 10;

type Send = (packet: MessageInitShape<typeof PacketSchema>) => Promise<void>;

/** Lists the folder, and sends what the client asks for until it says that it is done; `end` says that no more will come. */
export async function sendFolder(
  packets: AsyncIterable<Packet>,
  { send, end }: { send: Send; end: () => void },
  directory: string,
): Promise<void> {
  const root = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const requests = new Requests(packets);
    await Promise.race([listFolder(root, send, requests), requests.failed]);
    for (let next = await requests.next(); next !== undefined; next = await requests.next()) {
      await sendFile(root, next.path, next.id, send);
    }
    await send({ type: Packet_PacketType.FIN });
    end();
    // The client may still say that something went wrong.
    await requests.ended;
  } finally {
    closeSync(root);
  }
}

/**
 * What the client asks for. It is read while the list is still going out: a client that cannot get rid of its requests
 * stops reading. Each file can be asked for once, so that no more is kept than the list is long.
 */
class Requests {
  /** Resolves when the client has ended its half, after FIN. */
  readonly ended: Promise<void>;
  /** Never resolves; rejects with what the client does wrong. */
  readonly failed: Promise<never>;
  readonly #offered = new Map<number, Buffer>();
  readonly #asked: { id: number; path: Buffer }[] = [];
  #count = 0;
  #finished = false;
  #wake: () => void = () => undefined;

  constructor(packets: AsyncIterable<Packet>) {
    this.ended = this.#read(packets);
    this.failed = new Promise((_, reject) => {
      this.ended.catch(reject);
    });
    // Whoever waits is told; nobody may be waiting.
    this.failed.catch(() => undefined);
  }

  /** The next place in the list; with a path where the client may ask for it. */
  offer(path: Buffer | undefined): void {
    const id = this.#count++;
    if (path !== undefined) this.#offered.set(id, path);
  }

  /** In the order in which it was asked; undefined once the client needs no more. */
  async next(): Promise<{ id: number; path: Buffer } | undefined> {
    for (;;) {
      const asked = this.#asked.shift();
      if (asked !== undefined) return asked;
      if (this.#finished) return undefined;
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([woken, this.failed]);
    }
  }

  async #read(packets: AsyncIterable<Packet>): Promise<void> {
    for await (const { type, id, data } of packets) {
      if (type === Packet_PacketType.ERR) {
        throw new InvalidParameterError(
          `error from receiver: ${Buffer.from(data).toString().slice(0, 4096)}`,
        );
      }
      if (type === Packet_PacketType.FIN) this.#finished = true;
      if (type === Packet_PacketType.REQ) this.#ask(id);
      this.#wake();
    }
    if (!this.#finished) throw new InvalidParameterError('the client ended the transfer of files early');
  }

  #ask(id: number): void {
    const path = this.#offered.get(id);
    if (path === undefined) {
      throw new InvalidParameterError(`the client asked for file ${id}, which it was not offered`);
    }
    this.#offered.delete(id);
    this.#asked.push({ id, path });
  }
}

async function listFolder(root: number, send: Send, requests: Requests): Promise<void> {
  const list = new FolderList(send, requests);
  await list.walk(root, Buffer.alloc(0));
  await send({ type: Packet_PacketType.STAT });
}

class FolderList {
  readonly #send: Send;
  readonly #requests: Requests;
  /** First name of each file that has several, by inode. */
  readonly #first = new Map<bigint, Buffer>();

  constructor(send: Send, requests: Requests) {
    this.#send = send;
    this.#requests = requests;
  }

  async walk(fd: number, above: Buffer): Promise<void> {
    const names = readdirSync(byDescriptor(fd), { encoding: 'buffer' }).sort(Buffer.compare);
    for (const name of names) {
      const at = Buffer.concat([Buffer.from(`${byDescriptor(fd)}/`), name]);
      const path = above.length === 0 ? name : Buffer.concat([above, Buffer.from('/'), name]);
      const stats = lstatSync(at, { bigint: true });
      await this.#entry(at, path, stats);
      if (!stats.isDirectory()) continue;
      const child = openChild(fd, name, constants.O_RDONLY | O_DIRECTORY);
      try {
        await this.walk(child, path);
      } finally {
        closeSync(child);
      }
    }
  }

  async #entry(at: Buffer, path: Buffer, stats: BigIntStats): Promise<void> {
    const same = this.#firstName(path, stats);
    const linkname = stats.isSymbolicLink() ? readlinkSync(at, { encoding: 'buffer' }) : same;
    this.#requests.offer(stats.isFile() ? path : undefined);
    await this.#send({
      type: Packet_PacketType.STAT,
      stat: {
        path,
        mode: goMode(Number(stats.mode)),
        uid: Number(stats.uid),
        gid: Number(stats.gid),
        size: stats.isFile() && same === undefined ? stats.size : 0n,
        modTime: stats.mtimeNs,
        ...(linkname === undefined ? {} : { linkname }),
      },
    });
  }

  /** The path under which the same file was listed before. */
  #firstName(path: Buffer, stats: BigIntStats): Buffer | undefined {
    if (stats.isDirectory() || stats.nlink < 2n) return undefined;
    const found = this.#first.get(stats.ino);
    if (found === undefined) this.#first.set(stats.ino, path);
    return found;
  }
}

async function sendFile(root: number, path: Buffer, id: number, send: Send): Promise<void> {
  let fd: number;
  try {
    fd = openInsideWithoutLinks(root, path, constants.O_RDONLY | O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw new InvalidParameterError(
      `cannot read ${path.toString()} of the result: ${errnoCode(error) ?? ''}`,
      error,
    );
  }
  try {
    if (!fstatSync(fd).isFile())
      throw new InvalidParameterError(`${path.toString()} of the result is no file any more`);
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let position = 0; ; ) {
      const { bytesRead } = await readAsync(fd, piece, 0, PIECE_BYTES, position);
      if (bytesRead === 0) break;
      position += bytesRead;
      await send({ type: Packet_PacketType.DATA, id, data: piece.subarray(0, bytesRead) });
    }
    await send({ type: Packet_PacketType.DATA, id });
  } finally {
    closeSync(fd);
  }
}
