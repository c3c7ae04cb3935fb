import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Respond, sendJson } from '../../client/fake-daemon.ts';
import { mydock } from '../run-in-test.ts';

const EVENT =
  '{"status":"start","id":"abc","from":"bb","Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"name":"web","image":"bb"}},"scope":"local","time":1704153600,"timeNano":1704153600123456789}';

const respond: Respond = (_, response) => {
  response.end(`${EVENT}\n`);
};

test('events keep their nanoseconds, in lines, JSON and templates', async () => {
  const plain = await mydock(['events', '--since', '5'], respond);
  assert.match(plain.io.out(), /\.123456789(Z|[+-]..:..) container start abc \(image=bb, name=web\)\n$/);
  assert.deepEqual(plain.calls, ['GET /events?since=5']);
  assert.equal((await mydock(['events', '--format', 'json'], respond)).io.out(), `${EVENT}\n`);
  const format = '{{.ID}} {{.Actor.Attributes.name}} {{.TimeNano}}';
  assert.equal(
    (await mydock(['events', '--format', format], respond)).io.out(),
    'abc web 1704153600123456789\n',
  );
  const wrong = await mydock(['events', '--format', '{{.Foo}}'], respond);
  assert.equal(wrong.exitCode, 64);
  assert.deepEqual(wrong.calls, []);
});

test('completion knows verbs, flags, values and names, and is silent on errors', async () => {
  const list: Respond = ({ url }, response) =>
    sendJson(response, url.includes('/containers/') ? [one('up', 'running'), one('down', 'exited')] : []);
  const one = (name: string, State: string) => ({ Names: [`/${name}`], State, Image: 'bb', Status: '' });
  const words = async (...line: string[]): Promise<string[]> => {
    const { io } = await mydock(['__complete', ...line], list);
    return io
      .out()
      .split('\n')
      .filter(Boolean)
      .map((text) => text.split('\t')[0] ?? '');
  };
  assert.deepEqual(await words('ren'), ['rename']);
  assert.deepEqual(await words('container', 'unp'), ['unpause']);
  assert.deepEqual(await words('exec', '-e', 'A=b', ''), ['up']);
  assert.deepEqual(await words('exec', 'up', ''), []);
  assert.deepEqual(await words('rm', ''), ['up', 'down']);
  assert.deepEqual(await words('start', ''), ['down']);
  assert.deepEqual(await words('cp', 'd'), ['down:']);
  assert.deepEqual(await words('cp', './d'), [':files']);
  assert.deepEqual(await words('run', '--restart=un'), ['--restart=unless-stopped']);
  assert.deepEqual(await words('run', '--read'), ['--read-only']);
  const broken = await mydock(['__complete', 'exec', '']);
  assert.deepEqual([broken.io.out(), broken.io.err(), broken.exitCode], ['', '', 0]);
});
