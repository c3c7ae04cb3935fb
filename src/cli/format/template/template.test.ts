import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileTemplate } from './template.ts';
import { goValue } from './values.ts';

const DATA = goValue({
  Name: '/web',
  State: { Status: 'running', Pid: 42, Paused: false },
  Config: { Cmd: ['sleep', '9'], Env: null, Labels: { b: '2', a: '1' }, Image: 'i' },
  HostConfig: {
    Binds: null,
    PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] },
    Init: null,
    Memory: 0,
  },
  Big: 9223372036854775807n,
});

const run = (source: string): string => compileTemplate(source).execute(DATA);

const RESULTS: [string, string][] = [
  ['{{.Name}} {{.State.Pid}} {{.Big}}', '/web 42 9223372036854775807'],
  ['{{.Config.Labels}} {{.Config.Cmd}} {{.State}}', 'map[a:1 b:2] [sleep 9] {running 42 false <nil>}'],
  ['{{.HostConfig.Binds}} {{.HostConfig.Init}} {{.HostConfig.Sysctls}}', '[] <nil> map[]'],
  ['{{.Config.Labels.zz}}|{{index .Config.Labels "zz"}}|', '<no value>||'],
  ['{{(index (index .HostConfig.PortBindings "80/tcp") 0).HostPort}}', '8080'],
  ['{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}', 'a=1;b=2;'],
  ['{{range $i, $c := .Config.Cmd}}{{if $i}},{{end}}{{$c}}{{end}}', 'sleep,9'],
  ['{{range .Config.Env}}x{{else}}none{{end}}', 'none'],
  ['{{range .Config.Cmd}}{{if eq . "9"}}{{continue}}{{end}}{{.}}{{end}}', 'sleep'],
  ['{{if .State.Paused}}a{{else if .State.Pid}}b{{else}}c{{end}}', 'b'],
  ['{{with .Config}}{{.Image}}{{$.Name}}{{end}}', 'i/web'],
  ['{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}', '2'],
  ['a {{- /* c */ -}} b {{- .Name -}} c', 'ab/webc'],
  ['{{.Name | upper | printf "%s-%s" "x"}}', 'x-/WEB'],
  [
    '{{printf "%5d|%-5s|%05d|%x|%t|%.2f|%q|%v" 3 "a" 7 255 true 1.5 "q\\"" .Config.Cmd}}',
    '    3|a    |00007|ff|true|1.50|"q\\""|[sleep 9]',
  ],
  ['{{printf "%d" "s"}} {{printf "%s"}} {{printf "x" 1}}', '%!d(string=s) %!s(MISSING) x%!(EXTRA int=1)'],
  [
    '{{and 1 0}} {{or 0 "x"}} {{not 1}} {{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{ge "b" "a"}}',
    '0 x false true true true true',
  ],
  ['{{and false (index .Config.Cmd 99)}}', 'false'],
  ['{{len .Config.Cmd}} {{len .Name}} {{slice .Name 1 3}}', '2 4 we'],
  [
    '{{join .Config.Cmd ","}} {{split "a:b" ":"}} {{title "ab cd"}} {{truncate .Name 2}} {{pad "x" 1 2}}|',
    'sleep,9 [a b] Ab Cd /w  x  |',
  ],
  [
    '{{json .Config.Labels}} {{json .HostConfig.Binds}} {{json .State}}',
    '{"a":"1","b":"2"} null {"Status":"running","Pid":42,"Paused":false}',
  ],
  ['{{println .Name 1}}{{print 1 2 "a" 3}}', '/web 1\n1 2a3'],
  [
    '{{html "<a>"}} {{urlquery "a b"}} {{`raw\\n`}} {{\'a\'}} {{1.50}} {{0x10}}',
    '&lt;a&gt; a+b raw\\n 97 1.5 16',
  ],
];

test('templates give what Go gives', () => {
  for (const [source, expected] of RESULTS) assert.equal(run(source), expected, source);
});

const SYNTAX: [string, string][] = [
  ['{{foo}}', 'template: :1: function "foo" not defined'],
  ['{{.Name', 'template: :1: unclosed action'],
  ['a\n{{range .Mounts}}', 'template: :2: unexpected EOF'],
  ['{{break}}', 'template: :1: {{break}} outside {{range}}'],
  ['{{$y}}', 'template: :1: undefined variable "$y"'],
  ['{{end}}', 'template: :1: unexpected {{end}}'],
  ['{{}}', 'template: :1: missing value for command'],
  ['{{"a}}', 'template: :1: unterminated quoted string'],
  ['{{(1}}', 'template: :1: unclosed left paren'],
  ['{{template "x"}}', 'template: :1: {{template}} is not supported'],
];

test('what cannot be read is said with its line', () => {
  for (const [source, message] of SYNTAX) assert.throws(() => run(source), { message }, source);
});

const FAILURES: [string, string][] = [
  ['{{.Foo}}', 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'],
  ['{{.State.Foo}}', 'template: :1:8: executing "" at <.State.Foo>: map has no entry for key "Foo"'],
  [
    '{{.Name.Foo}}',
    `template: :1:7: executing "" at <.Name.Foo>: can't evaluate field Foo in type interface {}`,
  ],
  [
    '{{index .Config.Cmd 5}}',
    'template: :1:2: executing "" at <index .Config.Cmd 5>: error calling index: index out of range: 5',
  ],
  ['{{len 3}}', 'template: :1:2: executing "" at <len 3>: error calling len: len of type int'],
  [
    '{{eq 1 "a"}}',
    'template: :1:2: executing "" at <eq 1 "a">: error calling eq: incompatible types for comparison',
  ],
  ['{{nil}}', 'template: :1:2: executing "" at <nil>: nil is not a command'],
];

test('what cannot be carried out is said with its place', () => {
  for (const [source, message] of FAILURES) assert.throws(() => run(source), { message }, source);
});
