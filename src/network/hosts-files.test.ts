import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildHosts, buildResolvConf, ownHostLines, replaceHostLines } from './hosts-files.ts';

const LOCALHOST = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

describe('buildHosts', () => {
  const request = {
    extraHosts: [],
    hostGateway: '172.17.0.1',
    own: ['172.17.0.2\tweb'],
  };

  it('has localhost, extra hosts, and the container itself', () => {
    const extraHosts = [
      'db:10.0.0.5',
      'six:[2001:db8::1]',
      'bare:2001:db8::2',
      'host.docker.internal:host-gateway',
    ];
    assert.equal(
      buildHosts({ ...request, extraHosts }),
      `${LOCALHOST}10.0.0.5\tdb
2001:db8::1\tsix
2001:db8::2\tbare
172.17.0.1\thost.docker.internal
172.17.0.2\tweb
`,
    );
  });

  it('has a line for each own address, the domain first, and the bare name last', () => {
    assert.deepEqual(ownHostLines(['172.17.0.2', ''], 'web', 'example.org'), [
      '172.17.0.2\tweb.example.org web',
    ]);
    assert.deepEqual(ownHostLines(['172.17.0.2', 'fd00::2'], 'web.example.org', ''), [
      '172.17.0.2\tweb.example.org web',
      'fd00::2\tweb.example.org web',
    ]);
    assert.deepEqual(ownHostLines(['172.17.0.2'], '', ''), []);
    assert.equal(buildHosts({ ...request, own: [] }), LOCALHOST);
  });

  it('extends a given file', () => {
    const base = '127.0.0.1 localhost\n10.1.1.1 mine\n\n';
    assert.equal(
      buildHosts({ ...request, own: [], base, extraHosts: ['a:1.2.3.4'] }),
      '127.0.0.1 localhost\n10.1.1.1 mine\n1.2.3.4\ta\n',
    );
  });

  it('refuses what is no name:address', () => {
    for (const entry of ['nonsense', ':1.2.3.4', 'a:', 'a:1.2.3', 'a b:1.2.3.4', 'a:1.2.3.4\n5.6.7.8 bank']) {
      assert.throws(
        () => buildHosts({ ...request, extraHosts: [entry] }),
        { kind: 'InvalidParameter' },
        entry,
      );
    }
  });
});

describe('replaceHostLines', () => {
  const text = '127.0.0.1\tlocalhost\n10.0.0.2\tweb\n# mine\n1.2.3.4\tfriend\n';

  it('puts new lines where old ones were, and leaves what others wrote', () => {
    assert.equal(
      replaceHostLines(text, ['10.0.0.2\tweb'], ['10.1.0.2\tweb', 'fd00::2\tweb']),
      '127.0.0.1\tlocalhost\n10.1.0.2\tweb\nfd00::2\tweb\n# mine\n1.2.3.4\tfriend\n',
    );
    assert.equal(
      replaceHostLines(text, ['10.0.0.2\tweb'], []),
      '127.0.0.1\tlocalhost\n# mine\n1.2.3.4\tfriend\n',
    );
  });

  it('adds behind the rest what has no place, once', () => {
    const added = replaceHostLines(text, [], ['10.1.0.2\tweb', '10.0.0.2\tweb']);
    assert.equal(added, `${text}10.1.0.2\tweb\n`);
    assert.equal(replaceHostLines(added, ['10.0.0.2\tweb'], ['10.1.0.2\tweb', '10.0.0.2\tweb']), added);
    assert.equal(replaceHostLines('', ['gone'], ['10.1.0.2\tweb']), '10.1.0.2\tweb\n');
  });
});

describe('buildResolvConf', () => {
  const none = { host: false, servers: [], search: [], options: [] };

  it('takes what the host has, without what a container cannot reach', () => {
    const hostFile = `# comment
; another
domain old.example
search a.example b.example
nameserver 127.0.0.53
nameserver 192.168.1.1
nameserver ::1
nameserver fe80::1%eth0
nameserver 2001:db8::53
options ndots:2 edns0
options trust-ad
`;
    assert.equal(
      buildResolvConf({ ...none, hostFile }),
      `nameserver 192.168.1.1
nameserver 2001:db8::53
search a.example b.example
options ndots:2 edns0 trust-ad
`,
    );
  });

  it('falls back to public servers', () => {
    for (const hostFile of ['', 'nameserver 127.0.0.1\n']) {
      assert.equal(buildResolvConf({ ...none, hostFile }), 'nameserver 8.8.8.8\nnameserver 8.8.4.4\n');
    }
  });

  it('is overridden part by part', () => {
    const hostFile = 'nameserver 192.168.1.1\nsearch a.example\noptions ndots:2\n';
    assert.equal(
      buildResolvConf({ ...none, hostFile, servers: ['127.0.0.1', '1.1.1.1'] }),
      'nameserver 127.0.0.1\nnameserver 1.1.1.1\nsearch a.example\noptions ndots:2\n',
    );
    assert.equal(
      buildResolvConf({ ...none, hostFile, search: ['.'], options: ['timeout:1'] }),
      'nameserver 192.168.1.1\noptions timeout:1\n',
    );
    assert.throws(() => buildResolvConf({ ...none, hostFile, servers: ['dns.example'] }), {
      kind: 'InvalidParameter',
      message: 'dns.example is not an ip address',
    });
  });

  it('names the resolver inside instead of servers, and takes names without dots to it first', () => {
    const hostFile = 'nameserver 192.168.1.1\nsearch a.example\noptions edns0\n';
    const internal = { ...none, hostFile, internal: true };
    assert.equal(
      buildResolvConf({ ...internal, servers: ['1.1.1.1'] }),
      'nameserver 127.0.0.11\nsearch a.example\noptions edns0 ndots:0\n',
    );
    assert.equal(
      buildResolvConf({ ...internal, search: ['.'], options: ['ndots:2'] }),
      'nameserver 127.0.0.11\noptions ndots:2\n',
    );
  });

  it('is the host file as it is for network host, loopback servers included', () => {
    const hostFile = '# mine\nnameserver 127.0.0.53\n\n';
    assert.equal(buildResolvConf({ ...none, host: true, hostFile }), hostFile);
    assert.equal(
      buildResolvConf({ ...none, host: true, hostFile, search: ['x.example'] }),
      'nameserver 127.0.0.53\nsearch x.example\n',
    );
  });
});
