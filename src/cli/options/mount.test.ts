import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMount } from './mount.ts';

test('--mount reads every field of every type', () => {
  assert.deepEqual(
    parseMount(
      'type=bind,src=.,dst=/x,readonly,bind-propagation=rprivate,bind-recursive=readonly,bind-create-src',
      '/here',
    ),
    {
      Type: 'bind',
      Source: '/here',
      Target: '/x',
      ReadOnly: true,
      BindOptions: { Propagation: 'rprivate', ReadOnlyForceRecursive: true, CreateMountpoint: true },
    },
  );
  assert.deepEqual(
    parseMount(
      'source=v,target=/x,volume-nocopy,volume-label=a=b,volume-label=c,volume-driver=local,' +
        'volume-opt=type=nfs,"volume-opt=o=addr=1.2.3.4,rw",volume-opt=device=:/e,volume-subpath=s/t',
    ),
    {
      Type: 'volume',
      Source: 'v',
      Target: '/x',
      VolumeOptions: {
        NoCopy: true,
        Labels: { a: 'b', c: '' },
        DriverConfig: { Name: 'local', Options: { type: 'nfs', o: 'addr=1.2.3.4,rw', device: ':/e' } },
        Subpath: 's/t',
      },
    },
  );
  assert.deepEqual(parseMount('type=image,source=busybox,destination=/x,image-subpath=etc'), {
    Type: 'image',
    Source: 'busybox',
    Target: '/x',
    ImageOptions: { Subpath: 'etc' },
  });
  assert.deepEqual(
    parseMount('type=tmpfs,target=/x,tmpfs-size=1m,tmpfs-mode=1770,tmpfs-options=exec,consistency=cached'),
    {
      Type: 'tmpfs',
      Target: '/x',
      Consistency: 'cached',
      TmpfsOptions: { SizeBytes: 1 << 20, Mode: 0o1770, Options: [['exec']] },
    },
  );
});

test('--mount refuses what docker refuses, in its words', () => {
  const wrong: [string, string][] = [
    ['', 'EOF'],
    ['type=volume', 'target is required'],
    ['type=,target=/x', 'type is required'],
    ['target=/x,foo=1', "unexpected key 'foo' in 'foo=1'"],
    ['target=/x,foo', "invalid field 'foo' must be a key=value pair"],
    ['target=/x, readonly', "invalid field ' readonly' must be a key=value pair"],
    ['target=/x,readonly=maybe', 'invalid value for readonly: maybe'],
    ['type=tmpfs,target=/x,tmpfs-size=zz', 'invalid value for tmpfs-size: zz'],
    ['type=tmpfs,target=/x,tmpfs-mode=9', 'invalid value for tmpfs-mode: 9'],
    ['target=/x,bind-recursive=disabled', "cannot mix 'bind-*' options with mount type 'volume'"],
    ['type=image,src=x,target=/x,volume-nocopy', "cannot mix 'volume-*' options with mount type 'image'"],
    [
      'type=bind,src=/a,target=/x,bind-recursive=foo',
      'invalid value for bind-recursive: foo (must be "enabled", "disabled", "writable", or "readonly")',
    ],
    [
      'type=bind,src=/a,target=/x,bind-recursive=writable',
      "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction",
    ],
    [
      'type=bind,src=/a,target=/x,bind-recursive=readonly',
      "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
    ],
    [
      'type=bind,src=/a,target=/x,bind-recursive=readonly,readonly',
      "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
    ],
  ];
  for (const [spec, message] of wrong) assert.throws(() => parseMount(spec), { message }, spec);
});
