import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { DeviceRequest } from '../../api/host-config.ts';
import type { Spec } from '../runtime-spec.ts';
import { applyEdits } from './apply-edits.ts';
import { checkDeviceRequests, requestedCdiDevices } from './device-requests.ts';
import { parseQualifiedName } from './names.ts';
import { parseCdiSpec } from './parse-spec.ts';
import { CdiRegistry } from './registry.ts';

const root = mkdtempSync(join(tmpdir(), 'cdi-'));
after(() => rmSync(root, { recursive: true }));

function folder(name: string, files: Record<string, object | string>): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    writeFileSync(join(path, file), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return path;
}

function spec(env: string, more: object = {}): object {
  return {
    cdiVersion: '0.5.0',
    kind: 'vendor.com/card',
    devices: [{ name: 'one', containerEdits: { env: [env] } }],
    ...more,
  };
}

test('qualified names', () => {
  assert.deepEqual(parseQualifiedName('vendor.com/gpu=0:1'), { kind: 'vendor.com/gpu', device: '0:1' });
  for (const text of [
    '',
    'gpu',
    'vendor.com/gpu',
    'vendor.com/gpu=',
    '/gpu=a',
    'a/b/c=d',
    'v-/gpu=a',
    '1v/gpu=a',
    'v/gpu=-a',
    'v/g=a/b',
  ]) {
    assert.equal(parseQualifiedName(text), undefined, text);
  }
});

test('YAML and JSON, with every kind of edit', async () => {
  const text = `cdiVersion: "0.7.0"
kind: vendor.com/card
annotations: {note: text}
containerEdits:
  env: [GLOBAL=1]
devices:
- name: "0"
  containerEdits:
    deviceNodes: [{path: /dev/card, hostPath: /dev/null, fileMode: 0660, permissions: rw, uid: 5, gid: 6}]
    mounts: [{hostPath: /lib/a, containerPath: /usr/lib/a, options: [ro, bind]}]
    hooks: [{hookName: createContainer, path: /bin/hook, args: [hook, x], env: [A=b], timeout: 3}]
    additionalGids: [44]
`;
  const parsed = await parseCdiSpec(text, 'yaml');
  const edits = parsed.devices[0]?.containerEdits;
  assert.equal(edits?.deviceNodes?.[0]?.fileMode, 0o660);
  assert.deepEqual(edits?.hooks, [
    { hookName: 'createContainer', path: '/bin/hook', args: ['hook', 'x'], env: ['A=b'], timeout: 3 },
  ]);
  assert.deepEqual(await parseCdiSpec(JSON.stringify(parsed), 'json'), parsed);
});

test('what is wrong with a file is named', async () => {
  const broken: [object | string, RegExp][] = [
    ['{', /is no JSON/],
    [[], /the file is not an object/],
    [{}, /cdiVersion is missing/],
    [spec('A=b', { cdiVersion: '0.1.0' }), /cdiVersion is "0.1.0", which is not supported/],
    [spec('A=b', { kind: 'card' }), /kind is "card", expected vendor\/class/],
    [spec('A=b', { kind: 'v/c.d' }), /cdiVersion is 0.5.0, and a dot in the class needs 0.6.0/],
    [spec('A=b', { device: [] }), /^device is unknown/],
    [spec('A=b', { devices: [] }), /devices is empty/],
    [spec('A'), /devices\[0\].containerEdits.env has "A", expected NAME=value/],
    [spec('A=b', { devices: [{ name: 'x', containerEdits: {} }] }), /devices\[0\].containerEdits is empty/],
    [spec('A=b', { devices: [{ name: 'x y', containerEdits: { env: [] } }] }), /devices\[0\].name is "x y"/],
    [
      spec('A=b', { containerEdits: { mounts: [{ hostPath: '/a' }] } }),
      /mounts\[0\].containerPath is missing/,
    ],
    [
      spec('A=b', { containerEdits: { mounts: [{ hostPath: '/a', containerPath: 'b' }] } }),
      /expected an absolute path/,
    ],
    [spec('A=b', { containerEdits: { hooks: [{ hookName: 'never', path: '/a' }] } }), /hookName is "never"/],
    [
      spec('A=b', { containerEdits: { intelRdt: { closID: 'x' } } }),
      /containerEdits.intelRdt is not supported/,
    ],
    [spec('A=b', { containerEdits: { additionalGids: [1] } }), /additionalGids needs 0.7.0/],
    [
      spec('A=b', { containerEdits: { deviceNodes: [{ path: '/dev/x', permissions: 'rx' }] } }),
      /permissions is "rx"/,
    ],
    [spec('A=b', { containerEdits: { deviceNodes: [{ path: '/dev/x', major: -1 }] } }), /major is -1/],
  ];
  for (const [content, message] of broken) {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    await assert.rejects(parseCdiSpec(text, 'json'), { message }, text);
  }
  const alias = `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghi'
    .split('')
    .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(', ')}]`)
    .join('\n')}`;
  await assert.rejects(parseCdiSpec(alias, 'yaml'), { message: /is no YAML/ });
});

test('a later folder goes before an earlier one, and a conflict within one takes only its devices', async () => {
  const low = folder('low', { 'a.json': spec('WHERE=low'), 'notes.txt': 'x', 'broken.json': '{' });
  const high = folder('high', { 'a.yaml': JSON.stringify(spec('WHERE=high')) });
  const registry = new CdiRegistry([low, join(root, 'missing'), high]);
  assert.deepEqual(
    (await registry.edits(['vendor.com/card=one'])).map(({ env }) => env),
    [undefined, ['WHERE=high']],
  );
  const { devices, problems } = await registry.list();
  assert.deepEqual(devices, ['vendor.com/card=one']);
  assert.match(problems.join('\n'), /^CDI specification \S+low\/broken.json: is no JSON/);

  const two = folder('two', {
    'a.json': spec('A=1'),
    'b.json': spec('A=2', {
      devices: [
        { name: 'one', containerEdits: { env: ['A=2'] } },
        { name: 'own', containerEdits: { env: ['A=3'] } },
      ],
    }),
  });
  const conflicting = new CdiRegistry([two]);
  assert.deepEqual((await conflicting.list()).devices, ['vendor.com/card=own']);
  await assert.rejects(conflicting.edits(['vendor.com/card=own', 'vendor.com/card=one', 'x']), {
    message:
      /^CDI device injection failed: unresolvable CDI devices vendor.com\/card=one, x \(CDI device vendor.com\/card=one is in \S+a.json and in \S+b.json\)$/,
  });
  assert.deepEqual((await new CdiRegistry([two, high]).list()).devices, [
    'vendor.com/card=one',
    'vendor.com/card=own',
  ]);
});

test('a file that changes is read anew', async () => {
  const path = folder('changing', { 'a.json': spec('A=1') });
  const registry = new CdiRegistry([path]);
  assert.deepEqual((await registry.edits(['vendor.com/card=one']))[1]?.env, ['A=1']);
  folder('changing', { 'a.json': spec('A=second') });
  assert.deepEqual((await registry.edits(['vendor.com/card=one']))[1]?.env, ['A=second']);
  rmSync(join(path, 'a.json'));
  assert.deepEqual((await registry.list()).devices, []);
});

test('edits of a file as a whole come once', async () => {
  const path = folder('once', {
    'a.json': spec('', {
      containerEdits: { env: ['G=1'] },
      devices: ['a', 'b'].map((name) => ({ name, containerEdits: { env: [`${name}=1`] } })),
    }),
  });
  const edits = await new CdiRegistry([path]).edits([
    'vendor.com/card=b',
    'vendor.com/card=a',
    'vendor.com/card=b',
  ]);
  assert.deepEqual(
    edits.map(({ env }) => env),
    [['G=1'], ['b=1'], ['a=1']],
  );
});

const BASE: Spec = {
  ociVersion: '1.2.0',
  process: {
    args: ['x'],
    cwd: '/',
    user: { uid: 7, gid: 8, additionalGids: [8] },
    env: ['PATH=/bin', 'A=old'],
  },
  mounts: [
    { destination: '/dev', type: 'tmpfs' },
    { destination: '/data/a', source: '/own', type: 'bind' },
  ],
  linux: {
    devices: [{ path: '/dev/zero', type: 'c', major: 9, minor: 9 }],
    resources: { devices: [{ allow: false }] },
  },
};

test('edits in config.json', () => {
  const made = applyEdits(BASE, [
    {
      env: ['A=new', 'B=1'],
      deviceNodes: [
        { path: '/dev/zero' },
        { path: '/dev/n', hostPath: '/dev/null', permissions: 'r', uid: 1 },
      ],
      mounts: [
        { hostPath: '/x', containerPath: '/data/a/', options: ['ro', 'rbind'] },
        { hostPath: '/y', containerPath: '/data', options: ['bind'] },
      ],
      hooks: [{ hookName: 'poststop', path: '/h' }],
      additionalGids: [8, 44],
    },
    { hooks: [{ hookName: 'poststop', path: '/i' }] },
  ]);
  assert.deepEqual(made.process?.env, ['PATH=/bin', 'A=new', 'B=1']);
  assert.deepEqual(made.process?.user.additionalGids, [8, 44]);
  assert.deepEqual(
    made.linux?.devices?.map(({ path, major, minor, uid, gid }) => [path, major, minor, uid, gid]),
    [
      ['/dev/zero', 1, 5, 7, 8],
      ['/dev/n', 1, 3, 1, 8],
    ],
  );
  assert.deepEqual(made.linux?.resources?.devices?.slice(1), [
    { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' },
    { allow: true, type: 'c', major: 1, minor: 3, access: 'r' },
  ]);
  assert.deepEqual(
    made.mounts?.map(({ destination, source }) => [destination, source]),
    [
      ['/dev', undefined],
      ['/data', '/y'],
      ['/data/a', '/x'],
    ],
  );
  assert.deepEqual(made.hooks, { poststop: [{ path: '/h' }, { path: '/i' }] });
  assert.deepEqual(BASE.process?.env, ['PATH=/bin', 'A=old']);
});

test('device nodes: without a look at the host where all is given, and with one that must fit', () => {
  const [device] =
    applyEdits(BASE, [
      { deviceNodes: [{ path: '/dev/x', type: 'b', major: 3, minor: 4 }] },
    ]).linux?.devices?.slice(1) ?? [];
  assert.deepEqual(device, { path: '/dev/x', type: 'b', major: 3, minor: 4, uid: 7, gid: 8 });
  assert.throws(() => applyEdits(BASE, [{ deviceNodes: [{ path: '/dev/null', type: 'b' }] }]), {
    message: /of type "b", and the node \/dev\/null of type "c"/,
  });
  assert.throws(() => applyEdits(BASE, [{ deviceNodes: [{ path: '/dev/nothing' }] }]), {
    message: /\/dev\/nothing/,
  });
});

test('GPUs are CDI devices where some are described', () => {
  const names = ['nvidia.com/gpu=0', 'nvidia.com/gpu=all', 'vendor.com/card=one'];
  const gpu = (request: DeviceRequest) =>
    requestedCdiDevices([{ Driver: '', Capabilities: [['gpu']], ...request }], names);
  assert.deepEqual(gpu({ Count: -1 }), ['nvidia.com/gpu=all']);
  assert.deepEqual(gpu({ Count: 2 }), ['nvidia.com/gpu=0', 'nvidia.com/gpu=1']);
  assert.deepEqual(gpu({ DeviceIDs: ['GPU-a', 'nvidia.com/gpu=0'] }), [
    'nvidia.com/gpu=GPU-a',
    'nvidia.com/gpu=0',
  ]);
  assert.deepEqual(gpu({ Driver: 'nvidia', Count: 1 }), ['nvidia.com/gpu=0']);
  assert.deepEqual(requestedCdiDevices([{ Driver: 'cdi', DeviceIDs: ['a/b=c'] }], []), ['a/b=c']);
  assert.throws(() => gpu({ Driver: 'other' }), {
    message: 'could not select device driver "other" with capabilities: [[gpu]]',
  });
  assert.throws(() => requestedCdiDevices([{ Count: -1, Capabilities: [['gpu', 'compute'], ['x']] }], []), {
    message: 'could not select device driver "" with capabilities: [[gpu compute] [x]]',
  });
  assert.throws(() => checkDeviceRequests([{ Count: 1, DeviceIDs: ['a'] }]), {
    message: 'cannot set both Count and DeviceIDs on device request',
  });
});
