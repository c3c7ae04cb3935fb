import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boolFlag, flagAlias, listFlag, parsedFlag, parseInteger, stringFlag } from './declare.ts';
import { Flag, FlagTable } from './flag-table.ts';
import { parseCommandLine } from './parse.ts';
import { helpText } from './usage.ts';

function table(): FlagTable {
  const command = new FlagTable();
  boolFlag(command, '-i, --interactive', '');
  boolFlag(command, '-t, --tty', '');
  boolFlag(command, '--sig-proxy', '', true);
  boolFlag(command, '--no-trunc', '');
  listFlag(command, '-p, --publish <list>', '');
  listFlag(command, '-v, --volume <list>', '');
  stringFlag(command, '--name <string>', '');
  stringFlag(command, '--pull <string>', '', 'missing');
  parsedFlag(command, '-c, --cpu-shares <int>', '', parseInteger);
  return command;
}

const parse = (words: string[], stop = true) => parseCommandLine(table(), words, stop);

test('short flags combine, values may touch them or follow', () => {
  const { options, args } = parse([
    '-itp8080:80',
    '-p',
    '1:2',
    '-v=./a:/b',
    '-c',
    '0x10',
    'image',
    '-it',
    '--name',
    'x',
  ]);
  assert.equal(options['interactive'], true);
  assert.equal(options['tty'], true);
  assert.deepEqual(options['publish'], ['8080:80', '1:2']);
  assert.deepEqual(options['volume'], ['./a:/b']);
  assert.equal(options['cpuShares'], 16);
  assert.deepEqual(args, ['image', '-it', '--name', 'x']);
});

test('defaults hold, the last value and the last switch count', () => {
  const { options } = parse(['--name', 'a', '--name=', '--tty', '--tty=false', '-i=0', '--sig-proxy=F']);
  assert.equal(options['name'], '');
  assert.equal(options['pull'], 'missing');
  assert.equal(options['tty'], false);
  assert.equal(options['interactive'], false);
  assert.equal(options['sigProxy'], false);
  assert.equal(options['trunc'], true);
});

test('negated flags can be given and taken back', () => {
  assert.equal(parse(['--no-trunc']).options['trunc'], false);
  assert.equal(parse(['--no-trunc=false']).options['trunc'], true);
});

test('flags may follow words unless the verb stops there; -- ends them', () => {
  assert.deepEqual(parse(['a', '-t', 'b'], false).args, ['a', 'b']);
  assert.deepEqual(parse(['a', '--', '-t'], false).args, ['a', '-t']);
  assert.deepEqual(parse(['--', '-t', '--', 'x']).args, ['-t', '--', 'x']);
  assert.deepEqual(parse(['-'], false).args, ['-']);
});

test('a value may begin with a dash or be empty', () => {
  assert.equal(parse(['--name', '-x']).options['name'], '-x');
  assert.deepEqual(parse(['-p', '', 'i']).options['publish'], ['']);
});

test('errors have the wording that scripts know', () => {
  const message = (words: string[], expected: string): void => {
    assert.throws(() => parse(words), { message: expected, exitCode: 125 });
  };
  message(['--foo=1'], 'unknown flag: --foo');
  message(['-itx'], "unknown shorthand flag: 'x' in -x");
  message(['--name'], 'flag needs an argument: --name');
  message(['-ip'], "flag needs an argument: 'p' in -p");
  message(
    ['-c', 'x'],
    'invalid argument "x" for "-c, --cpu-shares" flag: strconv.ParseInt: parsing "x": invalid syntax',
  );
  message(
    ['--tty=maybe'],
    'invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
  );
});

test('older names of flags are read, and not shown', () => {
  const aliased = new FlagTable();
  stringFlag(aliased, '--network <name>', 'its network');
  aliased.add(new Flag('--old <name>', 'without effect', { hidden: true }));
  flagAlias(aliased, '--net', '--network');
  assert.equal(parseCommandLine(aliased, ['--net', 'x']).options['network'], 'x');
  assert.equal(parseCommandLine(aliased, ['--net=y']).options['network'], 'y');
  assert.ok(parseCommandLine(aliased, ['--net=y']).given.has('network'));
  assert.equal(parseCommandLine(aliased, ['--old', 'z']).options['old'], 'z');
  const verb = { usage: '', summary: '', args: { min: 0 }, flags() {}, run: () => Promise.resolve(0) };
  const help = helpText('x', verb, aliased);
  assert.match(help, /--network name/);
  assert.doesNotMatch(help, /--net |--old/);
});

test('help stops the reading, wherever it stands', () => {
  assert.equal(parse(['-t', '--help', '--unknown']).help, true);
  assert.equal(parse(['image', '--help']).help, false);
  assert.equal(parse(['-th']).help, true);
  const named = table();
  stringFlag(named, '-h, --hostname <string>', '');
  assert.equal(parseCommandLine(named, ['-h', 'a']).options['hostname'], 'a');
});

test('integers are read as Go reads them', () => {
  assert.deepEqual(
    ['0', '10', '010', '+7', '-0x10', '0b11', '0o17', '1_000', '0_17', '-0x_ff_f', '0b1_1'].map(parseInteger),
    [0, 10, 8, 7, -16, 3, 15, 1000, 15, -4095, 3],
  );
  for (const text of ['08', '1.5', '', '0x', '--1', '1e3', '_1', '1_', '1__0', '0_8', '0_', '0_x1', '-_1'])
    assert.throws(() => parseInteger(text), /invalid syntax/);
});
