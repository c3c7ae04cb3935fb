/**
 * Dockerfiles in the style of well-known images, built by every client that there is, with the same image each time, and
 * run. Those on busybox and on services from Debian's packages are quick; those that install packages, from a folder
 * that apt reads (fixtures/apt-archive.ts), are for `make test-corpus`.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, lstatSync, lutimesSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ImageDifference } from '../../../src/api/image-difference.ts';
import { aptArchive } from '../../fixtures/apt-archive.ts';
import { debianImage, hasDebianImage, hasServicesImage, servicesImage } from '../../fixtures/catalog.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import { type BuildOrder, otherWaysIn } from './ways-in.ts';

const CORPUS = join(import.meta.dirname, 'corpus');
const BUILD_LIMIT_MS = 600_000;

const isWhole = process.env['MYDOCK_TEST_CORPUS'] === '1';

/** Of the newest file that counts; clients send whole seconds. */
const NEWEST_MS = 1_750_000_000_000;
/** Nothing of the packages is in them: they are the same whenever they are built. */
const FROM_SCRATCH: ReadonlySet<string> = new Set(['c', 'go']);
/** Logs, the loader's list of what it looked at, and the key that ssl-cert makes. */
const WRITTEN_BY_PACKAGES = /^\/var\/(?:log|cache)(?:\/|$)|^\/etc\/ssl\/(?:certs|private)(?:\/|$)/;

interface Run {
  options?: readonly string[];
  stdin?: string;
  command: readonly string[];
  says: string | RegExp;
}

interface Entry {
  name: string;
  args?: Readonly<Record<string, string>>;
  /** What a container is given to do, and what it says. */
  runs: readonly Run[];
}

const SITE: Entry = {
  name: 'static-site',
  args: { TITLE: 'A good site' },
  runs: [
    {
      command: [
        'sh',
        '-c',
        'pwd; id -un; cat index.html other.html extra/* ../data/file; ls extra; stat -c "%a %u %g %s" index.html',
      ],
      says: /^\/srv\/www\nalice\n<h1>A good site<\/h1>\n<h1>good site<\/h1>\nkept\nunpacked\nkept\.txt\n644 1000 1000 21\n$/,
    },
    {
      command: ['sh', '-c', 'httpd -p 8080; wget -qO- http://127.0.0.1:8080/other.html; echo $abc $def'],
      says: '<h1>good site</h1>\nbye hello\n',
    },
  ],
};

const SERVICES: readonly Entry[] = [
  {
    name: 'nginx',
    runs: [
      {
        command: [
          'sh',
          '-c',
          'nginx -c /etc/nginx/nginx.conf; cd /usr/share/nginx/html; for page in index.html deep/page.html version.txt; do curl -sS http://127.0.0.1:8080/$page; done; find . -type f | sort; nginx -c /etc/nginx/nginx.conf -s quit',
        ],
        says: '<p>front</p>\n<p>deep</p>\n8080 "quoted" $kept\n./deep/page.html\n./index.html\n./version.txt\n',
      },
    ],
  },
  {
    name: 'redis',
    runs: [
      {
        command: [
          'sh',
          '-c',
          'id -u; pwd; docker-entrypoint.sh --daemonize yes --save "" > /dev/null; until redis-cli ping > /dev/null 2>&1; do sleep 0.1; done; redis-cli set key value; redis-cli get key; redis-cli shutdown',
        ],
        says: '999\n/data\nOK\nvalue\n',
      },
    ],
  },
];

const PACKAGED: readonly Entry[] = [
  {
    name: 'c',
    runs: [{ options: ['-i'], stdin: 'one two one\n', command: [], says: 'one 2\ntwo 1\n' }],
  },
  {
    name: 'python',
    runs: [
      { command: [], says: 'python as 999 in /srv/app\n' },
      { command: ['--name', 'x'], says: 'python as 999 in /srv/app --name x\n' },
      { command: ['cat', 'WANTED'], says: '# none\n' },
    ],
  },
  { name: 'node', runs: [{ command: [], says: 'hello production 1.2.3' }] },
  {
    name: 'go',
    args: { VERSION: '1.2.3-rc1' },
    runs: [
      { command: [], says: /^hello nobody: 1\.2\.3 on linux\/\w+\n$/ },
      { options: ['-e', 'GREETED=world'], command: [], says: /^hello world: / },
    ],
  },
  {
    name: 'postgres',
    runs: [
      { command: [], says: '42\n' },
      { command: ['select word from words'], says: 'from the context\n' },
    ],
  },
];

describe('the corpus of Dockerfiles', () => {
  let daemon: Daemon;
  let registry: Registry;
  let close: () => Promise<void>;

  before(async () => {
    ({ daemon, registry, close } = await daemonWithRegistry());
  });
  after(async () => await close());

  const bring = async (name: string, image: Parameters<Registry['push']>[2]): Promise<void> => {
    const reference = await registry.push(name.replace(':', '-'), 'latest', image);
    await daemon.ok('pull', '-q', reference);
    await daemon.ok('tag', reference, name);
  };

  const mydock = async (order: BuildOrder, ...more: string[]): Promise<string> => {
    const { folder, image, args, contexts, timeoutMs } = order;
    const words = [
      ...['build', '-q', '--network', 'none', '-t', image],
      ...Object.entries(contexts).flatMap(([name, path]) => ['--build-context', `${name}=${path}`]),
      ...Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
    ];
    const result = await daemon.mydock([...words, ...more, folder], { timeoutMs });
    assert.equal(result.code, 0, result.stderr + result.stdout);
    return result.stdout.trim();
  };

  const runs = async ({ name, runs }: Entry, image: string): Promise<void> => {
    for (const { options = [], stdin, command, says } of runs) {
      const words = ['run', '--rm', '--network', 'none', ...options, image, ...command];
      const { code, stdout, stderr } = await daemon.mydock(words, stdin === undefined ? {} : { stdin });
      assert.equal(code, 0, `${name}: ${stderr}`);
      if (typeof says === 'string') assert.equal(stdout, says, `${name}: ${stdout}`);
      else assert.match(stdout, says, `${name}: ${stdout}`);
    }
  };

  /** Compose's labels make an image another one: our client is told to set the same. */
  const sameByAll = async (order: BuildOrder, id: string): Promise<void> => {
    const { image } = order;
    for (const way of await otherWaysIn()) {
      if (way.lacks(order) !== undefined) continue;
      await daemon.ok('rmi', '--no-prune', image);
      await way.build(daemon, order);
      const built = await daemon.inspect(image, '{{.Id}}');
      const { ownLabels } = way;
      if (ownLabels === undefined) {
        assert.equal(built, id, `${image} by ${way.name}: ${await daemon.inspect(image, '{{json .}}')}`);
        continue;
      }
      const json = await daemon.inspect(image, '{{json .Config.Labels}}');
      const labels = Object.entries((JSON.parse(json) ?? {}) as Record<string, string>).filter(([name]) =>
        ownLabels.test(name),
      );
      assert.ok(labels.length > 0, `${way.name} has no labels of its own: ${json}`);
      const given = labels.flatMap(([name, value]) => ['--label', `${name}=${value}`]);
      const shown = await daemon.inspect(image, '{{json .}}');
      assert.equal(await mydock(order, ...given), built, `${image} by ${way.name}: ${shown}`);
    }
  };

  const builds = async (entry: Entry): Promise<void> => {
    const { name, args = {} } = entry;
    const packages = aptArchive();
    const contexts = packages === undefined || !PACKAGED.includes(entry) ? {} : { packages };
    const folder = datedCopy(name, join(daemon.folder, name));
    const order = { folder, image: `corpus-${name}`, args, contexts, timeoutMs: BUILD_LIMIT_MS };
    const id = await mydock(order);
    await daemon.ok('tag', id, `${order.image}-first`);
    assert.equal(Date.parse(await daemon.inspect(order.image, '{{.Created}}')), NEWEST_MS, 'created');
    await runs(entry, order.image);
    await sameByAll(order, id);
    // All of it anew comes to the same image, but for what packages write when they are installed.
    const anew = await mydock(order, '--no-cache');
    if (!PACKAGED.includes(entry)) assert.equal(anew, id, `${name} without the cache`);
    else await differsByInstalling(entry, id, anew);
  };

  const differsByInstalling = async ({ name }: Entry, one: string, other: string): Promise<void> => {
    if (one === other) return;
    assert.ok(!FROM_SCRATCH.has(name), `${name} without the cache is ${other}, was ${one}`);
    const { code, stdout, stderr } = await daemon.mydock(['image', 'diff', '--format', 'json', one, other]);
    assert.ok(code <= 1, `${name}: ${stderr}`);
    const { Packages, Files, Config } = JSON.parse(stdout) as ImageDifference;
    assert.deepEqual([Packages?.Changes, Config], [[], []], `${name} without the cache: ${stdout}`);
    const paths = (Files?.Changes ?? []).map(({ Path }) => Path);
    const unexpected = paths.filter((path) => !WRITTEN_BY_PACKAGES.test(path));
    assert.deepEqual(unexpected, [], `${name} without the cache: ${stdout}`);
  };

  test('static-site', async () => await builds(SITE));

  test('a commit: its time counts for our client; SOURCE_DATE_EPOCH makes all agree', async () => {
    const folder = datedCopy(SITE.name, join(daemon.folder, 'committed'));
    const seconds = 1_765_000_000;
    const date = `@${seconds} +0000`;
    const env = { ...process.env, HOME: daemon.home, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
    const git = (...words: string[]): void => {
      const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.test'];
      execFileSync('git', [...who, ...words], { cwd: folder, env, stdio: 'ignore' });
    };
    git('init');
    git('add', '--all');
    git('commit', '--message', 'all of it');
    const image = 'committed';
    const order = { folder, image, args: SITE.args ?? {}, contexts: {}, timeoutMs: BUILD_LIMIT_MS };
    await mydock(order);
    assert.equal(Date.parse(await daemon.inspect(image, '{{.Created}}')), seconds * 1000);
    const dated = { ...order, args: { ...order.args, SOURCE_DATE_EPOCH: String(seconds) } };
    const id = await mydock(dated);
    await sameByAll(dated, id);
    assert.equal(Date.parse(await daemon.inspect(image, '{{.Created}}')), seconds * 1000);
  });

  describe('on services', { skip: hasServicesImage() ? false : 'no image of services' }, () => {
    before(async () => await bring('services', await servicesImage()));
    for (const entry of SERVICES) test(entry.name, async () => await builds(entry));
  });

  const missing = !isWhole
    ? 'only make test-corpus builds it'
    : aptArchive() === undefined || !hasDebianImage()
      ? 'no packages to install'
      : false;
  describe('with packages of Debian', { skip: missing, timeout: 1_800_000 }, () => {
    before(async () => await bring('debian:bookworm', await debianImage()));
    for (const entry of PACKAGED) test(entry.name, async () => await builds(entry));
  });
});

/** The entry's folder outside of any repository, with known times; what is ignored is newer than what counts. */
function datedCopy(name: string, folder: string): string {
  cpSync(join(CORPUS, name), folder, { recursive: true });
  writeFileSync(join(folder, '.dockerignore'), '**/*.ignored\n.git\n');
  writeFileSync(join(folder, 'later.ignored'), 'not looked at');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => join(folder, path))
    .filter((path) => !lstatSync(path).isDirectory())
    .sort();
  const counting = files.filter((path) => !path.endsWith('.ignored'));
  const newest = counting.findLast((path) => !path.endsWith('Dockerfile'));
  for (const path of files) {
    const early = NEWEST_MS / 1000 - 1000;
    const seconds =
      path === newest ? NEWEST_MS / 1000 + 0.75 : counting.includes(path) ? early : early + 9999;
    lutimesSync(path, seconds, seconds);
  }
  return folder;
}
