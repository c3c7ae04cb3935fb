/**
 * Every path parameter, query parameter and body of every operation that the API's definition has, with values that
 * mean harm. None of them is an error of the daemon's own, none makes a file where it should not be.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { definitionPath, type Operation, readDefinition } from '../../conformance/definition.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { sideBySide, statusOf } from './hostile-exchange.ts';

const path = definitionPath();
const skip = path === undefined ? "the API's definition is not here" : false;

/** No other file of the machine has it in its name. */
const MARK = 'hostile-escape-7c1d';

const VALUES = [
  `../../${MARK}`,
  `../../../../../../../../tmp/${MARK}`,
  `/proc/self/root/tmp/${MARK}`,
  `a\0${MARK}`,
  '.',
  '..',
  '/',
  '',
  '\u202e\u{1f600}\ufeff\ud7ff',
  '\x01\x1b[31m\x7f\r\nX-Injected: 1',
  'x'.repeat(64 * 1024),
  '__proto__',
  'constructor',
  'toString',
  '-1',
  '1e309',
  '9'.repeat(40),
  'NaN',
  '{"__proto__":{"x":["y"]},"constructor":["x"],"label":["__proto__=x"]}',
  '{"name":["(((((a+)+)+)+)+$"],"status":["\\u0000"]}',
  `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
  '"',
  "' OR 1=1 --",
  '*',
  ' ',
].map(encodeURIComponent);

/** As they are on the wire. */
const RAW = ['%', '%zz', '%2f%2e%2e', '%ff%fe', '%ed%a0%80', '%c0%ae%c0%ae%2f', '..;', '%252e%252e%252f'];

const BODIES = [
  '{}',
  'null',
  '[]',
  '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
  `${'['.repeat(200_000)}${']'.repeat(200_000)}`,
  `${'{"HostConfig":'.repeat(20_000)}1${'}'.repeat(20_000)}`,
  `{"Name":"../../${MARK}","name":"../../${MARK}","Image":"victim:latest","Container":"../../${MARK}","Driver":"../../${MARK}"}`,
  `{"Image":"victim:latest","HostConfig":{"Binds":["../../${MARK}:/x"],"Mounts":[{"Type":"volume","Source":"../${MARK}","Target":"/../x"}]}}`,
  '{"Image":"victim:latest","Labels":{"__proto__":"x","constructor":"y"},"Env":["\\u0000=x"],"Hostname":"\\u0000"}',
  '{"Image":"victim:latest","HostConfig":{"Memory":1e400,"NanoCpus":-1e300,"PidsLimit":1e30}}',
  '{"Cmd":["\\ud800"],"Env":["=","__proto__=1"],"Image":"victim:latest","User":"__proto__"}',
  `{"Name":"${'x'.repeat(100_000)}","Labels":{"${'x'.repeat(100_000)}":"y"}}`,
  '{"IPAM":{"Config":[{"Subnet":"::/0"},{"Subnet":"10.0.0.0/999"},{"Subnet":"__proto__"}]},"Name":"x"}',
  '\xff\xfe{',
];

/** Asks a registry, and has Docker's 500 for one that is not there. */
const REACHES_OUT = '/auth';

let daemon: Daemon;
let close: () => Promise<void>;
let operations: readonly Operation[] = [];

before(async () => {
  if (path === undefined) return;
  operations = readDefinition(path).operations;
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => {
  if (path === undefined) return;
  await daemon.removeContainers();
  for (const kind of ['network', 'volume']) {
    const format = kind === 'volume' ? '{{.Name}}' : '{{.ID}}';
    const named = await daemon.ok(kind, 'ls', '--format', format);
    await daemon.mydock([kind, 'rm', ...named.split('\n')]);
  }
  await close();
});

/** Operations that can be tried side by side: those that change nothing, and every other one alone. */
function groups(): Operation[][] {
  const reads = ({ method }: Operation): boolean => method === 'GET' || method === 'HEAD';
  const writers = operations.filter((operation) => !reads(operation));
  return [operations.filter(reads), ...writers.map((operation) => [operation])];
}

/** Objects that the other parameters of a request name, made anew where a request has removed them. */
async function makeVictims(): Promise<string> {
  const runner = { Image: 'busybox', Cmd: ['sleep', '1000'], StopSignal: 'KILL' };
  await Promise.all([
    daemon.api('POST', '/images/busybox/tag?repo=victim'),
    daemon.api('POST', '/containers/create?name=victim', { Image: 'busybox', Cmd: ['true'] }),
    daemon.api('POST', '/volumes/create', { Name: 'victim' }),
    daemon.api('POST', '/networks/create', { Name: 'victim' }),
    daemon.api('POST', '/containers/create?name=runner', runner),
  ]);
  await daemon.api('POST', '/containers/runner/start');
  const made = await daemon.api('POST', '/containers/runner/exec', { Cmd: ['true'] });
  return made.status === 201 ? made.json<{ Id: string }>().Id : 'gone';
}

function filled(operation: Operation, exec: string, name = '', value = ''): string {
  return operation.path.replace(/\{(\w+)\}/g, (_, parameter: string) => {
    if (parameter === name) return value;
    return operation.path.startsWith('/exec/') ? exec : 'victim';
  });
}

function request(method: string, target: string, body: string): string {
  const length = Buffer.byteLength(body, 'latin1');
  return `${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
}

async function judge(all: readonly { target: string; method: string; body: string }[]): Promise<string[]> {
  const wrong: string[] = [];
  await sideBySide(all, 8, async ({ method, target, body }) => {
    const status = await statusOf(daemon.socket, request(method, target, body)).catch(() => -1);
    if (status > 0 && (status !== 500 || target === REACHES_OUT)) return;
    wrong.push(`${method} ${target.slice(0, 300)} ${body.slice(0, 200)}: ${status}`);
  });
  return wrong;
}

function assertUnharmed(wrong: readonly string[]): void {
  assert.deepEqual(wrong, []);
  assert.doesNotMatch(daemon.log, /uncaught exception|unhandled rejection/);
  const deep = ['/run', '/var', '/etc', '/root', '/srv', process.env['TMPDIR'] ?? '/run'];
  const found = [['/', '/tmp', '-maxdepth', '1'], deep]
    .map((where) => execFileSync('find', [...where, '-xdev', '-name', `*${MARK}*`], { encoding: 'utf8' }))
    .join('');
  assert.equal(found, '', 'files outside');
}

for (const place of ['path', 'query'] as const) {
  test(`every ${place} parameter with hostile values`, { skip }, async () => {
    const wrong: string[] = [];
    for (const group of groups()) {
      const all = group.flatMap((operation) =>
        operation.parameters
          .filter((parameter) => parameter.in === place)
          .map((parameter) => ({ operation, name: parameter.name })),
      );
      if (all.length === 0) continue;
      const exec = await makeVictims();
      const requests = all.flatMap(({ operation, name }) =>
        [...VALUES, ...RAW].map((value) => {
          const target =
            place === 'path'
              ? filled(operation, exec, name, value)
              : `${filled(operation, exec)}?${name}=${value}`;
          return { method: operation.method, target, body: operation.method === 'GET' ? '' : '{}' };
        }),
      );
      wrong.push(...(await judge(requests)));
    }
    assertUnharmed(wrong);
  });
}

test('every body with hostile content', { skip }, async () => {
  const wrong: string[] = [];
  for (const operation of operations.filter(({ method }) => method === 'POST' || method === 'PUT')) {
    const exec = await makeVictims();
    const target = filled(operation, exec);
    wrong.push(...(await judge(BODIES.map((body) => ({ method: operation.method, target, body })))));
  }
  assertUnharmed(wrong);
  const fields = (await daemon.api('GET', '/info')).json<Record<string, unknown>>();
  assert.ok(!('polluted' in fields));
});
