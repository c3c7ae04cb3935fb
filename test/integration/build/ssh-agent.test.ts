/**
 * `RUN --mount=type=ssh` with OpenSSH on both sides: a real agent of the user's, and `ssh-add` in a step, which lists the
 * keys and has them sign; by our client and by buildx; and keys from files.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildxProgram } from '../../fixtures/compose.ts';
import { eventually, type Result } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const PROGRAMS = ['ssh-agent', 'ssh-add', 'ssh-keygen'].map((name) => `/usr/bin/${name}`);
const missing = PROGRAMS.every((path) => existsSync(path)) ? false : 'OpenSSH is not installed';

/** A program and the libraries that it is linked with, at their places below `root`. */
function copyProgram(program: string, root: string): void {
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
  for (const path of [program, ...libraries]) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    copyFileSync(path, join(root, path));
  }
}

describe('an ssh agent', { skip: missing }, () => {
  let daemon: Daemon;
  let close: () => Promise<void>;
  let folder: string;
  let keys: string;
  const agents: ChildProcess[] = [];

  const makeKey = (name: string, ...flags: string[]): string => {
    const path = join(keys, name);
    execFileSync('ssh-keygen', ['-q', '-N', '', '-C', `key ${name}`, '-f', path, ...flags]);
    return path;
  };
  const fingerprint = (name: string): string =>
    execFileSync('ssh-keygen', ['-lf', join(keys, `${name}.pub`)], { encoding: 'utf8' }).split(' ')[1] ?? '';

  /** An agent with these keys; its socket. */
  const startAgent = async (name: string, ...held: string[]): Promise<string> => {
    const socket = join(keys, `${name}.sock`);
    agents.push(spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' }));
    await eventually('the agent listens', async () => existsSync(socket));
    execFileSync('ssh-add', ['-q', ...held], {
      env: { ...process.env, SSH_AUTH_SOCK: socket },
      stdio: 'pipe',
    });
    return socket;
  };

  before(async () => {
    ({ daemon, close } = await daemonWithBusybox());
    // Not in the context, and short, for the sockets.
    keys = mkdtempSync(join(tmpdir(), 'keys-'));
    folder = join(daemon.folder, 'project');
    mkdirSync(folder);
    copyProgram('/usr/bin/ssh-add', join(folder, 'root'));
  });
  after(async () => {
    for (const agent of agents) agent.kill();
    rmSync(keys, { recursive: true, force: true });
    await close();
  });

  const write = (...lines: string[]): void =>
    writeFileSync(join(folder, 'Dockerfile'), ['FROM busybox', 'COPY root /', ...lines, ''].join('\n'));
  const FLAGS = ['--no-cache', '--progress', 'plain'];
  const own = (words: readonly string[], socket = ''): Promise<Result> =>
    daemon.mydock(['build', ...FLAGS, ...words, folder], { env: { SSH_AUTH_SOCK: socket } });
  const buildx = (words: readonly string[], socket = ''): Promise<Result> =>
    daemon.docker(buildxProgram() ?? '', ['build', ...FLAGS, ...words, folder], {
      env: { SSH_AUTH_SOCK: socket },
    });

  for (const [client, build] of Object.entries({ mydock: own, buildx })) {
    const skip = client === 'buildx' && buildxProgram() === undefined ? 'no buildx is installed' : false;
    test(`${client}: its keys are listed and sign, by their IDs, and are gone afterwards`, {
      skip,
    }, async () => {
      const one = makeKey(`one-${client}`, '-t', 'ed25519');
      const two = makeKey(`two-${client}`, '-t', 'ecdsa');
      const [first, second] = [await startAgent(`a-${client}`, one), await startAgent(`b-${client}`, two)];
      copyFileSync(`${one}.pub`, join(folder, 'root/one.pub'));
      write(
        'RUN --mount=type=ssh ssh-add -l && ssh-add -T /one.pub && echo it $((1+0))signs',
        'RUN --mount=type=ssh,id=other,required=true,target=/agent,mode=0666,uid=1000 ssh-add -l; stat -c "%a %u" /agent; echo $SSH_AUTH_SOCK',
        'RUN --mount=type=ssh ssh-add -D; ssh-add -x < /dev/null; ssh-add -l',
        'RUN test ! -e /agent && test ! -e /run/buildkit && echo "none:$SSH_AUTH_SOCK."',
      );
      const { code, stderr } = await build(['--ssh', 'default', '--ssh', `other=${second}`], first);
      assert.equal(code, 0, stderr);
      const said = [...stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map((match) => match[1] ?? '');
      assert.ok(said[0]?.includes(fingerprint(`one-${client}`)), said.join('\n'));
      assert.ok(said.includes('it 1signs'), said.join('\n'));
      assert.ok(
        said.some((line) => line.includes(fingerprint(`two-${client}`))),
        said.join('\n'),
      );
      assert.deepEqual(
        [...said.slice(-10).filter((line) => /^666|^.agent$/.test(line)), said.at(-1)],
        ['666 1000', '/agent', 'none:.'],
      );
      // Whatever the step has tried, the user's agent has its key.
      const listed = execFileSync('ssh-add', ['-l'], { env: { ...process.env, SSH_AUTH_SOCK: first } });
      assert.ok(listed.includes(fingerprint(`one-${client}`)), listed.toString());

      write('RUN --mount=type=ssh,id=absent,required=true true');
      const absent = await build(['--ssh', 'default'], first);
      assert.notEqual(absent.code, 0);
      assert.match(absent.stderr, /no SSH key "absent" forwarded from the client/);
      write('RUN --mount=type=ssh,id=absent echo "without:$SSH_AUTH_SOCK."');
      assert.match((await build(['--ssh', 'default'], first)).stderr, /without:\.$/m);
    });

    test(`${client}: keys from files sign as those of an agent`, { skip }, async () => {
      const kinds: readonly (readonly [string, ...string[]])[] = [
        ['ed25519', '-t', 'ed25519'],
        ['rsa', '-t', 'rsa', '-b', '2048'],
        ['ecdsa', '-t', 'ecdsa', '-b', '521'],
        ['pem', '-t', 'rsa', '-b', '2048', '-m', 'PEM'],
        ['pkcs8', '-t', 'ecdsa', '-b', '256', '-m', 'PKCS8'],
      ];
      const paths = kinds.map(([kind, ...flags]) => {
        const path = makeKey(`${kind}-${client}`, ...flags);
        copyFileSync(`${path}.pub`, join(folder, `root/${kind}.pub`));
        return path;
      });
      const signs = kinds
        .map(([kind]) => `ssh-add -T /${kind}.pub && echo ${kind} $((1+0))signs`)
        .join(' && ');
      write(
        `RUN --mount=type=ssh,id=files ${signs}`,
        'RUN --mount=type=ssh,id=files ssh-add -l; ssh-add -D || echo none $((1+0))removed',
      );
      const { code, stderr } = await build(['--ssh', `files=${paths.join(',')}`]);
      assert.equal(code, 0, stderr);
      for (const [kind] of kinds) {
        assert.match(stderr, new RegExp(`${kind} 1signs`));
        assert.ok(stderr.includes(fingerprint(`${kind}-${client}`)), `${kind}: ${stderr}`);
      }
      if (client === 'mydock') assert.match(stderr, /none 1removed/);
    });
  }

  test('what is no key, and one with a passphrase, is refused before the build begins', async () => {
    write('RUN true');
    const locked = join(keys, 'locked');
    execFileSync('ssh-keygen', ['-q', '-N', 'a passphrase', '-t', 'ed25519', '-f', locked]);
    const cut = join(keys, 'cut');
    const whole = readFileSync(makeKey('whole', '-t', 'ed25519'), 'utf8').split('\n');
    writeFileSync(cut, [whole[0], whole[1], whole.at(-2)].join('\n'));
    writeFileSync(join(keys, 'text'), 'no key at all');
    for (const [path, message] of [
      [locked, /locked cannot be used: it is protected by a passphrase/],
      [cut, /cut cannot be used: it is cut off/],
      [join(keys, 'text'), /text cannot be used: it is no private key/],
      [join(keys, 'nowhere'), /nowhere does not exist/],
      [keys, /neither a socket nor a key/],
    ] as const) {
      const { code, stderr } = await own(['--ssh', `x=${path}`]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, message);
    }
    assert.match((await own(['--ssh', 'default'])).stderr, /SSH_AUTH_SOCK is not set/);
  });
});
