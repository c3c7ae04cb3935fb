import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkVariables, parseLink } from './links.ts';

test('a link is a name, with or without an alias', () => {
  assert.deepEqual(parseLink('db'), { name: 'db', alias: 'db' });
  assert.deepEqual(parseLink('db:store'), { name: 'db', alias: 'store' });
  // As inspect shows it.
  assert.deepEqual(parseLink('/db:/web/store'), { name: 'db', alias: 'store' });
  for (const wrong of ['', ':', 'a:', ':b', 'a:b:c']) {
    assert.throws(() => parseLink(wrong), {
      kind: 'InvalidParameter',
      message: `bad format for links: ${wrong}`,
    });
  }
});

test('variables of a link: every port, TCP first, the ends of rows, the name, the environment', () => {
  assert.deepEqual(
    linkVariables({
      alias: 'the-db',
      parent: 'web',
      address: '172.17.0.2',
      ports: ['53/udp', '5433/tcp', '5432/tcp'],
      environment: ['PATH=/bin', 'HOME=/root', 'USER=me=you', 'BARE'],
    }),
    [
      'THE_DB_PORT=tcp://172.17.0.2:5432',
      'THE_DB_PORT_5432_TCP=tcp://172.17.0.2:5432',
      'THE_DB_PORT_5432_TCP_ADDR=172.17.0.2',
      'THE_DB_PORT_5432_TCP_PORT=5432',
      'THE_DB_PORT_5432_TCP_PROTO=tcp',
      'THE_DB_PORT_5433_TCP=tcp://172.17.0.2:5433',
      'THE_DB_PORT_5433_TCP_ADDR=172.17.0.2',
      'THE_DB_PORT_5433_TCP_PORT=5433',
      'THE_DB_PORT_5433_TCP_PROTO=tcp',
      'THE_DB_PORT_53_UDP=udp://172.17.0.2:53',
      'THE_DB_PORT_53_UDP_ADDR=172.17.0.2',
      'THE_DB_PORT_53_UDP_PORT=53',
      'THE_DB_PORT_53_UDP_PROTO=udp',
      'THE_DB_PORT_5432_TCP_START=tcp://172.17.0.2:5432',
      'THE_DB_PORT_5432_TCP_PORT_START=5432',
      'THE_DB_PORT_5432_TCP_END=tcp://172.17.0.2:5433',
      'THE_DB_PORT_5432_TCP_PORT_END=5433',
      'THE_DB_NAME=/web/the-db',
      'THE_DB_ENV_USER=me=you',
    ],
  );
  assert.deepEqual(
    linkVariables({ alias: 'db', parent: 'web', address: '1.2.3.4', ports: [], environment: [] }),
    ['DB_NAME=/web/db'],
  );
});
