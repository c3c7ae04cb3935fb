import assert from 'node:assert/strict';
import { spawn as spawnProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoCode } from '../base/errors.ts';
import { addon } from './addon.ts';

const AT_FDCWD = -100;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_IN_ROOT = 0x10;
const MNT_DETACH = 2;
const MS_RDONLY = 1;
const RTM_GETLINK = 18;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;

const isRoot = process.getuid?.() === 0;
const needsRoot = isRoot ? {} : { skip: 'needs root' };

let directory = '';
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'mydock-addon-'));
});
after(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Waits for a child that was started with `spawn` and returns its exit code. */
async function wait(pid: number): Promise<number> {
  await addon().waitForExit(pid);
  const code = addon().reap(pid);
  assert.notEqual(code, null);
  return code ?? -1;
}

/** Runs a shell script with stdout (and stderr) in a file; returns its exit code and what it wrote. */
async function shell(script: string, env: string[] = []): Promise<{ code: number; output: string }> {
  const path = join(directory, `output-${Math.random().toString(36).slice(2)}`);
  const out = openSync(path, 'w+');
  const input = openSync('/dev/null', 'r');
  try {
    const pid = await addon().spawn({
      file: '/bin/sh',
      args: ['sh', '-c', script],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...env],
      cwd: directory,
      fds: [input, out, out],
    });
    return { code: await wait(pid), output: readFileSync(path, 'utf8') };
  } finally {
    closeSync(out);
    closeSync(input);
  }
}

describe('spawn and reap', () => {
  it('passes arguments, environment and directory, and gives the exit code', async () => {
    const { code, output } = await shell('echo "$X $PWD"; exit 7', ['X=one two']);
    assert.equal(output, `one two ${directory}\n`);
    assert.equal(code, 7);
  });

  it('gives 128+n after a signal and -1 for what is no child', async () => {
    assert.equal((await shell('kill -9 $$')).code, 137);
    assert.equal(addon().reap(process.pid), -1);
    assert.throws(() => addon().reap(-1), TypeError);
  });

  it('gives null while the child runs', async () => {
    const input = openSync('/dev/null', 'r+');
    const pid = await addon().spawn({
      file: '/bin/sleep',
      args: ['sleep', '60'],
      env: [],
      cwd: '/',
      fds: [input, input, input],
    });
    closeSync(input);
    assert.equal(addon().reap(pid), null);
    process.kill(pid, 'SIGTERM');
    assert.equal(await wait(pid), 143);
  });

  it('places descriptors whatever their numbers, also crossed and twice, and closes all others', async () => {
    const link = (pid: number | 'self', fd: number) => readlinkSync(`/proc/${pid}/fd/${fd}`);
    const files = ['a', 'b', 'c'].map((name) => openSync(join(directory, `file-${name}`), 'w+'));
    const fds = [2, 0, ...files, files[0] ?? -1];
    const pid = await addon().spawn({ file: '/bin/sleep', args: ['sleep', '60'], env: [], cwd: '/', fds });
    try {
      const descriptors = () => readdirSync(`/proc/${pid}/fd`).map(Number);
      // The program's loader has a library open for a moment; what was not closed stays.
      const deadline = Date.now() + 30_000;
      while (descriptors().length > fds.length && Date.now() < deadline) await sleep(5);
      const placed = descriptors();
      assert.deepEqual(placed, [0, 1, 2, 3, 4, 5]);
      assert.deepEqual(
        placed.map((fd) => link(pid, fd)),
        fds.map((fd) => link('self', fd)),
      );
    } finally {
      process.kill(pid, 'SIGKILL');
      await wait(pid);
      for (const fd of files) closeSync(fd);
    }
  });

  it('starts with default signal dispositions, an empty mask, and its own session', async () => {
    // Node itself ignores SIGPIPE.
    const { output } = await shell(
      'grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status; cut -d" " -f1,5,6 /proc/$$/stat',
    );
    const lines = output.split('\n');
    for (const line of lines.slice(0, 2)) assert.match(line, /:\s+0000000000000000$/);
    const [pid, group, session] = (lines[3] ?? '').split(' ');
    assert.equal(group, pid);
    assert.equal(session, pid);
    assert.match(readFileSync('/proc/self/status', 'utf8'), /SigBlk:\s+0000000000000000/);
  });

  it('rejects with what execve or chdir failed with, and leaves no zombie', async () => {
    const options = { args: ['x'], env: [], cwd: '/', fds: [0, 1, 2] };
    await assert.rejects(addon().spawn({ ...options, file: '/nonexistent/program' }), {
      code: 'ENOENT',
      syscall: 'execve',
      path: '/nonexistent/program',
    });
    await assert.rejects(addon().spawn({ ...options, file: '/etc/passwd' }), {
      code: 'EACCES',
      syscall: 'execve',
    });
    await assert.rejects(addon().spawn({ ...options, file: '/bin/true', cwd: '/nonexistent' }), {
      code: 'ENOENT',
      syscall: 'chdir',
      path: '/nonexistent',
    });
    await assert.rejects(addon().spawn({ ...options, file: '/bin/true', fds: [9999] }), { code: 'EBADF' });
    const children = readdirSync('/proc/self/task')
      .map((thread) => readFileSync(`/proc/self/task/${thread}/children`, 'utf8').trim())
      .join('');
    assert.equal(children, '');
  });

  it('rejects wrong arguments with a TypeError', () => {
    assert.throws(() => Reflect.apply(addon().spawn, undefined, [{}]), TypeError);
    assert.throws(
      () => addon().spawn({ file: '/bin/true\0x', args: [], env: [], cwd: '/', fds: [] }),
      /file must be without NUL bytes/,
    );
  });
});

describe('waitForExit', () => {
  it('waits for a process that is not its child, and returns at once for one that is gone', async () => {
    const { output } = await shell('sleep 0.05 >/dev/null 2>&1 & echo $!');
    const start = performance.now();
    await addon().waitForExit(Number(output));
    assert.ok(performance.now() - start < 5000);
    await addon().waitForExit(Number(output));
  });

  it('does not keep the event loop alive where told so', async () => {
    const script = `
      const { addon } = await import(${JSON.stringify(join(import.meta.dirname, 'addon.ts'))});
      addon().waitForExit(process.ppid, false);
    `;
    const child = spawnProcess(process.execPath, ['--input-type=module', '-e', script], { timeout: 60_000 });
    const code = await new Promise((resolve) => child.on('exit', resolve));
    assert.equal(code, 0);
  });
});

describe('sockets', () => {
  it('sends bytes with descriptors', async () => {
    const [a, b] = addon().socketPair();
    const path = join(directory, 'passed');
    const file = openSync(path, 'w');
    addon().sendWithFds(a, Buffer.from('payload'), [file]);
    closeSync(file);
    // The receiver is a program that reads the message with recvmsg and writes into the descriptor that came.
    const script =
      'import socket,os\ns=socket.socket(fileno=0)\n' +
      'd,f,_,_=socket.recv_fds(s,100,4)\nos.write(f[0],b"got "+d+b" %d"%len(f))';
    const hasPython = existsSync('/usr/bin/python3');
    if (hasPython) {
      const pid = await addon().spawn({
        file: '/usr/bin/python3',
        args: ['python3', '-c', script],
        env: [],
        cwd: '/',
        fds: [b, 1, 2],
      });
      assert.equal(await wait(pid), 0);
      assert.equal(readFileSync(path, 'utf8'), 'got payload 1');
    }
    closeSync(a);
    closeSync(b);
  });

  it('throws EAGAIN where the peer does not read', () => {
    const [a, b] = addon().socketPair();
    const start = performance.now();
    assert.throws(() => addon().sendWithFds(a, Buffer.alloc(8 * 1024 * 1024), [], 50), { code: 'EAGAIN' });
    assert.ok(performance.now() - start >= 45);
    closeSync(b);
    assert.throws(() => addon().sendWithFds(a, Buffer.from('x'), []), { code: 'EPIPE' });
    closeSync(a);
  });

  it('tells the peer of a Unix socket', async () => {
    const path = join(directory, 'peer.sock');
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    const client = createConnection(path);
    const socket = await new Promise<import('node:net').Socket>((resolve) =>
      server.once('connection', resolve),
    );
    const handle: unknown = Reflect.get(socket, '_handle');
    const fd = Number(Reflect.get(Object(handle), 'fd'));
    assert.deepEqual(addon().peerCredentials(fd), {
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    assert.deepEqual(addon().socketInfo(fd), { family: 'unix', listening: false });
    const listening = Number(Reflect.get(Object(Reflect.get(server, '_handle')), 'fd'));
    assert.deepEqual(addon().socketInfo(listening), { family: 'unix', listening: true });
    assert.throws(() => addon().socketInfo(openedFile()), { code: 'ENOTSOCK' });
    client.destroy();
    socket.destroy();
    server.close();
  });

  it('binds ports, each family on its own, and says at once what is taken', () => {
    for (const protocol of ['tcp', 'udp'] as const) {
      const first = addon().bindPort(protocol, '127.0.0.1', 0);
      assert.deepEqual(addon().socketInfo(first), { family: 'inet', listening: protocol === 'tcp' });
      const hex = protocol === 'tcp' ? '0A' : '07';
      const inode = /\d+/.exec(readlinkSync(`/proc/self/fd/${first}`))?.[0] ?? '';
      const line = readFileSync(`/proc/net/${protocol}`, 'utf8')
        .split('\n')
        .find((text) => text.includes(` ${inode} `));
      const [, address = '', , state] = line?.trim().split(/\s+/) ?? [];
      assert.equal(state, hex);
      const port = Number.parseInt(address.split(':')[1] ?? '', 16);
      assert.throws(() => addon().bindPort(protocol, '0.0.0.0', port), {
        code: 'EADDRINUSE',
        syscall: 'bind',
      });
      closeSync(addon().bindPort(protocol, '::', port));
      closeSync(first);
      closeSync(addon().bindPort(protocol, '0.0.0.0', port));
    }
    assert.throws(() => addon().bindPort('tcp', '203.0.113.1', 0), { code: 'EADDRNOTAVAIL' });
    assert.throws(() => addon().bindPort('tcp', 'localhost', 0), /address must be an IP address/);
    assert.throws(() => addon().bindPort('tcp', '::', 65536), TypeError);
  });

  it('binds SCTP where the kernel has it', () => {
    let fd = -1;
    try {
      fd = addon().bindPort('sctp', '127.0.0.1', 0);
    } catch (error) {
      assert.equal(errnoCode(error), 'EPROTONOSUPPORT');
      return;
    }
    assert.deepEqual(addon().socketInfo(fd), { family: 'inet', listening: true });
    closeSync(fd);
  });

  it('keeps a UDP port to the socket that dgram took over', async () => {
    const fd = addon().bindPort('udp', '127.0.0.1', 0);
    const mine = createSocket('udp4');
    mine.bind({ fd });
    const { port } = mine.address();
    const steal = () =>
      new Promise<string>((resolve) => {
        const thief = createSocket({ type: 'udp4', reuseAddr: true });
        const end = (outcome: string) => {
          thief.close();
          resolve(outcome);
        };
        thief.on('error', (error) => end(errnoCode(error) ?? ''));
        thief.bind(port, '127.0.0.1', () => end('stolen'));
      });
    assert.equal(await steal(), 'stolen', 'or else keepPort is not needed');
    addon().keepPort(fd);
    assert.equal(await steal(), 'EADDRINUSE');
    addon().setReceiveBuffer(fd, 65536);
    assert.equal(mine.getRecvBufferSize(), 131072);
    if (isRoot) {
      addon().setReceiveBuffer(fd, 1 << 24);
      assert.equal(mine.getRecvBufferSize(), 1 << 25, 'beyond net.core.rmem_max');
    }
    mine.close();
  });

  it('makes sockets inside a network namespace', needsRoot, async () => {
    const netns = join(directory, 'netns-of-sockets');
    await addon().createNetns(netns);
    const descriptors: number[] = [];
    try {
      const here = addon().bindPort('tcp', '127.0.0.1', 0);
      descriptors.push(here);
      const inode = /\d+/.exec(readlinkSync(`/proc/self/fd/${here}`))?.[0] ?? '';
      const line = readFileSync('/proc/net/tcp', 'utf8')
        .split('\n')
        .find((text) => text.includes(` ${inode} `));
      const port = Number.parseInt(line?.trim().split(/[\s:]+/)[2] ?? '', 16);
      descriptors.push(addon().bindPort('tcp', '127.0.0.1', port, netns));
      assert.throws(() => addon().bindPort('tcp', '127.0.0.1', port, netns), { code: 'EADDRINUSE' });
      assert.throws(() => addon().bindPort('tcp', '127.0.0.1', port, null), { code: 'EADDRINUSE' });
      descriptors.push(addon().openSocket('udp', 4, netns), addon().openSocket('tcp', 6, netns));
      const infos = descriptors.map((fd) => addon().socketInfo(fd));
      assert.deepEqual(infos.slice(1), [
        { family: 'inet', listening: true },
        { family: 'inet', listening: false },
        { family: 'inet6', listening: false },
      ]);
      assert.throws(() => addon().bindPort('udp', '127.0.0.1', 0, join(directory, 'nowhere')), {
        code: 'ENOENT',
      });
      assert.throws(() => addon().openSocket('udp', 5 as 4, null), /family must be 4 or 6/);
    } finally {
      for (const fd of descriptors) closeSync(fd);
      addon().unmount(netns, MNT_DETACH);
      rmSync(netns);
    }
  });

  let file = -1;
  function openedFile(): number {
    file = openSync('/dev/null', 'r');
    return file;
  }
  after(() => closeSync(file));
});

describe('files', () => {
  it('keeps a second holder out with flock', () => {
    const path = join(directory, 'lock');
    const [first, second] = [openSync(path, 'w'), openSync(path, 'w')];
    assert.equal(addon().flock(first, true), true);
    assert.equal(addon().flock(second, true), false);
    assert.equal(addon().flock(second, false), false);
    closeSync(first);
    assert.equal(addon().flock(second, false), true);
    closeSync(second);
    assert.throws(() => addon().flock(9999, true), { code: 'EBADF', syscall: 'flock' });
  });

  it('resolves inside a root with openat2', () => {
    const root = join(directory, 'root');
    mkdirSync(join(root, 'etc'), { recursive: true });
    writeFileSync(join(root, 'etc/passwd'), 'inside');
    symlinkSync('/etc/passwd', join(root, 'link'));
    symlinkSync('../../../../../etc/passwd', join(root, 'dots'));
    const rootFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
    for (const name of ['link', 'dots', '/etc/passwd', Buffer.from('etc/passwd')]) {
      const fd = addon().openat2(rootFd, name, constants.O_RDONLY, 0, RESOLVE_IN_ROOT);
      assert.equal(readFileSync(fd, 'utf8'), 'inside');
      closeSync(fd);
    }
    assert.throws(() => addon().openat2(rootFd, 'link', constants.O_RDONLY, 0, RESOLVE_NO_SYMLINKS), {
      code: 'ELOOP',
      path: 'link',
    });
    const fd = addon().openat2(AT_FDCWD, join(root, 'new'), constants.O_RDWR | constants.O_CREAT, 0o640, 0);
    assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), /flags:\s+02\d{6}/, 'close-on-exec');
    closeSync(fd);
    closeSync(rootFd);
  });

  it('sets and lists extended attributes, of a link itself too', needsRoot, () => {
    const path = join(directory, 'attributes');
    const link = join(directory, 'attributes-link');
    writeFileSync(path, '');
    symlinkSync(path, link);
    assert.deepEqual(addon().listXattrs(path), []);
    addon().setXattr(path, 'trusted.raw', Buffer.from([0, 255, 10, 0]));
    addon().setXattr(Buffer.from(path), 'trusted.empty', Buffer.alloc(0));
    addon().setXattr(link, 'trusted.link', Buffer.from('x'));
    const found = addon()
      .listXattrs(path)
      .sort((a, b) => a.name.localeCompare(b.name));
    assert.deepEqual(found, [
      { name: 'trusted.empty', value: Buffer.alloc(0) },
      { name: 'trusted.raw', value: Buffer.from([0, 255, 10, 0]) },
    ]);
    assert.deepEqual(addon().listXattrs(link), [{ name: 'trusted.link', value: Buffer.from('x') }]);
    assert.throws(() => addon().listXattrs(join(directory, 'absent')), { code: 'ENOENT' });
  });
});

describe('mounts', needsRoot, () => {
  /** A tmpfs below the temporary folder, so that overlays have a file system that takes trusted attributes. */
  function withTmpfs(body: (root: string) => void): void {
    const root = mkdtempSync(join(directory, 'mount-'));
    addon().mount('tmpfs', root, 'tmpfs', 0, 'size=16m,mode=700');
    try {
      body(root);
    } finally {
      addon().unmount(root, MNT_DETACH);
    }
  }

  function layers(root: string, count: number, long = ''): string[] {
    return Array.from({ length: count }, (_, i) => {
      const path = join(root, `layer-${i}${long}`);
      mkdirSync(path);
      writeFileSync(join(path, `file-${i}`), `${i}`);
      writeFileSync(join(path, 'top'), `${i}`);
      return path;
    });
  }

  it('mounts and unmounts', () => {
    withTmpfs((root) => {
      assert.throws(() => writeFileSync(join(root, 'big'), Buffer.alloc(17 * 1024 * 1024)), {
        code: 'ENOSPC',
      });
    });
    assert.throws(() => addon().mount('x', '/nonexistent', 'tmpfs', 0, ''), {
      code: 'ENOENT',
      syscall: 'mount',
      path: '/nonexistent',
    });
    assert.throws(() => addon().unmount(directory, 0), { code: 'EINVAL', syscall: 'umount2' });
  });

  it('stacks 200 lowers with long names, topmost first, under an upper', () => {
    withTmpfs((root) => {
      const lowers = layers(root, 200, `-${'x'.repeat(230)}`);
      const directories = ['upper', 'work', 'target'].map((name) =>
        join(root, `${name}\\:,${'y'.repeat(200)}`),
      );
      for (const path of directories) mkdirSync(path);
      const [upper = '', work = '', target = ''] = directories;
      addon().mountOverlay({ lowers, upper, work, target, options: ['xino=off'], attributes: 0 });
      try {
        assert.equal(readdirSync(target).length, 201);
        assert.equal(readFileSync(join(target, 'top'), 'utf8'), '0');
        writeFileSync(join(target, 'written'), 'yes');
        assert.equal(readFileSync(join(upper, 'written'), 'utf8'), 'yes');
      } finally {
        addon().unmount(target, MNT_DETACH);
      }
    });
  });

  it('mounts read-only without an upper, and honours attributes', () => {
    withTmpfs((root) => {
      const target = join(root, 'target');
      mkdirSync(target);
      const lowers = layers(root, 2);
      addon().mountOverlay({ lowers, upper: '', work: '', target, options: [], attributes: MS_RDONLY | 8 });
      try {
        assert.throws(() => writeFileSync(join(target, 'x'), ''), { code: 'EROFS' });
        assert.match(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(`${target} ro,noexec,`));
      } finally {
        addon().unmount(target, MNT_DETACH);
      }
    });
  });

  it('names what is wrong with an overlay, and leaves no descriptor open', () => {
    withTmpfs((root) => {
      const target = join(root, 'target');
      mkdirSync(target);
      const before = readdirSync('/proc/self/fd').length;
      const base = { lowers: layers(root, 1), upper: '', work: '', target, attributes: 0 };
      assert.throws(() => addon().mountOverlay({ ...base, options: ['nosuchoption=1'] }), /nosuchoption/);
      assert.throws(() => addon().mountOverlay({ ...base, lowers: [join(root, 'absent')], options: [] }), {
        code: 'ENOENT',
      });
      assert.throws(() => addon().mountOverlay({ ...base, lowers: [], options: [] }), TypeError);
      assert.equal(readdirSync('/proc/self/fd').length, before);
    });
  });
});

describe('network namespaces and netlink', needsRoot, () => {
  /** RTM_GETLINK, one link by index or all of them. */
  function getLink(flags: number, sequence: number, index: number): Buffer {
    const message = Buffer.alloc(32);
    message.writeUInt32LE(32, 0);
    message.writeUInt16LE(RTM_GETLINK, 4);
    message.writeUInt16LE(NLM_F_REQUEST | flags, 6);
    message.writeUInt32LE(sequence, 8);
    message.writeInt32LE(index, 20);
    return message;
  }

  it('makes a namespace with its loopback up and nothing else, and reaches it by path', async () => {
    const path = join(directory, 'netns');
    const own = readlinkSync('/proc/self/ns/net');
    await addon().createNetns(path);
    try {
      const fd = addon().netlinkOpen(0, path);
      const answer = addon().netlinkRequestSync(fd, getLink(NLM_F_DUMP, 5, 0));
      assert.equal(answer.readUInt16LE(4), 16, 'RTM_NEWLINK');
      assert.equal(answer.readInt32LE(20), 1, 'the loopback is number 1');
      assert.equal(answer.readUInt32LE(24) & 1, 1, 'IFF_UP');
      const [one, two] = await Promise.all([
        addon().netlinkRequest(fd, getLink(NLM_F_ACK, 8, 1)),
        addon().netlinkRequest(addon().netlinkOpen(0, null), getLink(NLM_F_ACK, 9, 4242)),
      ]);
      assert.equal(one.readUInt16LE(4), 16);
      assert.equal(two.readUInt16LE(4), 2, 'NLMSG_ERROR');
      assert.equal(two.readInt32LE(16), -19, '-ENODEV');
      closeSync(fd);
      await assert.rejects(addon().createNetns(path), { code: 'EEXIST', path });
    } finally {
      addon().unmount(path, MNT_DETACH);
    }
    assert.equal(readlinkSync('/proc/self/ns/net'), own);
    assert.throws(() => addon().netlinkOpen(0, '/nonexistent'), { code: 'ENOENT', path: '/nonexistent' });
    await assert.rejects(addon().createNetns('/nonexistent/x'), { code: 'ENOENT', syscall: 'open' });
  });

  it('gives interface indexes', () => {
    assert.equal(addon().interfaceIndex('lo'), 1);
    assert.equal(addon().interfaceIndex('nosuch0'), 0);
  });

  it('refuses a request that is no netlink message', () => {
    const fd = addon().netlinkOpen(0, null);
    assert.throws(() => addon().netlinkRequestSync(fd, Buffer.from([1, 2, 3])), { code: 'EBADMSG' });
    closeSync(fd);
  });
});

describe('the process', () => {
  it('exits at once without handlers, and takes a name', async () => {
    const script = `
      const { addon } = await import(${JSON.stringify(join(import.meta.dirname, 'addon.ts'))});
      process.on('exit', () => console.log('handler'));
      addon().setProcessName('renamed');
      console.log(require('node:fs').readFileSync('/proc/self/comm', 'utf8').trim());
      setTimeout(() => addon().exitNow(3), 10);
      setInterval(() => {}, 1000);
    `.replace("require('node:fs')", "process.getBuiltinModule('node:fs')");
    const child = spawnProcess(process.execPath, ['--input-type=module', '-e', script], { timeout: 60_000 });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(code, 3);
    assert.equal(output, 'renamed\n');
  });

  it('resolves waitForExit in a worker, and lets the worker end while one is pending', async () => {
    const { Worker } = await import('node:worker_threads');
    const worker = new Worker(
      `import(${JSON.stringify(join(import.meta.dirname, 'addon.ts'))}).then(({ addon }) => {
        addon().waitForExit(process.pid);
        require('node:worker_threads').parentPort.postMessage('waiting');
      })`,
      { eval: true },
    );
    await new Promise((resolve) => worker.once('message', resolve));
    await sleep(10);
    assert.equal(await worker.terminate(), 1);
  });
});
