import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseReference } from '../reference.ts';
import { parseErrorResponse, TransportError, translatePullError } from './errors.ts';

const REFERENCE = parseReference('foo:bar');
const body = (code: string, message?: string): string => JSON.stringify({ errors: [{ code, message }] });

test('answers become the errors that Docker users know', () => {
  const cases: [number, string, string, string][] = [
    [
      404,
      body('MANIFEST_UNKNOWN', 'manifest unknown'),
      'NotFound',
      'manifest for foo:bar not found: manifest unknown: manifest unknown',
    ],
    [
      401,
      body('DENIED', 'requested access to the resource is denied'),
      'NotFound',
      "pull access denied for foo, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    ],
    [
      403,
      '',
      'NotFound',
      "pull access denied for foo, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    ],
    [404, body('NAME_UNKNOWN', 'no'), 'NotFound', 'repository foo not found: name unknown: no'],
    [401, body('UNAUTHORIZED'), 'Unauthorized', 'unauthorized: authentication required'],
    [
      429,
      body('TOOMANYREQUESTS', 'You have reached your pull rate limit.'),
      'Unavailable',
      'toomanyrequests: You have reached your pull rate limit.',
    ],
    [500, '<html>', 'Unavailable', 'received unexpected HTTP status: 500 X'],
    [
      404,
      '<html>gone</html>',
      'NotFound',
      'manifest for foo:bar not found: received unexpected HTTP status: 404 X: <html>gone</html>',
    ],
    [418, '{"errors":[]}', 'Internal', 'received unexpected HTTP status: 418 X: {"errors":[]}'],
  ];
  for (const [status, text, kind, message] of cases) {
    const error = translatePullError(parseErrorResponse(status, 'X', text), REFERENCE);
    assert.ok(error instanceof Error && 'kind' in error);
    assert.deepEqual([error.kind, error.message], [kind, message]);
  }
  const lost = translatePullError(new TransportError('Get "https://x/": gone', 'ECONNRESET'), REFERENCE);
  assert.ok(lost instanceof Error && 'kind' in lost && lost.kind === 'Unavailable');
});

test('a registry’s words are cut and cannot steer a terminal', () => {
  const error = parseErrorResponse(400, '', body('X', `\u001b[2Jhi\n${'y'.repeat(5000)}`));
  assert.ok(error.message.length < 400);
  assert.equal(/\p{Cc}/u.test(error.message), false);
});
