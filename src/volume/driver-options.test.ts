import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRemote, needsMount, parseDriverOptions, parseMountWords } from './driver-options.ts';

test('options of the local driver are judged with the texts of Docker', () => {
  const wrong: [Record<string, string>, string][] = [
    [{ x: 'y' }, 'invalid option: "x"'],
    [{ Type: 'nfs' }, 'invalid option: "Type"'],
    [{ o: 'bind' }, 'missing required option: "device"'],
    [{ o: 'bind', device: '/x' }, 'missing required option: "type"'],
    [{ device: '/x' }, 'missing required option: "type"'],
    [{ type: 'tmpfs' }, 'missing required option: "device"'],
    [
      { type: 'cifs', device: '//server:445/share' },
      "port not allowed in CIFS device URL, include 'port' in 'o='",
    ],
    [{ size: 'much' }, "invalid size: 'much'"],
    [
      { type: 'none', device: '/x', o: 'bind', size: '1g' },
      'invalid option: "size": the size of a volume of type "none" is that of its device',
    ],
    [
      { type: 'none', device: '/x', o: 'remount,ro' },
      'invalid option: "o": a volume is mounted once and not remounted',
    ],
  ];
  for (const [options, message] of wrong) {
    assert.throws(() => parseDriverOptions(options), { kind: 'InvalidParameter', message }, message);
  }
  const nfs = parseDriverOptions({ type: 'nfs', device: ':/export', o: 'addr=10.0.0.1,rw' });
  assert.deepEqual(nfs, { type: 'nfs', device: ':/export', o: 'addr=10.0.0.1,rw', sizeBytes: 0 });
  assert.ok(needsMount(nfs));
  assert.ok(!needsMount(parseDriverOptions({ size: '1g' })));
  assert.equal(parseDriverOptions({ type: 'tmpfs', device: 'tmpfs', size: '2m' }).sizeBytes, 2 << 20);
});

test('the words of o are sorted into flags and data, a later one winning', () => {
  assert.deepEqual(parseMountWords('addr=10.0.0.1,ro,nosuid,,vers=4'), {
    flags: 0x3,
    propagation: 0,
    remount: 0,
    data: 'addr=10.0.0.1,vers=4',
  });
  assert.deepEqual(parseMountWords('ro,rw,noexec,exec,relatime,norelatime'), {
    flags: 0,
    propagation: 0,
    remount: 0,
    data: '',
  });
  // A bind takes its attributes from its source unless it is mounted over again.
  assert.deepEqual(parseMountWords('rbind,ro,rslave'), {
    flags: 0x5001,
    propagation: 0x84000,
    remount: 0x1021,
    data: '',
  });
});

test('file systems of other hosts are known by their type', () => {
  assert.deepEqual(['nfs', 'nfs4', 'cifs', 'fuse.sshfs'].map(isRemote), [true, true, true, true]);
  assert.deepEqual(['ext4', 'tmpfs', 'none', 'btrfs'].map(isRemote), [false, false, false, false]);
});
