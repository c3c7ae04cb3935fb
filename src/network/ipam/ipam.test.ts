import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatSubnet, overlaps, parseSubnet, type Subnet } from '../ip-address.ts';
import type { AddressPool } from '../model.ts';
import type { NetworkStore } from '../network-store.ts';
import { nextAddress } from './address-choice.ts';
import { freeBlock, parsePools, randomUniqueLocalPrefix, uniqueLocalPool } from './address-pools.ts';
import { judgePools } from './pool-request.ts';
import { SubnetChoice } from './subnet-choice.ts';

describe('pools', () => {
  const choose = (family: 4 | 6, used: string[], pools = parsePools([])) => {
    const found = freeBlock(pools, family, used.map(parseSubnet));
    return found === undefined ? undefined : formatSubnet(found);
  };

  it("are Docker's, the first that nothing uses", () => {
    assert.equal(choose(4, []), '172.17.0.0/16');
    assert.equal(choose(4, ['10.0.0.0/8', 'fd00::/8']), '172.17.0.0/16');
    assert.equal(choose(4, ['172.17.200.0/24', '172.18.0.1/32']), '172.19.0.0/16');
    assert.equal(choose(4, ['172.16.0.0/12']), '192.168.0.0/20');
    assert.equal(choose(4, ['172.16.0.0/12', '192.168.1.0/24']), '192.168.16.0/20');
    assert.equal(choose(4, ['172.16.0.0/12', '192.168.0.0/16']), undefined);
  });

  it('may be 31 of the daemon at a time, all of them apart', () => {
    const used: string[] = [];
    for (let found = choose(4, used); found !== undefined; found = choose(4, used)) used.push(found);
    assert.equal(used.length, 31);
    const subnets = used.map(parseSubnet);
    subnets.forEach((a, i) => {
      subnets.slice(i + 1).forEach((b) => {
        assert.ok(!overlaps(a, b));
      });
    });
  });

  it('are what the user says, in blocks of his size, however large', () => {
    const pools = parsePools([{ base: '10.0.0.0/8', size: 24 }]);
    assert.equal(choose(4, [], pools), '10.0.0.0/24');
    assert.equal(choose(4, ['10.0.0.0/9', '10.128.0.77/32'], pools), '10.128.1.0/24');
    assert.equal(choose(4, ['10.0.0.0/8'], pools), undefined);
    assert.equal(choose(6, ['::/2'], parsePools([{ base: '::/0', size: 128 }])), '4000::/128');
    for (const pool of [
      { base: '10.0.0.0/8', size: 7 },
      { base: '10.0.0.0/8', size: 33 },
      { base: 'nonsense', size: 24 },
    ]) {
      assert.throws(() => parsePools([pool]), { kind: 'InvalidParameter' });
    }
  });

  it('are found by looking at each used one a few times, however many there are', () => {
    let looks = 0;
    const counted = (subnet: Subnet): Subnet => ({
      family: subnet.family,
      prefixLength: subnet.prefixLength,
      get base() {
        looks += 1;
        return subnet.base;
      },
    });
    const count = 2000;
    const all = Array.from({ length: count }, (_, i) => ({
      ...parseSubnet('10.0.0.0/28'),
      base: (10n << 24n) + 16n * BigInt(i),
    }));
    const pools = parsePools([{ base: '10.0.0.0/8', size: 28 }]);
    for (const used of [all, all.toReversed()]) {
      looks = 0;
      const found = freeBlock(pools, 4, used.map(counted));
      assert.equal(found && formatSubnet(found), '10.0.125.0/28');
      assert.ok(looks <= 10 * count, `${looks} looks at ${count} subnets`);
    }
    assert.equal(choose(4, ['10.0.0.64/28', '10.0.0.0/27', '10.0.0.32/32'], pools), '10.0.0.48/28');
  });

  it("are refused with Docker's words once none is left", async () => {
    const store = { networks: () => [] } as unknown as NetworkStore;
    const links = {
      usedSubnets: async () => [{ subnet: parseSubnet('10.0.0.0/30'), interface: 'eth0' }],
    };
    const choice = (size: number) =>
      new SubnetChoice(store, links, parsePools([{ base: '10.0.0.0/29', size }]), 'br');
    assert.equal(formatSubnet(await choice(30).choose(4, 'x')), '10.0.0.4/30');
    await assert.rejects(choice(29).choose(4, 'x'), {
      kind: 'InvalidParameter',
      message: /^all predefined address pools have been fully subnetted: .*IPv4 .* network x: .*--subnet/,
    });
  });

  it('of IPv6 are of a random prefix', () => {
    const prefix = randomUniqueLocalPrefix();
    assert.match(prefix, /^fd[0-9a-f]{2}:/);
    assert.notEqual(prefix, randomUniqueLocalPrefix());
    const pool = uniqueLocalPool('fd12:3456:789a::/48');
    assert.equal(choose(6, ['fd12:3456:789a::/64'], [pool]), 'fd12:3456:789a:1::/64');
  });
});

describe('addresses', () => {
  const pool = (subnet: string, more: Partial<AddressPool> = {}): AddressPool => ({
    subnet,
    range: '',
    gateway: '',
    auxiliary: {},
    configured: true,
    ...more,
  });
  const all = (from: AddressPool): string[] => {
    const taken = new Set<string>();
    let last = '';
    for (;;) {
      const next = nextAddress(from, last, taken);
      if (next === undefined) return [...taken];
      taken.add(next);
      last = next;
    }
  };

  it('are never those of network, broadcast, gateway and auxiliary addresses', () => {
    assert.deepEqual(all(pool('10.9.0.0/29', { gateway: '10.9.0.1', auxiliary: { a: '10.9.0.4' } })), [
      '10.9.0.2',
      '10.9.0.3',
      '10.9.0.5',
      '10.9.0.6',
    ]);
    assert.deepEqual(all(pool('10.9.0.0/31')), ['10.9.0.0', '10.9.0.1']);
    assert.deepEqual(all(pool('10.9.0.7/32')), ['10.9.0.7']);
    assert.deepEqual(all(pool('fd00::/126', { gateway: 'fd00::1' })), ['fd00::2', 'fd00::3']);
  });

  it('are of the range where there is one', () => {
    assert.deepEqual(all(pool('10.9.0.0/24', { range: '10.9.0.252/30' })), [
      '10.9.0.252',
      '10.9.0.253',
      '10.9.0.254',
    ]);
  });

  it('go round', () => {
    const taken = new Set(['10.9.0.6', '10.9.0.1']);
    assert.equal(nextAddress(pool('10.9.0.0/29'), '10.9.0.5', taken), '10.9.0.2');
    assert.equal(nextAddress(pool('10.9.0.0/29'), '172.17.0.2', new Set()), '10.9.0.1');
    assert.equal(nextAddress(pool('fd00::/64'), 'fd00::ff', new Set()), 'fd00::100');
  });
});

describe('subnets that users ask for', () => {
  it('come out in canonical text', () => {
    assert.deepEqual(judgePools([{ Subnet: 'FD00:0::/64', Gateway: 'fd00:0::0:1' }]), [
      { subnet: 'fd00::/64', range: '', gateway: 'fd00::1', auxiliary: {}, configured: true },
    ]);
  });

  it("are refused with Docker's words", () => {
    for (const [config, text] of [
      [{ Subnet: 'x' }, 'invalid subnet x: invalid CIDR block notation'],
      [{ Subnet: '' }, 'invalid subnet : invalid CIDR block notation'],
      [{ Subnet: '10.9.0.5/24' }, 'invalid subnet 10.9.0.5/24: it should be 10.9.0.0/24'],
      [{ Subnet: '10.9.0.0/24', Gateway: 'x' }, 'invalid gateway x: invalid address'],
      [{ Subnet: '10.9.0.0/24', Gateway: '::1' }, 'invalid gateway ::1: parent subnet is an IPv4 block'],
      [
        { Subnet: '10.9.0.0/24', Gateway: '10.8.0.1' },
        "invalid gateway 10.8.0.1: parent subnet 10.9.0.0/24 doesn't contain this address",
      ],
      [
        { Subnet: '10.9.0.0/24', AuxiliaryAddresses: { box: '10.8.0.1' } },
        "invalid auxiliary address box: parent subnet 10.9.0.0/24 doesn't contain this address",
      ],
      [
        { Subnet: '10.9.0.0/24', IPRange: '10.9.0.0/16' },
        'invalid ip-range 10.9.0.0/16: CIDR block is bigger than its parent subnet 10.9.0.0/24',
      ],
      [
        { Subnet: '10.9.0.0/24', IPRange: '10.8.0.0/25' },
        "invalid ip-range 10.8.0.0/25: parent subnet 10.9.0.0/24 doesn't contain ip-range",
      ],
      [
        { Subnet: '10.9.0.0/24', IPRange: 'fd00::/64' },
        'invalid ip-range fd00::/64: parent subnet is an IPv4 block',
      ],
      [{ Subnet: '10.9.0.0/24', IPRange: 'x' }, 'invalid ip-range x: invalid CIDR block notation'],
    ] as const) {
      assert.throws(() => judgePools([config]), {
        kind: 'InvalidParameter',
        message: `invalid network config:\n${text}`,
      });
    }
    assert.throws(() => judgePools([{ Subnet: '10.9.0.0/24' }, { Subnet: '10.9.0.128/25' }]), /overlaps/);
  });
});
