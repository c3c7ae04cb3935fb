/**
 * What BuildKit's clients serve as stores of blobs: OCI layouts as named contexts (of our own client too), local caches,
 * outputs with `tar=false`; further what `--push`, several outputs and stdout give, and the history of builds. Every
 * version of buildx that is here is tried; skipped where there is none (fixtures/compose.ts).
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildxPrograms } from '../../fixtures/compose.ts';
import { eventually, LiveCommand, type Result, run } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import { TestSocket } from '../scoped-socket.ts';
import { classicBuild } from './classic-build.ts';

const programs = buildxPrograms();
const IMAGE = 'FROM busybox\nENV FROM_LAYOUT=yes\nRUN echo made > /made\n';
const TAKING = 'FROM base\nRUN test "$FROM_LAYOUT" = yes\nCOPY --from=base /made /taken\n';

interface Provenance {
  materials?: { uri: string }[];
  invocation: { parameters: { args?: unknown }; configSource: { entryPoint: string } };
}

interface Descriptor {
  digest: string;
  annotations?: Record<string, string>;
}

let daemon: Daemon;
let close: () => Promise<void>;
let host = '';
let count = 0;

before(async () => {
  const started = await daemonWithRegistry();
  ({ daemon, close } = started);
  host = started.registry.host;
});
after(async () => await close());

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = join(daemon.folder, `stores-${count++}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** Arguments of a shell that runs the program in the folder. */
function inside(folder: string, program: string, words: readonly string[]): string[] {
  return ['-c', 'cd "$0" && exec "$@"', folder, program, ...words];
}

function manifests(layout: string): Descriptor[] {
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: Descriptor[] };
  return index.manifests;
}

async function image(name: string, ...command: string[]): Promise<string> {
  return await daemon.ok('run', '--rm', '--network', 'none', name, ...command);
}

function blobs(): string[] {
  return readdirSync(join(daemon.dataRoot, 'content/blobs/sha256')).sort();
}

for (const [name, program] of programs) {
  const buildx = async (words: readonly string[], cwd?: string): Promise<Result> =>
    await (cwd === undefined
      ? daemon.docker(program, words)
      : daemon.docker('sh', inside(cwd, program, words)));
  const built = async (folder: string, ...words: string[]): Promise<string> => {
    const result = await buildx(['build', '--progress', 'plain', ...words, folder], folder);
    assert.equal(result.code, 0, `${name} ${words.join(' ')}: ${result.stderr}`);
    return result.stderr;
  };
  const failed = async (folder: string, message: RegExp, ...words: string[]): Promise<void> => {
    const result = await buildx(['build', '--progress', 'plain', ...words, folder], folder);
    assert.notEqual(result.code, 0, words.join(' '));
    assert.match(result.stderr, message);
  };

  describe(name, () => {
    test('an output with tar=false is a layout, which another build takes from, as our own client does', async () => {
      const folder = folderOf({ Dockerfile: IMAGE, Taking: TAKING });
      const layout = join(folder, 'layout');
      await built(folder, '-t', 'laid:out', '--output', `type=oci,dest=${layout},tar=false`);
      const [entry, ...others] = manifests(layout);
      assert.ok(entry !== undefined && others.length === 0);
      assert.match(Object.values(entry.annotations ?? {}).join(' '), /laid:out|\bout\b/);
      await daemon.ok('builder', 'prune', '-af');
      const taking = ['-t', 'taking', '-f', join(folder, 'Taking')];
      await built(folder, ...taking, '--build-context', `base=oci-layout://layout:out`);
      assert.equal(await image('taking', 'cat', '/taken'), 'made');
      const id = await daemon.ok('inspect', '--format', '{{.Id}}', 'taking');
      await daemon.ok('rmi', 'taking');
      await daemon.ok('builder', 'prune', '-af');
      await built(folder, ...taking, '--build-context', `base=oci-layout://layout@${entry.digest}`);
      assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'taking'), id);
      for (const address of [layout, `${layout}:out`, `${layout}@${entry.digest}`]) {
        await daemon.ok(
          ...['build', '-q', '-t', 'ours', '-f', join(folder, 'Taking')],
          ...['--build-context', `base=oci-layout://${address}`, folder],
        );
        assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'ours'), id);
      }
      await daemon.ok('rmi', 'taking', 'ours');
    });

    test('a layout that lacks or damages what it names fails the build, and leaves nothing', async () => {
      const folder = folderOf({ Dockerfile: 'FROM busybox\nRUN echo damaged > /made\n', Taking: TAKING });
      const layout = join(folder, 'layout');
      await built(folder, '--output', `type=oci,dest=${layout},tar=false`);
      await daemon.ok('builder', 'prune', '-af');
      const before = blobs();
      const [entry] = manifests(layout);
      const taking = ['-f', join(folder, 'Taking'), '--build-context'];
      const none = `sha256:${'0'.repeat(64)}`;
      await failed(
        folder,
        /the client has no blob sha256:0000/,
        ...taking,
        `base=oci-layout://layout@${none}`,
      );
      const blob = (digest: string): string => join(layout, 'blobs', digest.replace(':', '/'));
      const manifest = JSON.parse(readFileSync(blob(entry?.digest ?? ''), 'utf8')) as {
        layers: Descriptor[];
      };
      const last = blob(manifest.layers.at(-1)?.digest ?? '');
      const bytes = readFileSync(last);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(last, bytes);
      const damaged = `base=oci-layout://layout@${entry?.digest}`;
      await failed(folder, /what came as blob sha256:[0-9a-f]{64} has another digest/, ...taking, damaged);
      writeFileSync(
        blob(entry?.digest ?? ''),
        readFileSync(blob(entry?.digest ?? ''), 'utf8')
          .replace('{', ' {')
          .slice(0, -1),
      );
      await failed(
        folder,
        /blob sha256:[0-9a-f]{64} of the client (is damaged|has)|it sent/,
        ...taking,
        damaged,
      );
      await eventually('nothing is left', () => blobs().join() === before.join());
      await daemon.fails(
        1,
        /no image "v7" in the OCI layout .*/,
        'build',
        '-f',
        join(folder, 'Taking'),
        '--build-context',
        `base=oci-layout://${layout}:v7`,
        folder,
      );
    });

    test('a cache of type local is written and read, also by our own client', async () => {
      const folder = folderOf({
        Dockerfile: 'FROM busybox\nRUN head -c 16 /dev/urandom | md5sum > /random\n',
      });
      const cache = join(folder, 'câche');
      await built(folder, '-t', 'cached', '--cache-to', `type=local,dest=${cache},mode=max`);
      const id = await daemon.ok('inspect', '--format', '{{.Id}}', 'cached');
      const forget = async (): Promise<void> => {
        await daemon.ok('rmi', 'cached');
        await daemon.ok('builder', 'prune', '-af');
      };
      await forget();
      const output = await built(folder, '-t', 'cached', '--cache-from', `type=local,src=${cache}`);
      assert.match(output, /RUN head .*\n#\d+ CACHED/);
      assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'cached'), id);
      await forget();
      await daemon.ok('build', '-q', '-t', 'cached', '--cache-from', `type=local,src=${cache}`, folder);
      assert.equal(await daemon.ok('inspect', '--format', '{{.Id}}', 'cached'), id);
      await forget();
      await built(folder, '-t', 'cached', '--cache-from', 'type=local,src=nowhere');
      assert.notEqual(await daemon.ok('inspect', '--format', '{{.Id}}', 'cached'), id);
      await forget();
    });

    test('several outputs at once, and an archive on stdout', async () => {
      const folder = folderOf({ Dockerfile: IMAGE });
      const outputs = [`type=local,dest=${folder}/files`, `type=oci,dest=${folder}/image.tar`, 'type=docker'];
      await built(folder, '-t', 'several', ...outputs.flatMap((output) => ['--output', output]));
      assert.equal(readFileSync(join(folder, 'files/made'), 'utf8'), 'made\n');
      assert.match(execFileSync('tar', ['tf', `${folder}/image.tar`], { encoding: 'utf8' }), /^oci-layout$/m);
      assert.equal(await image('several', 'cat', '/made'), 'made');
      for (const output of ['-', 'type=tar,dest=-']) {
        const script = `"$0" build --quiet -o ${output} . | tar xO made`;
        const env = { ...process.env, HOME: daemon.home, DOCKER_HOST: `unix://${daemon.socket}` };
        const { stdout, stderr } = await run(['sh', ...inside(folder, 'sh', ['-c', script, program])], {
          env,
        });
        assert.equal(stdout, 'made\n', stderr);
      }
      await daemon.ok('rmi', 'several');
    });

    test("--push: the client is told the registry's digest", async () => {
      const folder = folderOf({ Dockerfile: IMAGE });
      const reference = `${host}/pushed:${count}`;
      await built(folder, '--push', '-t', reference, '--metadata-file', join(folder, 'metadata'));
      const metadata = JSON.parse(readFileSync(join(folder, 'metadata'), 'utf8')) as Record<string, string>;
      const { stdout } = await buildx(['imagetools', 'inspect', reference]);
      assert.equal(/^Digest: +(.*)$/m.exec(stdout)?.[1], metadata['containerimage.digest']);
      const id = await daemon.ok('inspect', '--format', '{{.Id}}', reference);
      assert.equal(metadata['containerimage.config.digest'], id);
    });

    test('--metadata-file tells how the build came about', async () => {
      const folder = folderOf({ Dockerfile: `FROM ${host}/busybox\nARG A\nRUN echo $A > /made\n` });
      // Versions that have no history do not ask for it.
      if (!/build records/.test((await buildx(['history', '--help'])).stdout)) return;
      const file = join(folder, 'metadata');
      await daemon.ok('tag', 'busybox', `${host}/busybox`);
      await daemon.ok('push', `${host}/busybox`);
      await built(folder, '--build-arg', 'A=1', '--metadata-file', file);
      const metadata = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Provenance>;
      const { materials = [], invocation } = metadata['buildx.build.provenance'] ?? {};
      assert.match(materials[0]?.uri ?? '', /^pkg:docker\/.*busybox@latest/);
      assert.deepEqual(invocation?.parameters.args, { 'build-arg:A': '1' });
      assert.equal(invocation?.configSource.entryPoint, 'Dockerfile');
      const inspected = await buildx(['history', 'inspect', 'attachment', '--type', 'provenance']);
      assert.match(inspected.stdout, /"buildType"/, inspected.stderr);
    });

    test('attestations are refused by name, as by the classic image store of Docker', async () => {
      const folder = folderOf({ Dockerfile: 'FROM scratch\nLABEL a=b\n' });
      for (const flag of ['--provenance=true', '--sbom=true', '--attest=type=sbom']) {
        await failed(folder, /Attestations are not supported/, flag);
      }
      await built(folder, '--provenance=false', '--sbom=false');
    });

    test('the history of builds: list, logs, inspect, rm', async () => {
      const folder = folderOf({ Dockerfile: 'FROM busybox\nRUN echo "about to fail" && exit 3\n' });
      if (!/build records/.test((await buildx(['history', '--help'])).stdout)) return;
      await failed(folder, /exit code: 3/);
      const listed = await buildx(['history', 'ls', '--filter', 'status=error']);
      assert.match(listed.stdout, /Error/);
      assert.match((await buildx(['history', 'logs'])).stderr, /about to fail/);
      const { stdout } = await buildx(['history', 'inspect']);
      assert.match(stdout, /^Error:.*exit code: 3$/m);
      assert.match(stdout, /2 \| >>> RUN echo "about to fail"/);
      assert.match(stdout, /^> about to fail$/m);
      const slow = folderOf({ Dockerfile: `FROM busybox\nRUN echo begun && cat /end || sleep 1000\n` });
      const env = { ...process.env, HOME: daemon.home, DOCKER_HOST: `unix://${daemon.socket}` };
      const live = new LiveCommand([program, 'build', '--progress', 'plain', slow], { env });
      await eventually('the step runs', () => live.stderr.includes('begun') && live.stderr);
      // A second reader takes nothing from the first.
      const logs = new LiveCommand([program, 'history', 'logs'], { env });
      await eventually('its log is told', () => logs.stderr.includes('begun') && logs.stderr);
      assert.match((await buildx(['history', 'ls'])).stdout, /Running/);
      assert.match((await buildx(['history', 'inspect'])).stdout, /\(running\)/);
      live.child.kill('SIGINT');
      await live.ended;
      await logs.ended;
      const status = ['history', 'inspect', '--format', '{{.Status}}'];
      await eventually('it is canceled', async () => (await buildx(status)).stdout.includes('canceled'));
      // Docker's own client, before it spoke BuildKit's protocol.
      const classic = { Dockerfile: 'FROM scratch\nLABEL a=b\n' };
      const { error } = await classicBuild(daemon, classic, 'version=2&buildid=classic-one&t=by-classic');
      assert.equal(error, '');
      assert.match((await buildx(['history', 'ls', '--format', '{{.Ref}}'])).stdout, /^classic-one$/m);
      const failing = { Dockerfile: 'FROM scratch\nCOPY nothing /\n' };
      await classicBuild(daemon, failing, 'version=2&buildid=classic-two');
      const bad = await buildx(['history', 'ls', '--filter', 'status=error', '--format', '{{.Ref}}']);
      assert.match(bad.stdout, /^classic-two$/m);
      await daemon.ok('rmi', 'by-classic');
      const removed = await buildx(['history', 'rm', '--all']);
      assert.equal(removed.code, 0, removed.stderr);
      assert.doesNotMatch((await buildx(['history', 'ls'])).stdout, /Error|Completed/);
    });

    test('scoped sockets: layouts and caches are the client’s own, and its history too', async () => {
      const folder = folderOf({ Dockerfile: IMAGE, Taking: TAKING });
      await built(folder, '--output', `type=oci,dest=${folder}/layout,tar=false`);
      const allowed = ['--allow', 'images.build,ping,version,info'];
      const socket = await TestSocket.create(daemon, ...allowed, '--image', 'mine/*');
      const env = { ...process.env, HOME: daemon.home, DOCKER_HOST: `unix://${socket.path}` };
      const scoped = async (...words: string[]): Promise<Result> =>
        await run(['sh', ...inside(folder, program, words)], { env });
      const taking = ['build', '--progress', 'plain', '-f', 'Taking', '-t', 'mine/taking'];
      const layout = ['--build-context', 'base=oci-layout://layout', '.'];
      const done = await scoped(...taking, '--cache-to', 'type=local,dest=cache', ...layout);
      assert.equal(done.code, 0, done.stderr);
      assert.ok(existsSync(join(folder, 'cache/index.json')));
      const again = await scoped(...taking, '--cache-from', 'type=local,src=cache', ...layout);
      assert.equal(again.code, 0, again.stderr);
      if (/build records/.test((await scoped('history', '--help')).stdout)) {
        const lines = (await scoped('history', 'ls', '--format', '{{.Ref}}')).stdout.trim().split('\n');
        assert.equal(lines.length, 2, 'builds of other sockets are not told of');
      }
      await socket.remove();
      await daemon.ok('rmi', 'mine/taking');
    });
  });
}

test('buildx is here', { skip: programs.size === 0 ? 'no buildx is installed' : false }, () => {
  assert.ok(programs.size > 0);
});
