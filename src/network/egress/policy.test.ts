import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allowsName, formatEgress, mergeEgress, parseEgress } from './policy.ts';

describe('egress policies', () => {
  it('are read and written', () => {
    assert.deepEqual(parseEgress('none'), { subnets: [], names: [] });
    const text =
      'allow=Example.com.,*.svc.example.com,10.0.0.0/8,192.0.2.7,[2001:DB8::]/32,2001:db8:1::/48,[::1],a_b.c,example.com';
    const policy = parseEgress(text);
    assert.deepEqual(policy, {
      names: ['example.com', '*.svc.example.com', 'a_b.c'],
      subnets: ['10.0.0.0/8', '192.0.2.7/32', '2001:db8::/32', '2001:db8:1::/48', '::1/128'],
    });
    assert.equal(
      formatEgress(policy),
      'allow=example.com,*.svc.example.com,a_b.c,10.0.0.0/8,192.0.2.7,[2001:db8::]/32,[2001:db8:1::]/48,::1',
    );
    assert.deepEqual(parseEgress(formatEgress(policy)), policy);
    assert.equal(formatEgress(parseEgress('none')), 'none');
    assert.deepEqual(parseEgress('allow=münchen.de').names, ['xn--mnchen-3ya.de']);
  });

  it('name the entry that is wrong', () => {
    for (const entry of [
      '',
      '*',
      '*.',
      'a..b',
      '-a.b',
      'a b',
      '10.0.0',
      '300.0.0.1',
      'http://x',
      'x:80',
      'a*.b',
    ]) {
      assert.throws(
        () => parseEgress(`allow=example.com,${entry}`),
        (error: Error) => {
          assert.equal(Reflect.get(error, 'kind'), 'InvalidParameter');
          assert.ok(error.message.includes(`"${entry}"`), error.message);
          return true;
        },
      );
    }
    assert.throws(() => parseEgress('allow=10.0.0.1/8'), {
      kind: 'InvalidParameter',
      message: /10\.0\.0\.1\/8/,
    });
    assert.throws(() => parseEgress('allow=10.0.0.0/33'), { kind: 'InvalidParameter' });
    assert.throws(() => parseEgress('all'), { kind: 'InvalidParameter', message: /"all"/ });
    assert.throws(() => parseEgress(`allow=${'a.b,'.repeat(2000)}a.b`), { kind: 'InvalidParameter' });
  });

  it('allow a name itself, and with a star what is below it', () => {
    const policy = parseEgress('allow=example.com,*.svc.test');
    for (const name of ['example.com', 'a.svc.test', 'a.b.svc.test'])
      assert.ok(allowsName(policy, name), name);
    for (const name of ['www.example.com', 'svc.test', 'asvc.test', 'com', '', 'example.com.evil.test']) {
      assert.ok(!allowsName(policy, name), name);
    }
  });

  it("of a container count alone; its networks' must all allow", () => {
    const [a, b] = ['allow=a.test,*.b.test,10.0.0.0/8', 'allow=x.b.test,c.test,10.1.0.0/16,192.0.2.1'].map(
      parseEgress,
    );
    assert.ok(a !== undefined && b !== undefined);
    assert.equal(mergeEgress(null, [null, null]), null);
    assert.equal(mergeEgress(a, [b]), a);
    assert.equal(mergeEgress(null, [null, b, null]), b);
    assert.deepEqual(mergeEgress(null, [a, b]), { names: ['x.b.test'], subnets: ['10.1.0.0/16'] });
    assert.deepEqual(mergeEgress(null, [a, a]), a);
  });
});
