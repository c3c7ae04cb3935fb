/** `mydock debug bundle`: what is in it, and above all what is not. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const skip = TESTING_DOCKER && "mydock's own";

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox([
    ...['--http-proxy', 'http://proxyuser:PlantedProxy1@127.0.0.1:9', '--no-proxy', '127.0.0.1'],
    ...['--label', 'site=PlantedSite1', '--log-opt', 'tag=PlantedTag1', '--log-level', 'debug'],
  ]));
});
after(async () => await close());

const PLANTED = /Planted\w+/;

/** Texts by name, and the exit code is 0. */
async function bundle(name: string): Promise<Map<string, string>> {
  const path = join(daemon.folder, name);
  await daemon.ok('debug', 'bundle', '-o', path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const tar = gunzipSync(readFileSync(path));
  const files = new Map<string, string>();
  for (let at = 0; at + 512 <= tar.length; ) {
    const field = (from: number, length: number): string =>
      tar.toString('latin1', at + from, at + from + length).replace(/\0.*$/s, '');
    if (field(0, 100) === '') break;
    const size = Number.parseInt(field(124, 12), 8);
    files.set(field(0, 100).replace('mydock-debug/', ''), tar.toString('utf8', at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

test('nothing secret is in it', { skip }, async () => {
  const folder = join(daemon.folder, 'PlantedFolder1');
  mkdirSync(folder);
  mkdirSync(join(daemon.home, '.docker'), { recursive: true });
  const auth = Buffer.from('someone:PlantedAuth1').toString('base64');
  for (const at of ['.docker', '.mydock']) {
    mkdirSync(join(daemon.home, at), { recursive: true });
    writeFileSync(
      join(daemon.home, at, 'config.json'),
      JSON.stringify({ auths: { 'registry.example': { auth } } }),
    );
  }
  writeFileSync(
    join(folder, 'Dockerfile'),
    'FROM busybox\nARG KEY\nENV BAKED=PlantedBaked1\nLABEL l=PlantedImageLabel1\nRUN echo $KEY > /k; echo PlantedStep1\n',
  );
  await daemon.ok('build', '-q', '--build-arg', 'KEY=PlantedArgument1', '-t', 'baked', folder);
  await daemon.ok(
    'volume',
    'create',
    '--label',
    'v=PlantedVolume1',
    '-o',
    'type=cifs',
    '-o',
    'device=//127.0.0.1/PlantedShare1',
    '-o',
    'o=username=u,password=PlantedMount1',
    'shared',
  );
  await daemon.ok('network', 'create', '--label', 'n=PlantedNetwork1', 'labelled');
  await daemon.ok(
    ...[
      'run',
      '-d',
      '--name',
      'keeper',
      '-e',
      'DB_PASSWORD=PlantedEnvironment1',
      '-e',
      'URL=redis://u:PlantedUrl1@h',
    ],
    ...[
      '--label',
      'c=PlantedLabel1',
      '-v',
      `${folder}:/mnt`,
      '--health-cmd',
      'echo PlantedHealth1',
      '--health-interval',
      '100ms',
    ],
    ...[
      '--annotation',
      'a=PlantedAnnotation1',
      '--sysctl',
      'net.ipv4.ip_default_ttl=63',
      'baked',
      'sh',
      '-c',
      'echo PlantedOutput1; sleep 1000',
      'PlantedWord1',
    ],
  );
  // A log that repeats what it was told.
  writeFileSync(
    join(daemon.execRoot, 'mydockd.log'),
    'cannot use PlantedEnvironment1 with token=PlantedToken1\n',
    { flag: 'a' },
  );
  await daemon.fails(
    127,
    /not found/,
    ...['run', '--name', 'misled', '--entrypoint', 'no-such -c "PlantedProgram1"', 'busybox'],
  );
  // Refused by the daemon, which logs why.
  await daemon.fails(
    125,
    /invalid/,
    ...['run', '--log-driver', 'syslog', '--log-opt', 'syslog-address=tcp://u:PlantedLog1@127.0.0.1:1'],
    'busybox',
  );
  writeFileSync(join(daemon.execRoot, 'mydockd.log'), daemon.log, { flag: 'a' });
  const files = await bundle('secrets.tar.gz');
  for (const [name, text] of files)
    assert.equal(PLANTED.exec(text)?.[0], undefined, `${name}: ${text.slice(0, 20_000)}`);
  assert.ok(![...files.values()].some((text) => text.includes(auth)));
  const inspect = [...files].filter(([name]) => name.startsWith('inspect/'));
  assert.equal(inspect.length, 2);
  assert.ok(inspect.some(([, text]) => /"DB_PASSWORD=\*\*\*"/.test(text)));
  assert.match(files.get('daemon.log') ?? '', /cannot use \*\*\* with token=\*\*\*/);
  for (const name of [
    'README.txt',
    'version.json',
    'info.json',
    'diagnostics.json',
    'check.json',
    'mounts.txt',
    'cgroups.txt',
    'processes.txt',
    'nftables.txt',
  ])
    assert.ok((files.get(name) ?? '').length > 10, `${name}: ${files.get(name)}`);
  assert.match(files.get('nftables.txt') ?? '', /table inet mydock/);
  assert.match(files.get('processes.txt') ?? '', /mydockd state/);
  assert.match(files.get('README.txt') ?? '', /Everything was answered/);
  const diagnostics = JSON.parse(files.get('diagnostics.json') ?? '') as Record<
    string,
    Record<string, unknown>
  >;
  assert.equal(diagnostics['Configuration']?.['httpProxy'], 'redacted');
  assert.equal(diagnostics['Containers']?.['running'], 1);
});

test('a daemon that hangs, and one that does not run', { skip }, async () => {
  process.kill(daemon.pid, 'SIGSTOP');
  try {
    const files = await bundle('hung.tar.gz');
    assert.match(files.get('README.txt') ?? '', /no answer within/);
    assert.match(files.get('processes.txt') ?? '', /mydockd state T/);
  } finally {
    process.kill(daemon.pid, 'SIGCONT');
  }
  await daemon.stop();
  const files = await bundle('down.tar.gz');
  assert.match(files.get('README.txt') ?? '', /nobody listens on/);
  // Then the usual places are looked at, which are the sandbox's own.
  cpSync(join(daemon.dataRoot, 'mydock.db'), '/var/lib/mydock/mydock.db');
  mkdirSync('/run/mydock', { recursive: true });
  writeFileSync('/run/mydock/mydockd.log', 'cannot use PlantedEnvironment1, nor PlantedWord1\n');
  try {
    const usual = (await bundle('usual.tar.gz')).get('daemon.log') ?? '';
    assert.match(usual, /cannot use \*\*\*, nor \*\*\*/);
  } finally {
    rmSync('/run/mydock', { recursive: true });
    rmSync('/var/lib/mydock/mydock.db');
  }
  await daemon.launch();
  await daemon.fails(1, /exists already/, 'debug', 'bundle', '-o', join(daemon.folder, 'down.tar.gz'));
  await daemon.removeContainers();
  await daemon.ok('network', 'rm', 'labelled');
  await daemon.ok('volume', 'rm', 'shared');
});
