/**
 * `make demo`: the main job, as a user would type it. A daemon of its own under a temporary folder, an image built
 * from nothing but Debian's busybox, a container with a published port, its page, its logs; then everything is
 * removed again. Every command is shown with its output; the first that fails ends the demo with status 1.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '../../src/base/database.ts';
import { log } from '../../src/base/log.ts';
import { DATABASE_FILE, MIGRATIONS } from '../../src/daemon/migrations.ts';
import { NetworkManager } from '../../src/network/network-manager.ts';
import { busyboxProgram } from '../fixtures/packages.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const MYDOCK = join(ROOT, 'bin/mydock');
const HUB_TIMEOUT_MS = 3000;

const PAGE = '<h1>Hello from mydock</h1>';
const DOCKERFILE = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir /www && echo '${PAGE}' > /www/index.html
EXPOSE 80
CMD ["httpd", "-f", "-v", "-p", "80", "-h", "/www"]
`;

const folder = mkdtempSync(join(tmpdir(), 'mydock-demo-'));
/** Sockets have short paths. */
const execRoot = mkdtempSync('/run/mydock-demo-');
const env = { ...process.env, MYDOCK_HOST: `unix://${execRoot}/mydock.sock` };

function run(words: readonly string[]): { status: number | null; stdout: string } {
  const [file = '', ...args] = words[0] === 'mydock' ? [MYDOCK, ...words.slice(1)] : words;
  const options = { cwd: join(folder, 'context'), env, encoding: 'utf8', timeout: 120_000 } as const;
  const { status, stdout } = spawnSync(file, args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] });
  return { status, stdout };
}

/** Shows a command as it would be typed, and what it says. Throws where it fails. */
function type(...words: string[]): string {
  const shown = words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`)).join(' ');
  console.log(`\n$ ${shown}`);
  const { status, stdout } = run(words);
  process.stdout.write(stdout);
  if (status !== 0) throw new Error(`"${shown}" ended with ${status}`);
  return stdout;
}

async function startDaemon(): Promise<ChildProcess> {
  const args = ['--data-root', `${folder}/data`, '--exec-root', execRoot, '--host', env.MYDOCK_HOST];
  console.log(`$ mydockd ${args.join(' ')} &`);
  const log = openSync(join(folder, 'mydockd.log'), 'a');
  const daemon = spawn(join(ROOT, 'bin/mydockd'), [...args, '--group', 'root'], {
    stdio: ['ignore', log, log],
  });
  for (let attempt = 0; attempt < 200 && daemon.exitCode === null; attempt++) {
    if (existsSync(join(execRoot, 'mydock.sock')) && run(['mydock', 'version']).status === 0) return daemon;
    await sleep(50);
  }
  daemon.kill('SIGKILL');
  throw new Error('the daemon did not start');
}

async function endDaemon(daemon: ChildProcess): Promise<void> {
  const ids = run(['mydock', 'ps', '-aq'])
    .stdout.split('\n')
    .filter((id) => id !== '');
  if (ids.length > 0) run(['mydock', 'rm', '-f', ...ids]);
  const exit = new Promise((done) => daemon.once('exit', done));
  if (daemon.exitCode === null && daemon.kill('SIGTERM')) await exit;
}

const bridges = (): string[] => readdirSync('/sys/class/net').filter((name) => name.startsWith('mydock-'));

/** A daemon leaves bridge and rules for the next one, and for containers that outlive it; this one has no next. */
async function removeNetwork(bridge: string): Promise<void> {
  log.level = 'error';
  const database = openDatabase(join(folder, 'data', DATABASE_FILE), MIGRATIONS);
  const instance = bridge.slice('mydock-'.length);
  const networks = await NetworkManager.open({
    database,
    execRoot,
    instance,
    netnsPoolSize: 0,
  });
  await networks.destroy();
  database.close();
}

/** Whether Docker Hub answers at all; any status does. */
async function hubAnswers(): Promise<boolean> {
  const answer = await fetch('https://registry-1.docker.io/v2/', {
    signal: AbortSignal.timeout(HUB_TIMEOUT_MS),
  }).catch(() => undefined);
  return answer !== undefined && (answer.status === 401 || answer.ok);
}

/** Fetches a page with what a user would take; a machine without curl has the Node that mydock runs on. */
function fetchPage(url: string): string {
  if (existsSync('/usr/bin/curl')) return type('curl', '--silent', '--max-time', '10', url);
  return type(
    process.execPath,
    '-e',
    `fetch('${url}').then(async (page) => process.stdout.write(await page.text()))`,
  );
}

async function demo(): Promise<void> {
  type('cat', 'Dockerfile');
  type('mydock', 'build', '-t', 'hello', '.');
  type('mydock', 'images');
  type('mydock', 'run', '-d', '--name', 'web', '-p', '127.0.0.1::80', 'hello');
  const port = type(
    'mydock',
    'inspect',
    '-f',
    '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}',
    'web',
  );
  const page = fetchPage(`http://127.0.0.1:${port.trim()}/`);
  if (page.trim() !== PAGE) throw new Error(`that is not the page: ${page}`);
  type('mydock', 'ps');
  type('mydock', 'logs', 'web');
  type('mydock', 'exec', 'web', 'ps');
  type('mydock', 'run', '--rm', 'hello', 'uname', '-sr');
  type('mydock', 'stop', '-t', '1', 'web');
  type('mydock', 'rm', 'web');
  if (await hubAnswers()) type('mydock', 'run', '--rm', 'ubuntu', 'cat', '/etc/os-release');
  else
    console.log(
      '\nSkipped: mydock run --rm ubuntu cat /etc/os-release (Docker Hub cannot be reached from here)',
    );
  type('mydock', 'rmi', 'hello');
}

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('the demo runs containers, which needs root: sudo make demo');
  mkdirSync(join(folder, 'context'));
  writeFileSync(join(folder, 'context/Dockerfile'), DOCKERFILE);
  copyFileSync(await busyboxProgram(), join(folder, 'context/busybox'));
  const before = bridges();
  const daemon = await startDaemon();
  const [bridge] = bridges().filter((name) => !before.includes(name));
  try {
    await demo();
  } catch (error) {
    console.error(`--- the daemon's log:\n${readFileSync(join(folder, 'mydockd.log'), 'utf8').slice(-4000)}`);
    throw error;
  } finally {
    await endDaemon(daemon);
    if (bridge !== undefined) await removeNetwork(bridge);
  }
  console.log('\nIt works, and everything that the demo made is removed again.');
}

try {
  await main();
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  // What keeps containers' and images' mounts private are the last mounts of a stopped daemon.
  for (const name of ['containers', 'images'])
    spawnSync('umount', ['-q', join(execRoot, name)], { stdio: 'ignore' });
  for (const path of [folder, execRoot]) rmSync(path, { recursive: true, force: true });
}
