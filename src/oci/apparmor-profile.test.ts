import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apparmorProfileText, DEFAULT_APPARMOR_PROFILE } from './apparmor-profile.ts';

/** By itself, and on top of what the kernel does not let go of. */
const CONTAINERS = [DEFAULT_APPARMOR_PROFILE, `${DEFAULT_APPARMOR_PROFILE}//&unconfined`];

function text(daemonLabel = 'unconfined', files: readonly string[] = ['abi/3.0', 'abi/4.0']): string {
  return apparmorProfileText({ daemonLabel, hasFile: (name) => files.includes(name) });
}

/** The rules that begin with `word`, without it. */
function rules(profile: string, word: string): string[] {
  return profile
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith(`${word} `))
    .map((line) => line.slice(word.length + 1).replace(/,$/, ''));
}

test('the features that the rules speak of are those of the oldest generation that is installed', () => {
  assert.deepEqual(rules(text(), 'abi'), ['<abi/3.0>']);
  assert.deepEqual(rules(text('', ['abi/4.0']), 'abi'), ['<abi/4.0>']);
  assert.deepEqual(rules(text('', []), 'abi'), []);
});

test('what only the later generation knows is allowed where that one is taken', () => {
  const later = /^ {2}userns,\n {2}mqueue,\n {2}io_uring,$/m;
  assert.match(text('', ['abi/4.0']), later);
  assert.doesNotMatch(text(), later);
  assert.doesNotMatch(text('', []), later);
});

test('a daemon that nothing confines needs no rule of its own', () => {
  const signals = [
    '(receive) peer=unconfined',
    '(receive) peer=runc',
    '(receive) peer=crun',
    ...CONTAINERS.map((peer) => `(send, receive) peer=${peer}`),
  ];
  for (const label of ['', 'unconfined', 'unconfined\n']) {
    assert.deepEqual(rules(text(label), 'signal'), signals, JSON.stringify(label));
    assert.deepEqual(
      rules(text(label), 'ptrace'),
      CONTAINERS.map((peer) => `(trace, read, tracedby, readby) peer=${peer}`),
    );
  }
});

test('a daemon that is confined may signal and look, under every part of its label', () => {
  const profile = text('snap.mydock.daemon//&/usr/sbin/my dockd (enforce)\n');
  assert.ok(rules(profile, 'signal').includes('(receive) peer="snap.mydock.daemon"'));
  assert.ok(rules(profile, 'signal').includes('(receive) peer="/usr/sbin/my dockd"'));
  assert.ok(rules(profile, 'ptrace').includes('(readby) peer="/usr/sbin/my dockd"'));
  assert.ok(!profile.includes('enforce'));
});

test('a name is no pattern and does not leave its rule', () => {
  const [rule] = rules(text('a"b\\c{d,e}*?[f] (complain)'), 'signal').filter((one) => one.includes('b'));
  assert.equal(rule, '(receive) peer="a\\"b\\\\c\\{d,e\\}\\*\\?\\[f\\]"');
});
