import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigFile } from './config-file.ts';

const root = mkdtempSync(join(tmpdir(), 'mydock-config-file-'));
after(() => rmSync(root, { recursive: true }));

/** A folder of its own with this `config.json`. */
function folder(content?: string): { env: { DOCKER_CONFIG: string }; path: string; text(): string } {
  const directory = mkdtempSync(join(root, 'x-'));
  const path = join(directory, 'config.json');
  if (content !== undefined) writeFileSync(path, content);
  return { env: { DOCKER_CONFIG: directory }, path, text: () => readFileSync(path, 'utf8') };
}

const PAIR = { username: 'me', password: 'a:b', serveraddress: 'r.example' };

test('a new file: Docker’s form, for its owner alone', () => {
  const directory = join(root, 'new', 'deep');
  const config = ConfigFile.read({ DOCKER_CONFIG: directory });
  config.setAuth('r.example', PAIR);
  config.setAuth('a&b.example', { identitytoken: 't' });
  config.save();
  const auth = Buffer.from('me:a:b').toString('base64');
  assert.equal(
    readFileSync(join(directory, 'config.json'), 'utf8'),
    `{\n\t"auths": {\n\t\t"a\\u0026b.example": {\n\t\t\t"identitytoken": "t"\n\t\t},\n\t\t"r.example": {\n\t\t\t"auth": "${auth}"\n\t\t}\n\t}\n}`,
  );
  assert.equal(statSync(join(directory, 'config.json')).mode & 0o777, 0o600);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.deepEqual(ConfigFile.read({ DOCKER_CONFIG: directory }).auth('r.example'), PAIR);
});

test('everything else is kept, in its place and to the byte of its values', () => {
  const rest =
    '"HttpHeaders": {\n\t\t"a": "<1.0>"\n\t},\n\t"n": 1.10,\n\t"e": {},\n\t"l": [\n\t\t"}",\n\t\t"\\"{"\n\t]';
  const { env, text } = folder(`{${rest}, "auths": {"z": {"auth": "eDp5", "email": "e"}}}`);
  const config = ConfigFile.read(env);
  assert.equal(config.setAuth('b', PAIR), true);
  assert.equal(config.setAuth('b', PAIR), false, 'nothing has changed');
  config.save();
  const written = text();
  assert.ok(written.startsWith('{\n\t"auths": {\n\t\t"b": {'), written);
  assert.ok(written.includes(rest), written);
  assert.ok(written.includes('"email": "e"'), written);
});

test('a link stays a link, also a dangling one', () => {
  for (const exists of [true, false]) {
    const target = folder(exists ? '{}' : undefined);
    const linked = folder();
    symlinkSync(target.path, linked.path);
    const config = ConfigFile.read(linked.env);
    config.setAuth('r', PAIR);
    config.save();
    assert.equal(lstatSync(linked.path).isSymbolicLink(), true);
    assert.match(target.text(), /"r"/);
  }
});

test('names that older clients wrote, and entries without credentials', () => {
  const { env } = folder(
    JSON.stringify({
      auths: {
        'https://old.example/v1/': { auth: 'bWU6cHc=' },
        'empty.example': {},
        'broken.example': { auth: '!!' },
        'null.example': null,
        'plain.example': { username: 'u', password: 'p' },
      },
    }),
  );
  const config = ConfigFile.read(env);
  assert.equal(config.auth('old.example')?.password, 'pw');
  for (const name of ['empty.example', 'broken.example', 'null.example', 'absent.example'])
    assert.equal(config.auth(name), undefined, name);
  assert.equal(config.auth('plain.example')?.username, 'u');
});

test('which helper a server has', () => {
  const { env } = folder('{"credsStore":"all","credHelpers":{"a":"one","b":"","c":1}}');
  const config = ConfigFile.read(env);
  assert.deepEqual(
    ['a', 'b', 'c', 'd', 'constructor'].map((server) => config.helperOf(server)),
    ['one', 'all', 'all', 'all', 'all'],
  );
});

test('what is no configuration is refused and never written over', () => {
  for (const content of ['', '{"auths":', '[]', 'null', '"x"']) {
    const { env } = folder(content);
    assert.throws(() => ConfigFile.read(env), /Error parsing config file/, content);
    const warnings: string[] = [];
    assert.deepEqual(ConfigFile.readOrWarn(env, (text) => warnings.push(text)).servers, []);
    assert.match(warnings[0] ?? '', /^WARNING: Error parsing config file/);
  }
  const { env, path } = folder();
  mkdirSync(path);
  chmodSync(path, 0o700);
  assert.throws(() => ConfigFile.read(env), /Error loading config file/);
});
