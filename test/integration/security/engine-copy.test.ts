/**
 * Attacks on copying between containers and the host: a container that exchanges a folder for a link out while files are
 * copied, and archives whose entries change what is behind a link.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { SECRET, sendBytes, Victim } from './attack.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let victim: Victim;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  victim = new Victim(daemon.folder);
});
after(async () => await close());

const archive = (path: string): string => `/containers/racer/archive?path=${encodeURIComponent(path)}`;

/** /v/a is a folder, a link to the victim by turns, and for moments nothing. */
const EXCHANGE = `mkdir -p /v/d/below; echo inside > /v/d/secret; ln -s $1 /v/l; touch /v/ready
while :; do mv -T /v/d /v/a; mv -T /v/a /v/d; mv -T /v/l /v/a; mv -T /v/a /v/l; done`;

for (const how of ['a link', 'a link that climbs'] as const) {
  test(`${how} that comes and goes while files are copied out and in`, async () => {
    const target = how === 'a link' ? victim.path : `${'../'.repeat(30)}${victim.path.slice(1)}`;
    await daemon.ok(
      ...['run', '-d', '--name', 'racer', '--network', 'none', 'busybox', 'sh', '-c'],
      EXCHANGE.replace('$1', target),
    );
    try {
      await eventually('the exchange runs', async () => {
        return (await sendBytes(daemon, 'HEAD', archive('/v/ready'))).status === 200;
      });
      const tar = makeTar([
        { path: 'secret', data: 'overwritten', mode: 0o777, uid: 7 },
        { path: 'below', type: 'directory', mode: 0o777, uid: 7 },
        { path: 'below/new', data: 'x' },
        { path: '.', type: 'directory', mode: 0o777, uid: 7 },
      ]);
      let inside = 0;
      for (let turn = 0; turn < 40; turn++) {
        const out = await Promise.all(
          ['/v/a/secret', '/v/a/', '/v/a/.', '/v'].map((path) => sendBytes(daemon, 'GET', archive(path))),
        );
        for (const { text } of out) assert.ok(!text.includes(SECRET), 'copied out');
        inside += out.filter(({ status }) => status === 200).length;
        for (const path of ['/v/a/', '/v/a/below/..']) await sendBytes(daemon, 'PUT', archive(path), tar);
        victim.untouched(`turn ${turn}`);
      }
      assert.ok(inside > 0, 'some copies met a folder');
    } finally {
      await daemon.ok('rm', '-f', 'racer');
    }
  });
}

test('modes and owners of entries do not go through links, and links of the archive lead nowhere', async () => {
  await daemon.ok(
    ...['run', '--name', 'racer', '--network', 'none', 'busybox', 'sh', '-c'],
    `ln -s ${victim.path} /out; ln -s ${victim.path}/secret /file; mkdir /t`,
  );
  const archives = [
    makeTar([{ path: 'out', type: 'directory', mode: 0o777, uid: 7 }]),
    makeTar([{ path: 'file', data: 'overwritten', mode: 0o777, uid: 7 }]),
    makeTar([
      { path: 't/l', type: 'symlink', target: victim.path },
      { path: 't/l', type: 'directory', mode: 0o777, uid: 7 },
    ]),
    makeTar([
      { path: 't/m', type: 'symlink', target: `${victim.path}/secret` },
      { path: 't/h', type: 'hardlink', target: 't/m' },
      { path: 't/h', data: 'overwritten', mode: 0o777 },
    ]),
    makeTar([{ path: 't/x', type: 'hardlink', target: `${victim.path}/secret` }]),
    makeTar([{ path: 't/x', type: 'hardlink', target: `${'../'.repeat(20)}${victim.path.slice(1)}/secret` }]),
  ];
  for (const [index, tar] of archives.entries()) {
    await sendBytes(daemon, 'PUT', archive('/'), tar);
    victim.untouched(`archive ${index}`);
  }
  for (const path of ['/out/secret', '/file', '/t/x', '/t/m']) {
    const { text } = await sendBytes(daemon, 'GET', archive(path));
    assert.ok(!text.includes(SECRET), path);
  }
  await daemon.ok('rm', 'racer');
});
