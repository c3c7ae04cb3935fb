/**
 * The main thread's half of `create` and `addTar`: entries and bytes are gathered into messages for the layer worker,
 * which sends credits back, so that neither side runs ahead of the other by more than a window.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import type { LayerContent, LayerEntry, LayerWriter } from '../snapshotter.ts';
import { byteString, EMPTY, printable } from '../tar/byte-string.ts';
import type { TarHeader } from '../tar/tar-writer.ts';
import { closeSources, type InputItem, inputCost } from './worker-protocol.ts';

type Send = (items: InputItem[]) => Promise<void>;

/** A message is sent when it holds this much. */
const MESSAGE_BYTES = 128 * 1024;

class Outbox {
  readonly #send: Send;
  #items: InputItem[] = [];
  #cost = 0;

  constructor(send: Send) {
    this.#send = send;
  }

  async add(item: InputItem): Promise<void> {
    this.#items.push(item);
    this.#cost += inputCost([item]);
    if (this.#cost >= MESSAGE_BYTES || item.type === 'finish') await this.flush();
  }

  /** Drops what was not sent. */
  discard(): void {
    closeSources(this.#items);
    this.#items = [];
  }

  async flush(): Promise<void> {
    const items = this.#items;
    this.#items = [];
    this.#cost = 0;
    if (items.length > 0) await this.#send(items);
  }
}

/** Sends a tar's bytes. */
export async function feedTar(source: AsyncIterable<Uint8Array>, send: Send): Promise<void> {
  const outbox = new Outbox(send);
  for await (const chunk of source) {
    for (const data of pieces(chunk)) await outbox.add({ type: 'chunk', data });
  }
  await outbox.add({ type: 'finish' });
}

/** Runs `write` and sends its entries. */
export async function feedEntries(write: (layer: LayerWriter) => Promise<void>, send: Send): Promise<void> {
  const outbox = new Outbox(send);
  let finished = false;
  try {
    await write({
      add: async (entry, content) => {
        if (finished) throw new InvalidParameterError('the layer was finished already');
        await addEntry(outbox, entry, content);
      },
      addFiles: async (run) => {
        if (finished) throw new InvalidParameterError('the layer was finished already');
        await outbox.add({ type: 'files', run });
      },
    });
    finished = true;
    await outbox.add({ type: 'finish' });
  } catch (error) {
    outbox.discard();
    throw error;
  }
}

async function addEntry(outbox: Outbox, entry: LayerEntry, content: LayerContent | undefined): Promise<void> {
  const header = toHeader(entry);
  if (content === undefined) {
    if (header.type === 'file' && (header.size ?? 0) > 0) {
      throw new InvalidParameterError(`layer entry ${printable(header.name)} has a size but no content`);
    }
    await outbox.add({ type: 'entry', header });
  } else if (header.type !== 'file') {
    if ('fd' in content) closeSources([{ type: 'entry', header, source: content }]);
    throw new InvalidParameterError(`layer entry ${printable(header.name)} is no file, but has content`);
  } else if (content instanceof Uint8Array) {
    await outbox.add({ type: 'entry', header: { ...header, size: content.length } });
    for (const data of pieces(content)) await outbox.add({ type: 'chunk', data });
  } else if ('path' in content || 'fd' in content || 'file' in content) {
    await outbox.add({ type: 'entry', header, source: content });
  } else {
    await addStream(outbox, header, content);
  }
}

async function addStream(
  outbox: Outbox,
  header: TarHeader,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  if (header.size === undefined) {
    throw new InvalidParameterError(
      `layer entry ${printable(header.name)}: the size of its stream is not given`,
    );
  }
  await outbox.add({ type: 'entry', header });
  for await (const chunk of content) {
    for (const data of pieces(chunk)) await outbox.add({ type: 'chunk', data });
  }
}

function toHeader(entry: LayerEntry): TarHeader {
  const { name, linkName, xattrs, ...rest } = entry;
  return {
    ...rest,
    name: byteString(name),
    linkName: linkName === undefined ? EMPTY : byteString(linkName),
    xattrs: (xattrs ?? []).map((xattr) => ({ name: byteString(xattr.name), value: xattr.value })),
  };
}

/**
 * Pieces of at most a message's size, each with memory of its own, which goes to the worker with the message. A Buffer's
 * own slice would share its memory, and posting that would copy all of it with every piece.
 */
function* pieces(chunk: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < chunk.length; at += MESSAGE_BYTES) {
    yield Uint8Array.prototype.slice.call(chunk, at, at + MESSAGE_BYTES);
  }
}
