/**
 * Dockerfiles in the style of well-known images, built and run. Those on busybox and on services from Debian's packages
 * are quick; those that install packages, from a folder that apt reads (fixtures/apt-archive.ts), are for
 * `make test-corpus`.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { aptArchive } from '../../fixtures/apt-archive.ts';
import { debianImage, hasDebianImage, hasServicesImage, servicesImage } from '../../fixtures/catalog.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const CORPUS = join(import.meta.dirname, 'corpus');
const BUILD_LIMIT_MS = 600_000;

const isWhole = process.env['MYDOCK_TEST_CORPUS'] === '1';

interface Run {
  options?: readonly string[];
  stdin?: string;
  command: readonly string[];
  says: string | RegExp;
}

interface Entry {
  name: string;
  build?: readonly string[];
  /** What a container is given to do, and what it says. */
  runs: readonly Run[];
}

const SITE: Entry = {
  name: 'static-site',
  build: ['--build-arg', 'TITLE=A good site'],
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
    build: ['--build-arg', 'VERSION=1.2.3-rc1'],
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
    ({ daemon, registry, close } = await daemonWithBusybox());
  });
  after(async () => await close());

  const bring = async (name: string, image: Parameters<Registry['push']>[2]): Promise<void> => {
    const reference = await registry.push(name.replace(':', '-'), 'latest', image);
    await daemon.ok('pull', '-q', reference);
    await daemon.ok('tag', reference, name);
  };

  const builds = async (entry: Entry): Promise<void> => {
    const { name, build = [], runs } = entry;
    const image = `corpus-${name}`;
    const packages = aptArchive();
    const contexts = packages === undefined ? [] : ['--build-context', `packages=${packages}`];
    const words = [
      'build',
      '-q',
      '--network',
      'none',
      '-t',
      image,
      ...contexts,
      ...build,
      join(CORPUS, name),
    ];
    const result = await daemon.mydock(words, { timeoutMs: BUILD_LIMIT_MS });
    assert.equal(result.code, 0, result.stderr + result.stdout);
    for (const { options = [], stdin, command, says } of runs) {
      const words = ['run', '--rm', '--network', 'none', ...options, image, ...command];
      const { code, stdout, stderr } = await daemon.mydock(words, stdin === undefined ? {} : { stdin });
      assert.equal(code, 0, `${name}: ${stderr}`);
      if (typeof says === 'string') assert.equal(stdout, says, `${name}: ${stdout}`);
      else assert.match(stdout, says, `${name}: ${stdout}`);
    }
    // All of it anew comes to the same image, but for what packages write when they are installed.
    if (PACKAGED.includes(entry)) return;
    const id = await daemon.inspect(image, '{{.Id}}');
    await daemon.ok(...words, '--no-cache');
    assert.equal(await daemon.inspect(image, '{{.Id}}'), id, `${name} without the cache`);
  };

  test('static-site', async () => await builds(SITE));

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
