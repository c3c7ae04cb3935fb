import assert from 'node:assert/strict';
import { test } from 'node:test';
import { log } from '../base/log.ts';
import { type ApparmorHost, DefaultApparmor } from './default-apparmor.ts';

log.level = 'silent';

/** A kernel that has what the parser gave it; `fail` makes the parser fail. */
class FakeHost implements ApparmorHost {
  parser: string | undefined = '/sbin/apparmor_parser';
  fail: string | undefined;
  unreadable = false;
  loads = 0;
  #loaded = ['other (enforce)'];

  loadedProfiles(): string {
    if (this.unreadable) throw new Error('EACCES');
    return this.#loaded.map((line) => `${line}\n`).join('');
  }

  load(): Promise<void> {
    this.loads += 1;
    if (this.fail !== undefined) return Promise.reject(new Error(this.fail));
    this.#loaded.push('mydock-default (enforce)');
    return Promise.resolve();
  }

  unload(...left: string[]): void {
    this.#loaded = left;
  }
}

test('it is loaded once, and not for a container each', async () => {
  const host = new FakeHost();
  const apparmor = new DefaultApparmor(host);
  assert.equal(apparmor.profile, 'mydock-default');
  for (let run = 0; run < 3; run++) {
    assert.deepEqual(await apparmor.forRun({}), { apparmorDefault: 'mydock-default' });
  }
  assert.equal(host.loads, 1);
  assert.equal(apparmor.problem, undefined);
});

test('it is loaded again where it is gone; one of a name that begins alike is another', async () => {
  const host = new FakeHost();
  const apparmor = new DefaultApparmor(host);
  await apparmor.require();
  host.unload('mydock-default-2 (enforce)', 'x//mydock-default (enforce)');
  await Promise.all([apparmor.require(), apparmor.require()]);
  await apparmor.require();
  assert.equal(host.loads, 2);
});

test('containers that say what they want do not need it', async () => {
  const host = new FakeHost();
  host.fail = 'no';
  const apparmor = new DefaultApparmor(host);
  assert.deepEqual(await apparmor.forRun({ Privileged: true }), {});
  assert.deepEqual(await apparmor.forRun({ SecurityOpt: ['apparmor=unconfined'] }), {});
  assert.deepEqual(await apparmor.forRun({ SecurityOpt: ['apparmor:mine'] }), {});
  await assert.rejects(apparmor.forRun({ SecurityOpt: ['apparmor='] }));
});

test('where the parser fails the start fails, with its words; and no more once it works', async () => {
  const host = new FakeHost();
  host.fail = 'syntax error';
  const apparmor = new DefaultApparmor(host);
  const message =
    'AppArmor enabled on system but the mydock-default profile could not be loaded: syntax error';
  await assert.rejects(apparmor.forRun({}), { kind: 'Internal', message });
  assert.equal(apparmor.problem, message);
  assert.equal(apparmor.profile, 'mydock-default');
  host.fail = undefined;
  await apparmor.forRun({});
  assert.equal(apparmor.problem, undefined);
});

test('an older text that is loaded will do where the newer one fails', async () => {
  const host = new FakeHost();
  await new DefaultApparmor(host).require();
  host.fail = 'syntax error';
  const apparmor = new DefaultApparmor(host);
  assert.deepEqual(await apparmor.forRun({}), { apparmorDefault: 'mydock-default' });
  assert.match(apparmor.problem ?? '', /syntax error/);
});

test('a kernel that does not tell is an error', async () => {
  const host = new FakeHost();
  host.unreadable = true;
  await assert.rejects(new DefaultApparmor(host).forRun({}), {
    message: 'Could not check if mydock-default AppArmor profile was loaded: EACCES',
  });
});

test('without AppArmor, or without its parser, containers run without; the latter is said', async () => {
  const none = new DefaultApparmor(undefined);
  assert.deepEqual([none.profile, none.problem, await none.forRun({})], [undefined, undefined, {}]);
  const host = new FakeHost();
  host.parser = undefined;
  const unequipped = new DefaultApparmor(host);
  assert.deepEqual([unequipped.profile, await unequipped.forRun({}), host.loads], [undefined, {}, 0]);
  assert.match(unequipped.problem ?? '', /apparmor_parser is not installed/);
});
