/** What `RUN --mount` may say, and what it is told where it says something else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountFrom, parseRunMount, type RunMountSpec } from './mount-flag.ts';

const VARIABLES: Record<string, string> = { ID: 'go', DIR: '/src', N: '33' };

function parse(value: string, workingDir = '/work'): RunMountSpec {
  const expand = (text: string) => text.replace(/\$([A-Z]+)/g, (_, name: string) => VARIABLES[name] ?? '');
  return parseRunMount(value, { expand, workingDir });
}

const PLAIN = { from: '', source: '', id: '', sharing: 'shared', required: false } as const;

const GOOD: [string, RunMountSpec][] = [
  ['target=/x', { ...PLAIN, type: 'bind', target: '/x', readOnly: true }],
  [
    'type=bind,source=a b,target=$DIR,rw',
    { ...PLAIN, type: 'bind', source: 'a b', target: '/src', readOnly: false },
  ],
  [
    'type=bind,from=base,src=/etc,dst=rel/../to,readonly=false',
    { ...PLAIN, type: 'bind', from: 'base', source: '/etc', target: '/work/to', readOnly: false },
  ],
  [
    '"source=a,b",destination=/x,"type=bind"',
    { ...PLAIN, type: 'bind', source: 'a,b', target: '/x', readOnly: true },
  ],
  [
    '"source=a""b",target=/x,readwrite=0',
    { ...PLAIN, type: 'bind', source: 'a"b', target: '/x', readOnly: true },
  ],
  [
    'TYPE=Cache,target=/root/.cache/',
    { ...PLAIN, type: 'cache', target: '/root/.cache', id: '/root/.cache', readOnly: false },
  ],
  [
    'type=cache,id=$ID,sharing=locked,target=/c,mode=0700,uid=$N,gid=0,ro',
    {
      ...PLAIN,
      type: 'cache',
      target: '/c',
      id: 'go',
      sharing: 'locked',
      mode: 0o700,
      uid: 33,
      gid: 0,
      readOnly: true,
    },
  ],
  [
    'type=tmpfs,target=/t,size=1.5k',
    { ...PLAIN, type: 'tmpfs', target: '/t', sizeBytes: 1536, readOnly: false },
  ],
  [
    'type=tmpfs,target=/t,size=64MiB',
    { ...PLAIN, type: 'tmpfs', target: '/t', sizeBytes: 64 << 20, readOnly: false },
  ],
  [
    'type=secret,id=token',
    { ...PLAIN, type: 'secret', id: 'token', target: '/run/secrets/token', readOnly: true },
  ],
  [
    'type=secret,target=/a/.npmrc,required',
    { ...PLAIN, type: 'secret', id: '.npmrc', target: '/a/.npmrc', required: true, readOnly: true },
  ],
  [
    'type=secret,src=a/b',
    { ...PLAIN, type: 'secret', id: 'a/b', source: 'a/b', target: '/run/secrets/b', readOnly: true },
  ],
  ['type=secret,id=t,env=TOKEN', { ...PLAIN, type: 'secret', id: 't', env: 'TOKEN', readOnly: true }],
  ['type=ssh', { ...PLAIN, type: 'ssh', id: 'default', readOnly: true }],
  [
    'type=ssh,id=x,target=/s,required=true,mode=0666',
    { ...PLAIN, type: 'ssh', id: 'x', target: '/s', required: true, mode: 0o666, readOnly: true },
  ],
];

test('mounts as they may be written', () => {
  for (const [value, expected] of GOOD) assert.deepEqual(parse(value), expected, value);
});

const BAD: [string, RegExp][] = [
  ['type=volume,target=/x', /^unsupported mount type "volume" \(expected one of bind, cache/],
  ['target=/', /^invalid mount target "\/"$/],
  ['target=/a/../..', /^invalid mount target "\/a\/..\/.."$/],
  ['target=/x,colour=red', /^unexpected key 'colour' in 'colour=red' \(expected one of type, from/],
  ['target=/x,source', /^invalid field 'source' must be a key=value pair$/],
  ['', /^invalid field '' must be a key=value pair$/],
  ['target=/x,', /^invalid field '' must be/],
  ['target=/x,ro=maybe', /^invalid value for ro: maybe/],
  ['target=/x,size=3', /^unexpected key 'size' for mount type 'bind'$/],
  ['type=tmpfs,target=/x,size=3x', /^invalid value for size: 3x/],
  ['type=tmpfs,target=/x,size=9999999999p', /^invalid value for size/],
  ['target=/x,required', /^unexpected key 'required' for mount type 'bind'$/],
  ['target=/x,mode=700', /^mode not allowed for "bind" type mounts$/],
  ['type=cache,target=/x,mode=9', /^invalid value 9 for mode/],
  ['type=cache,target=/x,mode=17777', /^invalid value 17777 for mode/],
  ['type=cache,target=/x,uid=-1', /^invalid value -1 for uid/],
  ['type=cache,target=/x,gid=4294967295', /^invalid value 4294967295 for gid/],
  ['type=cache,target=/x,sharing=exclusive', /^unsupported sharing value "exclusive"/],
  ['target=/x,sharing=locked', /^invalid cache sharing set for bind mount$/],
  ['type=secret', /^invalid secret mount\. one of source, target required$/],
  ['type=secret,id=a,src=b', /^both source and id can't be set$/],
  ['type=secret,id=a,from=b', /^secret mount should not have a from$/],
  ['type=ssh,from=b', /^ssh mount should not have a from$/],
  ['type=cache,target=/x,env=A', /^unexpected key 'env' for mount type 'cache'$/],
  ['from=$STAGE,target=/x', /^'from' doesn't support variable expansion, define alias stage instead$/],
  ['"target=/x', /a quote is not closed$/],
  ['tar"get=/x', /a quote within a field$/],
  ['"a"b,target=/x', /text behind a closing quote$/],
];

test('mounts that are refused say which key and value', () => {
  for (const [value, message] of BAD) {
    assert.throws(() => parse(value, '/'), { kind: 'InvalidParameter', message }, value);
  }
});

test('without a target a mount stands at the working directory, which must not be the root', () => {
  assert.equal(parse('type=bind').target, '/work');
  assert.throws(() => parse('type=bind', '/'), { message: 'invalid mount target "/"' });
});

test('what a mount takes from is known before any variable is', () => {
  assert.equal(mountFrom('type=cache,From=base,target=$X'), 'base');
  assert.equal(mountFrom('type=cache,target=/x'), '');
});
