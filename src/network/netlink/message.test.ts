/**
 * Encoders compared byte for byte with what the kernel's headers prescribe. Numbers are little-endian, those of
 * nftables big-endian.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetlinkRequest } from './connection.ts';
import { flushConntrack } from './conntrack.ts';
import * as message from './message.ts';
import type { Expression } from './nft-expressions.ts';
import { action, match } from './nft-expressions.ts';
import { concatenatedType, DATA_TYPE, NftBatch } from './nftables.ts';
import * as route from './route.ts';

/** Hex without blanks, the sequence numbers of all messages set to zero. */
function bytes(request: NetlinkRequest): string {
  const copy = Buffer.from(request.writer.finish());
  for (let at = 0; at < copy.length; at += (copy.readUInt32LE(at) + 3) & ~3) copy.writeUInt32LE(0, at + 8);
  return copy.toString('hex');
}

function built(body: (request: NetlinkRequest) => void): string {
  const request = new NetlinkRequest();
  body(request);
  return bytes(request);
}

/** What is written here in groups and lines. */
const hex = (text: string): string => text.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');

function expression(list: Expression[]): string {
  const writer = new message.MessageWriter();
  for (const write of list) writer.nest(1, () => write(writer));
  return writer.finish().toString('hex');
}

describe('messages', () => {
  it('align attributes, mark nests, and hold several messages', () => {
    const writer = new message.MessageWriter();
    writer.begin(16, 5, 7);
    writer.string(3, 'br0');
    writer.nest(18, () => {
      writer.u8(1, 9);
      writer.u16be(2, 0x0102);
    });
    writer.end();
    writer.begin(17, 1, 8);
    writer.end();
    assert.equal(
      writer.finish().toString('hex'),
      hex(`2c000000 1000 0500 07000000 00000000
           0800 0300 62723000
           1400 1280 0500 0100 09000000 0600 0200 01020000
           10000000 1100 0100 08000000 00000000`),
    );
  });

  it('grow beyond the first buffer', () => {
    const writer = new message.MessageWriter();
    writer.begin(1, 1, 1);
    for (let i = 0; i < 1000; i++) writer.u32(5, i);
    writer.end();
    const [parsed] = message.parseMessages(writer.finish());
    const values = message
      .listAttributes(parsed?.payload ?? Buffer.alloc(0))
      .map(([, value]) => value.readUInt32LE(0));
    assert.deepEqual(
      values,
      Array.from({ length: 1000 }, (_, i) => i),
    );
  });

  it('are parsed strictly', () => {
    assert.throws(() => message.parseMessages(Buffer.alloc(8)), RangeError);
    assert.throws(
      () => message.parseMessages(Buffer.from('ff000000000000000000000000000000', 'hex')),
      RangeError,
    );
    assert.throws(() => message.parseAttributes(Buffer.from('03000100', 'hex')), RangeError);
    assert.throws(() => message.parseAttributes(Buffer.from('ff000100', 'hex')), RangeError);
    assert.equal(message.attributeString(Buffer.from('eth0\0\0')), 'eth0');
    assert.equal(message.attributeString(undefined), '');
  });

  it('give the attributes that are asked for, and no others', () => {
    // Of 5 bytes, of none, and one of type 7 again.
    const text = Buffer.from('ffff0900070068656c6c6f0000000400030009000700776f726c64000000', 'hex');
    const all = message.parseAttributes(text.subarray(2));
    const picked = message.pickAttributes(text, 2, new Set([7, 8]));
    assert.deepEqual([...all.keys()], [7, 3]);
    assert.deepEqual([...picked].map(String), ['7,world']);
    assert.deepEqual(picked.get(7), all.get(7));
    assert.throws(() => message.pickAttributes(text.subarray(0, -4), 2, new Set()), RangeError);
  });

  it('turn refusals into errors that name the action and say what the kernel said', () => {
    const request = new NetlinkRequest();
    route.deleteLink(request, 'gone0');
    const sequence = request.writer.finish().readUInt32LE(8);
    const answer = Buffer.concat([
      Buffer.from(hex('3000 0000 0200 0003 00000000 00000000 edffffff'), 'hex'),
      request.writer.finish().subarray(0, 16),
      Buffer.from(hex('0c00 0100 6e6f206465760000'), 'hex'),
    ]);
    answer.writeUInt32LE(sequence, 8);
    assert.throws(() => request.judge(answer), {
      message: 'delete link gone0: ENODEV: no dev',
      code: 'ENODEV',
      errno: 19,
      kind: 'Internal',
    });
    answer.writeInt32LE(0, 16);
    assert.deepEqual(request.judge(answer), []);
  });
});

describe('rtnetlink', () => {
  it('makes a bridge', () => {
    const macAddress = Buffer.from('0242aabbccdd', 'hex');
    assert.equal(
      built((request) => route.createBridge(request, { name: 'br0', macAddress, mtu: 1500 })),
      hex(`4c000000 1000 0506 00000000 00000000
           00000000 00000000 00000000 00000000   # ifinfomsg
           0800 0300 62723000                    # IFLA_IFNAME
           0a00 0100 0242aabbccdd 0000           # IFLA_ADDRESS
           0800 0400 dc050000                    # IFLA_MTU
           1000 1280 0b00 0100 62726964676500 00 # IFLA_LINKINFO, IFLA_INFO_KIND`),
    );
  });

  it('makes a veth whose peer is born elsewhere', () => {
    const pair = {
      name: 'v0',
      master: 7,
      mtu: 1500,
      peer: { name: 'eth0', netnsFd: 21, macAddress: Buffer.from('0242ac110002', 'hex') },
    };
    assert.equal(
      built((request) => route.createVeth(request, pair)),
      hex(`88000000 1000 0506 00000000 00000000
           00000000 00000000 00000000 00000000
           0700 0300 76300000
           0800 0400 dc050000
           0800 0a00 07000000                    # IFLA_MASTER
           5000 1280
             0900 0100 7665746800 000000
             4000 0280 3c00 0180                 # IFLA_INFO_DATA, VETH_INFO_PEER
               00000000 00000000 00000000 00000000
               0900 0300 6574683000 000000
               0800 0400 dc050000
               0a00 0100 0242ac110002 0000
               0800 1c00 15000000                # IFLA_NET_NS_FD`),
    );
  });

  it('sets links up, adds addresses and routes', () => {
    assert.equal(
      built((request) => route.setLinkUp(request, { index: 2, name: 'eth0' })),
      hex(`30000000 1000 0500 00000000 00000000
           00000000 02000000 01000000 01000000
           1000 1a80 0c00 0a80 0500 0800 01000000  # IFLA_AF_SPEC, AF_INET6, no link-local address`),
    );
    const address = Buffer.from([172, 17, 0, 2]);
    const broadcast = Buffer.from([172, 17, 255, 255]);
    assert.equal(
      built((request) => route.addAddress(request, { index: 2, address, prefixLength: 16, broadcast })),
      hex(`30000000 1400 0505 00000000 00000000
           02 10 00 00 02000000
           0800 0200 ac110002 0800 0100 ac110002 0800 0400 ac11ffff`),
    );
    assert.equal(
      built((request) => route.addDefaultRoute(request, 2, Buffer.from([172, 17, 0, 1]))),
      hex(`2c000000 1800 0505 00000000 00000000
           02 00 00 00 fe 03 00 01 00000000
           0800 0500 ac110001 0800 0400 02000000`),
    );
  });

  it('reads links, addresses and routes', () => {
    const parse = (type: number, text: string) => {
      const payload = Buffer.from(hex(text), 'hex');
      return [{ type, flags: 0, sequence: 0, payload }];
    };
    assert.deepEqual(
      route.parseLinks(
        parse(
          16,
          `00000000 04000000 43100100 00000000
           0700 0300 76300000 0800 0a00 02000000 0a00 0100 0242ac110002 0000
           1000 1280 0900 0100 7665746800 000000`,
        ),
      ),
      [
        {
          index: 4,
          name: 'v0',
          up: true,
          carrier: true,
          loopback: false,
          master: 2,
          lower: 0,
          kind: 'veth',
          macAddress: Buffer.from('0242ac110002', 'hex'),
          mtu: 0,
          alias: '',
        },
      ],
    );
    assert.deepEqual(
      route.parseAddresses(parse(20, '02 18 80 00 03000000 0800 0100 c0000201 0800 0200 c0000201')),
      [{ index: 3, address: { family: 4, value: 0xc0000201n }, prefixLength: 24, protocol: 0 }],
    );
    assert.deepEqual(
      route.parseAddresses(
        parse(20, '0a 40 80 00 01000000 1400 0100 fd000000000000000000000000000001 0500 0b00 6d000000'),
      ),
      [{ index: 1, address: { family: 6, value: (0xfdn << 120n) + 1n }, prefixLength: 64, protocol: 0x6d }],
    );
    assert.deepEqual(
      route.parseAddresses(parse(20, '0a 40 80 00 01000000')),
      [],
      'one without its address is left out',
    );
    assert.deepEqual(
      route.parseRoutes(parse(24, '02 10 00 00 fe 02 fd 01 00000000 0800 0100 ac110000 0800 0400 05000000')),
      [
        {
          destination: { family: 4, base: 0xac110000n, prefixLength: 16 },
          index: 5,
          mainTable: true,
          protocol: 2,
          type: 1,
          metric: 0,
        },
      ],
    );
    const ofLink5 = '02 10 00 00 fe 02 fd 01 00000000 0800 0400 05000000 0800 0100 ac110000';
    assert.equal(route.parseRoutes(parse(24, ofLink5), (index) => index === 5).length, 1);
    assert.deepEqual(
      route.parseRoutes(parse(24, `${ofLink5} ffff 0600`), (index) => index === 6),
      [],
      'of links that are not wanted nothing more is read than their number',
    );
    assert.deepEqual(
      route.parseAddresses(parse(20, '02 18 80 00 03000000 ffff 0100'), (index) => index === 2),
      [],
    );
    assert.deepEqual(
      route.parseLinkNames(parse(16, '00000000 04000000 43100100 00000000 0700 0300 76300000')),
      new Map([[4, 'v0']]),
    );
    // A default route by two hops, of a table whose number does not fit the header.
    assert.deepEqual(
      route.parseRoutes(
        parse(
          24,
          `0a 00 00 00 00 09 00 01 00000000 0800 0f00 10270000 0800 0600 00040000
           1400 0900 0800 0000 07000000 0800 0000 08000000`,
        ),
      ),
      [
        {
          destination: { family: 6, base: 0n, prefixLength: 0 },
          index: 7,
          mainTable: false,
          protocol: 9,
          type: 1,
          metric: 1024,
        },
      ],
    );
  });
});

describe('nftables', () => {
  it('frames a batch, and asks for an answer to the last message only', () => {
    const request = new NftBatch('t').addTable().deleteTable().finish();
    assert.equal(
      bytes(request),
      hex(`14000000 1000 0100 00000000 00000000 00 00 000a
           24000000 000a 0104 00000000 00000000 01 00 0000 0600 0100 74000000 0800 0200 00000000
           1c000000 020a 0500 00000000 00000000 01 00 0000 0600 0100 74000000
           14000000 1100 0100 00000000 00000000 00 00 000a`),
    );
  });

  it('makes base chains', () => {
    const batch = new NftBatch('t').addChain({ name: 'c', type: 'nat', hook: 'output', priority: -100 });
    assert.ok(
      bytes(batch.finish()).includes(
        hex(`0600 0100 74000000 0600 0300 63000000
             1400 0480 0800 0100 00000003 0800 0200 ffffff9c
             0800 0700 6e617400`),
      ),
    );
  });

  it('makes maps and their elements', () => {
    assert.equal(concatenatedType([DATA_TYPE.protocol, DATA_TYPE.port]), (12 << 6) | 13);
    const batch = new NftBatch('t')
      .addSet({ name: 'm', keyType: 781, keyBytes: 8, data: { type: 461, bytes: 8 } })
      .addElements('m', [
        { key: Buffer.from('0600000000500000', 'hex'), data: Buffer.from('ac1100021f900000', 'hex') },
      ])
      .deleteElements('m', [{ key: Buffer.from('0600000000510000', 'hex') }])
      .deleteElements('m', []);
    const sent = bytes(batch.finish());
    assert.ok(
      sent.includes(
        hex(`0600 0200 6d000000 0800 0300 00000008 0800 0400 0000030d 0800 0500 00000008
             0800 0600 000001cd 0800 0700 00000008 0800 0a00 00000001`),
      ),
    );
    assert.ok(
      sent.includes(
        hex(`2800 0380 2400 0180
               1000 0180 0c00 0100 0600000000500000
               1000 0280 0c00 0100 ac1100021f900000`),
      ),
      sent,
    );
    assert.ok(sent.includes(hex('1800 0380 1400 0180 1000 0180 0c00 0100 0600000000510000')));
  });

  it('encodes expressions', () => {
    assert.equal(
      expression(match.ipv4()),
      hex(`2400 0180 0900 0100 6d65746100 000000 1400 0280 0800 0100 00000008 0800 0200 0000000f
           2c00 0180 0800 0100 636d7000 2000 0280 0800 0100 00000008 0800 0200 00000000
             0c00 0380 0500 0100 02000000`),
    );
    assert.equal(
      expression(action.drop()),
      hex(`3000 0180 0e00 0100 696d6d65646961746500 0000
             1c00 0280 0800 0100 00000000 1000 0280 0c00 0280 0800 0100 00000000`),
    );
    assert.throws(() => match.inputInterface('a-name-of-16-chr'), RangeError);
    assert.throws(() => match.inputInterface('a-name-that-is-too-long'), RangeError);
  });

  it('selects tracked connections by the address that answers', () => {
    assert.equal(
      bytes(flushConntrack(Buffer.from([172, 17, 0, 2]))),
      hex(`38000000 0201 0500 00000000 00000000 02 00 0000
           1000 0280 0c00 0180 0800 0100 ac110002
           1400 1980 0800 0100 00000000 0800 0200 01000000`),
    );
  });
});
