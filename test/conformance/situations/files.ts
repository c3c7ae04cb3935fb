/** Containers' files: archive, changes, export, commit. */
import assert from 'node:assert/strict';
import { exited, makeTar, NOBODY, removed, running, type Stage } from './stage.ts';

const STAT_HEADER = 'x-docker-container-path-stat';

export async function driveFiles(stage: Stage): Promise<void> {
  const id = await running(stage, 'files', {
    Cmd: ['sh', '-c', 'echo text > /root/new; rm /etc/profile; ln -s /root /tmp/link; sleep 100000'],
  });
  const ended = await exited(stage, 'ended', ['sh', '-c', 'echo late > /root/late']);
  await driveArchive(stage, id, ended);
  await driveWholes(stage, id, ended);
  await removed(stage, id, ended);
}

async function driveArchive({ recorder }: Stage, id: string, ended: string): Promise<void> {
  const stat = 'HEAD /containers/{id}/archive';
  const get = 'GET /containers/{id}/archive';
  const put = 'PUT /containers/{id}/archive';
  for (const [what, container, path, expect] of [
    ['a file', id, '/root/new', 200],
    ['a folder', id, '/root', 200],
    ['a link', id, '/tmp/link', 200],
    ['a stopped container', ended, '/root/late', 200],
    ['a missing path', id, '/nowhere', 404],
    ['a missing container', NOBODY, '/root', 404],
  ] as const) {
    const common = { what, expect, path: { id: container }, query: { path } };
    const verify = ({ headers }: { headers: NodeJS.Dict<string | string[]> }): void => {
      if (expect === 200) assert.ok(statOf(headers).name, `no name in ${STAT_HEADER}`);
    };
    await recorder.drive({ ...common, operation: stat, verify });
    await recorder.drive({ ...common, operation: get, verify });
  }
  await recorder.drive({ operation: stat, what: 'no path', expect: 400, path: { id } });
  await recorder.drive({ operation: get, what: 'no path', expect: 400, path: { id } });
  const body = makeTar([{ path: 'put', data: 'put\n' }]);
  const putting = async (what: string, expect: number, path: string, container = id): Promise<void> => {
    await recorder.drive({ operation: put, what, expect, path: { id: container }, query: { path }, body });
  };
  await putting('into a folder', 200, '/root');
  await putting('into a stopped container', 200, '/root', ended);
  await putting('into a file', 400, '/root/new');
  await putting('into a missing folder', 404, '/nowhere');
  await putting('into a missing container', 404, '/', NOBODY);
  await recorder.drive({
    operation: put,
    what: 'a body that is no archive',
    expect: 400,
    path: { id },
    query: { path: '/root' },
    body: Buffer.alloc(1024, 'x'),
  });
}

function statOf(headers: NodeJS.Dict<string | string[]>): { name?: string } {
  const text = String(headers[STAT_HEADER] ?? '');
  return JSON.parse(Buffer.from(text, 'base64').toString('utf8') || '{}') as { name?: string };
}

async function driveWholes({ recorder, daemon }: Stage, id: string, ended: string): Promise<void> {
  const changes = 'GET /containers/{id}/changes';
  await recorder.drive({
    operation: changes,
    what: 'a running container',
    expect: 200,
    path: { id },
    verify: (answer) => {
      const kinds = new Map(answer.json<{ Path: string; Kind: number }[]>().map((c) => [c.Path, c.Kind]));
      const found = ['/root', '/root/new', '/etc/profile'].map((path) => kinds.get(path));
      assert.deepEqual(found, [0, 1, 2], 'changed, added, deleted');
    },
  });
  await recorder.drive({ operation: changes, what: 'a stopped container', expect: 200, path: { id: ended } });
  await recorder.drive({
    operation: changes,
    what: 'a missing container',
    expect: 404,
    path: { id: NOBODY },
  });
  const exporting = 'GET /containers/{id}/export';
  await recorder.drive({ operation: exporting, what: 'a running container', expect: 200, path: { id } });
  await recorder.drive({
    operation: exporting,
    what: 'a stopped container',
    expect: 200,
    path: { id: ended },
  });
  await recorder.drive({
    operation: exporting,
    what: 'a missing container',
    expect: 404,
    path: { id: NOBODY },
  });
  const operation = 'POST /commit';
  const query = { container: id, repo: 'committed', tag: 'v1', comment: 'words', author: 'somebody' };
  await recorder.drive({ operation, what: 'a running container', expect: 201, query });
  await recorder.drive({
    operation,
    what: 'changes, without pausing',
    expect: 201,
    query: { container: ended, repo: 'committed', tag: 'v2', pause: '0', changes: 'ENV X=1\nCMD ["sh"]' },
  });
  await recorder.drive({
    operation,
    what: 'a configuration',
    expect: 201,
    query: { container: ended, repo: 'committed', tag: 'v3' },
    body: { Env: ['Y=2'], Labels: { a: 'b' } },
  });
  await recorder.drive({
    operation,
    what: 'a wrong change',
    expect: 400,
    query: { ...query, changes: 'FROM x' },
  });
  await recorder.drive({ operation, what: 'a wrong name', expect: 400, query: { ...query, repo: 'UPPER' } });
  await recorder.drive({ operation, what: 'a missing container', expect: 404, query: { container: NOBODY } });
  for (const tag of ['v1', 'v2', 'v3']) await daemon.api('DELETE', `/images/committed:${tag}`);
}
