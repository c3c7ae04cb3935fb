/**
 * Links that not every kernel has, and IPv6's side of addresses, routes and neighbours, compared byte for byte with what
 * the kernel's headers prescribe. Numbers are little-endian.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetlinkRequest } from './connection.ts';
import { flushConntrack } from './conntrack.ts';
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

const HEADER = '00000000 00000000 00000000 00000000';
const GATEWAY = Buffer.from('fd090000000000000000000000000001', 'hex');

describe('links', () => {
  it('of ipvlan have a mode and a flag of two bytes each', () => {
    const link = { name: 'eth0', parent: 7, netnsFd: 5, mtu: 0 };
    assert.equal(
      built((request) => route.createIpvlan(request, { ...link, mode: 'l3s', flag: 'vepa' })),
      hex(`60000000 1000 0506 00000000 00000000 ${HEADER}
           0900 0300 6574683000 000000
           0800 0500 07000000
           0800 1c00 05000000
           2400 1280 0b00 0100 6970766c616e00 00 1400 0280 0600 0100 0200 0000 0600 0200 0200 0000`),
    );
  });

  it('of macvlan have a mode, and a MAC address unless they take over their parent', () => {
    const link = { name: 'e', parent: 7, netnsFd: 5, mtu: 1400 };
    const macAddress = Buffer.from('0242ac110002', 'hex');
    const tail = `1c00 1280 0c00 0100 6d6163766c616e00 0c00 0280 0800 0100`;
    const middle = `0600 0300 6500 0000 0800 0500 07000000 0800 1c00 05000000 0800 0400 78050000`;
    assert.equal(
      built((request) => route.createMacvlan(request, { ...link, mode: 'bridge', macAddress })),
      hex(`68000000 1000 0506 00000000 00000000 ${HEADER} ${middle}
           0a00 0100 0242ac110002 0000 ${tail} 04000000`),
    );
    assert.equal(
      built((request) => route.createMacvlan(request, { ...link, mode: 'passthru', macAddress })),
      hex(`5c000000 1000 0506 00000000 00000000 ${HEADER} ${middle} ${tail} 08000000`),
    );
  });

  it('of VLANs have an ID of two bytes', () => {
    assert.equal(
      built((request) => route.createVlan(request, { name: 'e.50', parent: 7, vlanId: 50 })),
      hex(`50000000 1000 0506 00000000 00000000 ${HEADER}
           0900 0300 652e353000 000000
           0800 0500 07000000
           1c00 1280 0900 0100 766c616e00 000000 0c00 0280 0600 0100 3200 0000`),
    );
  });
});

describe('IPv6', () => {
  it('addresses are usable at once, and marked on interfaces of others', () => {
    const entry = { index: 2, address: GATEWAY, prefixLength: 64, protocol: route.OWN_ADDRESS_PROTOCOL };
    const address = GATEWAY.toString('hex');
    assert.equal(
      built((request) => route.addAddress(request, entry)),
      hex(`50000000 1400 0505 00000000 00000000 0a 40 00 00 02000000
           1400 0200 ${address} 1400 0100 ${address}
           0800 0800 02000000        # IFA_FLAGS: no duplicate address detection
           0500 0b00 6d 000000       # IFA_PROTO`),
    );
  });

  it('default routes replace, may lead straight out, and are deleted by link', () => {
    assert.equal(
      built((request) => route.addDefaultRoute(request, 2, GATEWAY, true)),
      hex(`38000000 1800 0505 00000000 00000000 0a 00 00 00 fe 03 00 01 04000000
           1400 0500 ${GATEWAY.toString('hex')} 0800 0400 02000000`),
    );
    assert.equal(
      built((request) => route.addDefaultDeviceRoute(request, 4, 2)),
      hex(`24000000 1800 0505 00000000 00000000 02 00 00 00 fe 03 fd 01 00000000 0800 0400 02000000`),
    );
    assert.equal(
      built((request) => route.deleteDefaultRoute(request, { family: 6, index: 2, metric: 1024 })),
      hex(`2c000000 1900 0500 00000000 00000000 0a 00 00 00 fe 00 ff 00 00000000
           0800 0400 02000000 0800 0600 00040000`),
    );
  });

  it('neighbours are corrected where they are known, and their absence is no error', () => {
    const neighbour = { index: 3, address: GATEWAY, macAddress: Buffer.from('0242ac110002', 'hex') };
    const request = new NetlinkRequest();
    route.correctNeighbour(request, neighbour);
    assert.equal(
      bytes(request),
      hex(`3c000000 1c00 0101 00000000 00000000 0a 000000 03000000 0400 00 00
           1400 0100 ${GATEWAY.toString('hex')} 0a00 0200 0242ac110002 0000`),
    );
    // NLMSG_ERROR, ENOENT, to this request.
    const refusal = Buffer.from(
      hex(`24000000 0200 0000 00000000 00000000 feffffff 3c000000 1c00 0101`),
      'hex',
    );
    const answer = Buffer.concat([refusal, Buffer.alloc(8)]);
    answer.writeUInt32LE(request.writer.finish().readUInt32LE(8), 8);
    assert.deepEqual(request.judge(answer), []);
  });

  it('connections are selected by the address that answers', () => {
    assert.match(
      bytes(flushConntrack(GATEWAY)),
      new RegExp(`0a0000001c0002801800018014000300${GATEWAY.toString('hex')}`),
    );
  });
});
