/** Both sides of the transfer against each other, and the receiving one against clients that mean harm. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type Packet,
  Packet_PacketType,
  PacketSchema,
  type StatSchema,
} from '../../../api/buildkit/file-stat_pb.ts';
import { receiveFolder } from './folder-receiver.ts';
import { sendFolder } from './folder-sender.ts';

type Init = MessageInitShape<typeof PacketSchema>;

/** One direction between two sides in this process. */
class Pipe {
  readonly #packets: (Packet | undefined)[] = [];
  #wake: () => void = () => undefined;
  sent = 0;

  readonly send = async (packet: Init): Promise<void> => {
    // Copied, as the wire would.
    const data = packet.data === undefined ? {} : { data: Buffer.from(packet.data) };
    if (packet.type === Packet_PacketType.DATA) this.sent += packet.data?.length ?? 0;
    this.#packets.push(create(PacketSchema, { ...packet, ...data } as Init));
    this.#wake();
    await new Promise(setImmediate);
  };

  readonly end = (): void => {
    this.#packets.push(undefined);
    this.#wake();
  };

  async *[Symbol.asyncIterator](): AsyncGenerator<Packet> {
    for (;;) {
      if (this.#packets.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const packet = this.#packets.shift();
      if (packet === undefined) return;
      yield packet;
    }
  }
}

let folder: string;
let source: string;
let target: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'folder-transfer-'));
  source = join(folder, 'source');
  target = join(folder, 'target');
  mkdirSync(source);
  mkdirSync(target);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Returns how many bytes of content went over. */
async function transfer(): Promise<number> {
  const there = new Pipe();
  const back = new Pipe();
  const receiving = receiveFolder(there, back.send, target).finally(() => back.end());
  await sendFolder(back, there, source);
  await receiving;
  return there.sent;
}

function tree(root: string): Record<string, unknown> {
  const names = readdirSync(root, { recursive: true, encoding: 'latin1' }).toSorted();
  return Object.fromEntries(
    names.map((name) => {
      const path = Buffer.from(join(root, name), 'latin1');
      const stats = lstatSync(path, { bigint: true });
      const content = stats.isFile()
        ? readFileSync(path, 'latin1')
        : stats.isSymbolicLink()
          ? readlinkSync(path, { encoding: 'latin1' })
          : '';
      return [name, [stats.mode, stats.isDirectory() ? 0n : stats.nlink, stats.mtimeNs, content]];
    }),
  );
}

function fill(): void {
  mkdirSync(join(source, 'a/deep'), { recursive: true });
  writeFileSync(join(source, 'a/deep/file'), 'x'.repeat(700_000));
  writeFileSync(join(source, 'a-b'), 'sorted behind a/ as a path, in front of it as a name');
  writeFileSync(join(source, 'empty'), '');
  writeFileSync(Buffer.from(`${source}/\xff\xfe`, 'latin1'), 'no UTF-8');
  writeFileSync(join(source, 'program'), '#!/bin/sh\n');
  chmodSync(join(source, 'program'), 0o4755);
  chmodSync(join(source, 'a'), 0o1777);
  linkSync(join(source, 'program'), join(source, 'same'));
  symlinkSync('/etc/passwd', join(source, 'link'));
  symlinkSync('nowhere', join(source, 'a/dangling'));
  utimesSync(join(source, 'a-b'), 1, 1_000_000_000.123);
}

describe('both sides', () => {
  test('a tree arrives as it is, and what is there already is not sent again', async () => {
    fill();
    assert.ok((await transfer()) > 700_000);
    assert.deepEqual(tree(target), tree(source));
    assert.equal(await transfer(), 0);
    assert.deepEqual(tree(target), tree(source));
  });

  test('what changed is sent, what went goes, whatever type took its place', async () => {
    fill();
    await transfer();
    rmSync(join(source, 'a'), { recursive: true });
    writeFileSync(join(source, 'a'), 'a file now');
    rmSync(join(source, 'link'));
    mkdirSync(join(source, 'link'));
    writeFileSync(join(source, 'link/inside'), 'a folder now');
    rmSync(join(source, 'program'));
    chmodSync(join(source, 'a-b'), 0o600);
    utimesSync(join(source, 'empty'), 5, 5);
    assert.equal(await transfer(), 'a file now'.length + 'a folder now'.length);
    assert.deepEqual(tree(target), tree(source));
    assert.equal(readFileSync(join(target, 'same'), 'utf8'), '#!/bin/sh\n');
  });

  test('a file that was another name of one that changed keeps its content', async () => {
    writeFileSync(join(source, 'one'), 'first');
    linkSync(join(source, 'one'), join(source, 'two'));
    await transfer();
    rmSync(join(source, 'one'));
    writeFileSync(join(source, 'one'), 'other');
    await transfer();
    assert.equal(readFileSync(join(target, 'one'), 'utf8'), 'other');
    assert.equal(readFileSync(join(target, 'two'), 'utf8'), 'first');
  });

  test('a transfer that is cut off is made up for by the next', async () => {
    fill();
    const there = new Pipe();
    const back = new Pipe();
    const receiving = assert.rejects(receiveFolder(there, back.send, target), /before all of its files/);
    const send = async (packet: Init): Promise<void> => {
      if (packet.type === Packet_PacketType.DATA) throw new Error('cut');
      await there.send(packet);
    };
    const sending = sendFolder(back, { send, end: there.end }, source).catch(there.end);
    await receiving;
    back.end();
    await sending;
    await transfer();
    assert.deepEqual(tree(target), tree(source));
  });

  test('progress tells of bytes and files', async () => {
    fill();
    const there = new Pipe();
    const back = new Pipe();
    let last = { bytes: 0, files: 0 };
    const receiving = receiveFolder(there, back.send, target, {
      onProgress: (received) => {
        last = { ...received };
      },
    }).finally(() => back.end());
    await sendFolder(back, there, source);
    await receiving;
    assert.equal(last.files, readdirSync(source, { recursive: true, encoding: 'latin1' }).length);
    assert.equal(last.bytes, there.sent);
  });
});

describe('clients that mean harm', () => {
  const DIRECTORY = 0x80000000 + 0o755;
  const SYMLINK = 0x08000000 + 0o777;
  const path = (name: string): { path: Buffer } => ({ path: Buffer.from(name) });
  const stat = (name: string, more: MessageInitShape<typeof StatSchema> = {}): Init => ({
    type: Packet_PacketType.STAT,
    stat: { ...path(name), mode: 0o644, ...more } as MessageInitShape<typeof StatSchema>,
  });

  async function send(...packets: Init[]): Promise<void> {
    const there = new Pipe();
    for (const packet of packets) await there.send(packet);
    there.end();
    await receiveFolder(there, async () => undefined, target);
  }

  for (const name of [
    '..',
    '.',
    '',
    '/',
    '/etc',
    '../x',
    'a/../b',
    'a//b',
    './a',
    'a/',
    'a\0b',
    'missing/x',
  ]) {
    test(`a file called ${JSON.stringify(name)} is refused`, async () => {
      await assert.rejects(send(stat('a', { mode: DIRECTORY }), stat(name)), { kind: 'InvalidParameter' });
      assert.ok(!existsSync(join(folder, 'x')));
    });
  }

  test('nothing is written through a link that the client has sent', async () => {
    const link = stat('a', { mode: SYMLINK, linkname: Buffer.from(folder) });
    await assert.rejects(send(link, stat('a/planted')), { kind: 'InvalidParameter' });
    await assert.rejects(
      send(link, stat('a', { mode: DIRECTORY }), stat('a/planted')),
      { kind: 'InvalidParameter' },
      'nor where it becomes a folder afterwards',
    );
    assert.ok(!existsSync(join(folder, 'planted')));
  });

  test('hard links lead to files of the folder alone', async () => {
    writeFileSync(join(folder, 'secret'), 'secret');
    symlinkSync('../secret', join(target, 'a'));
    for (const linkname of ['../secret', '/etc/passwd', join(folder, 'secret'), 'b', '.', 'a/x']) {
      const link = stat('b', { linkname: Buffer.from(linkname) });
      await assert.rejects(send(link), { kind: 'InvalidParameter' }, linkname);
    }
    const through = [
      stat('a', { mode: SYMLINK, linkname: Buffer.from('../secret') }),
      stat('b', { linkname: Buffer.from('a') }),
    ];
    await assert.rejects(send(...through), { kind: 'InvalidParameter' });
    assert.equal(lstatSync(join(folder, 'secret')).nlink, 1);
  });

  test('names twice, out of order, too long, too deep', async () => {
    await assert.rejects(send(stat('b'), stat('a')), /sent after "b"/);
    await assert.rejects(send(stat('b'), stat('b')), /sent after "b"/);
    await assert.rejects(send(stat('n'.repeat(256))), { kind: 'InvalidParameter' });
    const deep = Array.from({ length: 300 }, (_, depth) =>
      stat(
        Array(depth + 1)
          .fill('d')
          .join('/'),
        { mode: DIRECTORY },
      ),
    );
    await assert.rejects(send(...deep), /deeper than/);
  });

  test('content that was not asked for, of too many files at once, or a list that never ends', async () => {
    await assert.rejects(
      send({ type: Packet_PacketType.DATA, id: 7, data: Buffer.from('x') }),
      /not asked for/,
    );
    const many = Array.from({ length: 80 }, (_, at) => stat(`f${String(at).padStart(3, '0')}`, { size: 5n }));
    const pieces = many.map((_, id) => ({ type: Packet_PacketType.DATA, id, data: Buffer.from('x') }));
    await assert.rejects(send(...many, ...pieces), /files at once/);
    await assert.rejects(send(stat('a')), /before all of its files/);
    await assert.rejects(
      send({ type: Packet_PacketType.ERR, data: Buffer.from('no such file') }),
      /error from sender: no such file/,
    );
  });

  test('devices are left out, owners are root, nothing is left open', async () => {
    const before = readdirSync('/proc/self/fd').length;
    await send(
      stat('device', { mode: 0x04200000 + 0o666, devmajor: 1n, devminor: 3n }),
      stat('file', { uid: 1234, gid: 1234, xattrs: { 'trusted.overlay.opaque': Buffer.from('y') } }),
      { type: Packet_PacketType.STAT },
    );
    assert.deepEqual(readdirSync(target), ['file']);
    assert.equal(lstatSync(join(target, 'file')).uid, process.getuid?.());
    assert.equal(readdirSync('/proc/self/fd').length, before);
  });

  test('a client that asks for what it was not offered', async () => {
    writeFileSync(join(source, 'one'), '1');
    const back = new Pipe();
    await back.send({ type: Packet_PacketType.REQ, id: 5 });
    await assert.rejects(sendFolder(back, new Pipe(), source), /was not offered/);
  });
});
