import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { encodeFrame } from '../api/stream.ts';
import { fakeDaemon, type Respond, sendJson } from '../client/fake-daemon.ts';
import { runProgram } from './program.ts';
import { mydock } from './run-in-test.ts';
import { testIo } from './test-io.ts';

const USAGE = 'Usage:  mydock run [OPTIONS] IMAGE [COMMAND] [ARG...]';
const HINT = "Run 'mydock run --help' for more information";

test('unknown verbs, flags and missing words end as Docker ends', async () => {
  const cases: [string[], number, string][] = [
    [['foo'], 1, "mydock: unknown command: mydock foo\n\nRun 'mydock --help' for more information\n"],
    [
      ['compose', 'up'],
      1,
      "mydock: unknown command: mydock compose\n\nCompose works over the daemon's socket: DOCKER_HOST=unix:///run/mydock.sock docker compose\n\nRun 'mydock --help' for more information\n",
    ],
    [
      ['image', 'foo'],
      1,
      "mydock: unknown command: mydock image foo\n\nUsage:  mydock image\n\nRun 'mydock image --help' for more information\n",
    ],
    [['help', 'foo'], 1, 'unknown help topic: foo\n'],
    [['run', '--foo'], 125, `unknown flag: --foo\n\n${USAGE}\n\n${HINT}\n`],
    [['run'], 1, `mydock: 'mydock run' requires at least 1 argument\n\n${USAGE}\n\n${HINT}\n`],
    [
      ['ps', 'x'],
      1,
      "mydock: 'mydock ps' accepts no arguments\n\nUsage:  mydock ps [OPTIONS]\n\nRun 'mydock ps --help' for more information\n",
    ],
    [
      ['run', '-d', '-a', 'stdout', 'x'],
      1,
      'conflicting options: cannot specify both --attach and --detach\n',
    ],
    [
      ['run', '--pull', 'x', 'y'],
      125,
      `mydock: invalid pull option: 'x': must be one of "always", "missing" or "never"\n\n${HINT}\n`,
    ],
    [
      ['run', '--rm', '--restart', 'always', 'x'],
      125,
      `mydock: conflicting options: cannot specify both --restart and --rm\n\n${HINT}\n`,
    ],
    [['run', '-it', 'x'], 1, 'the input device is not a TTY\n'],
    [
      ['run', 'UP'],
      125,
      `mydock: invalid reference format: repository name (library/UP) must be lowercase\n\n${HINT}\n`,
    ],
  ];
  for (const [words, exitCode, message] of cases) {
    const outcome = await mydock(words);
    assert.equal(outcome.io.err(), message);
    assert.equal(outcome.exitCode, exitCode, words.join(' '));
    assert.deepEqual(outcome.calls, []);
  }
});

test('help goes to stdout and loads no daemon', async () => {
  const { io, exitCode, calls } = await mydock(['container', 'kill', '--help']);
  assert.equal(
    io.out(),
    'Usage:  mydock container kill [OPTIONS] CONTAINER [CONTAINER...]\n\nSend a signal to running containers (default KILL)\n\nOptions:\n  -s, --signal string   Signal to send\n',
  );
  assert.equal(exitCode, 0);
  assert.deepEqual(calls, []);
  assert.match((await mydock(['--version'])).io.out(), /^mydock version \d+\.\d+\.\d+\n$/);
});

const ID = 'ab'.repeat(32);

/** Plays one container: created, attached, started, gone with `status`. */
function container(
  status: number,
  events: string[],
  startError?: string,
): { respond: Respond; onUpgrade: (socket: Duplex) => void } {
  let attached: Duplex | undefined;
  let finish: () => void = () => {};
  return {
    async respond({ method, url }, response) {
      const path = url.replace(/^\/v[\d.]+/, '').replace(/\?.*/, '');
      events.push(`${method} ${path}`);
      if (path === '/containers/create') sendJson(response, { Id: ID, Warnings: ['mind the gap'] }, 201);
      else if (path.endsWith('/wait')) {
        response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
        finish = () => response.end(JSON.stringify({ StatusCode: status }));
        if (startError !== undefined) finish();
      } else if (path.endsWith('/start') && startError !== undefined)
        sendJson(response, { message: startError }, 400);
      else if (path.endsWith('/start')) {
        response.writeHead(204).end();
        attached?.write(encodeFrame(1, Buffer.from('out\n')));
        attached?.end(encodeFrame(2, Buffer.from('err\n')));
        finish();
      } else sendJson(response, { message: `unexpected ${path}` }, 500);
    },
    onUpgrade(socket) {
      events.push('attach');
      attached = socket;
      socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    },
  };
}

test('run attaches and waits before it starts, and ends with the exit code', async () => {
  const events: string[] = [];
  const { respond, onUpgrade } = container(42, events);
  const { exitCode, io, calls } = await mydock(
    ['run', '--rm', '--name', 'n', 'busybox', 'sh', '-c', 'x'],
    respond,
    { onUpgrade },
  );
  assert.equal(exitCode, 42);
  assert.equal(io.out(), 'out\n');
  assert.equal(io.err(), 'WARNING: mind the gap\nerr\n');
  assert.equal(events[0], 'POST /containers/create');
  assert.deepEqual(new Set(events.slice(1, 3)), new Set(['attach', `POST /containers/${ID}/wait`]));
  assert.deepEqual(events.slice(3), [`POST /containers/${ID}/start`]);
  assert.ok(calls.includes('POST /containers/create?name=n'));
  assert.ok(calls.includes(`POST /containers/${ID}/wait?condition=removed`));
  assert.ok(calls.includes(`POST /containers/${ID}/attach?stream=1&stdout=1&stderr=1`));
});

test('a command that is not there is 127, one that cannot run 126, all else 125', async () => {
  const frame =
    'failed to create task for container: failed to create shim task: OCI runtime create failed: ';
  const errors: [string, number][] = [
    ['exec: "nocmd": executable file not found in $PATH: unknown', 127],
    ['exec: "/etc": permission denied: unknown', 126],
    ['exec: "/etc": is a directory: unknown', 126],
    ['port is already allocated', 125],
    [`${frame}unable to start container process: open the mount target /x: No such file or directory`, 125],
    [`${frame}unable to start container process: mount /x: Permission denied`, 125],
    [`${frame}executable file \`x\` not found in $PATH: No such file or directory`, 127],
  ];
  for (const [message, expected] of errors) {
    const { respond, onUpgrade } = container(0, [], message);
    const { exitCode, io } = await mydock(['run', 'busybox', 'x'], respond, { onUpgrade });
    assert.equal(exitCode, expected, message);
    assert.ok(io.err().includes(`mydock: Error response from daemon: ${message}\n\n${HINT}\n`), io.err());
  }
});

test('run -d prints the ID and does not attach', async () => {
  const events: string[] = [];
  const { respond, onUpgrade } = container(0, events);
  const { exitCode, io, daemon } = await mydock(['run', '-d', '-i', 'busybox'], respond, { onUpgrade });
  assert.equal(exitCode, 0);
  assert.equal(io.out(), `${ID}\n`);
  assert.deepEqual(events, ['POST /containers/create', `POST /containers/${ID}/start`]);
  const body = JSON.parse(daemon.requests[0]?.body ?? '') as Record<string, unknown>;
  assert.deepEqual(
    [body['AttachStdin'], body['AttachStdout'], body['OpenStdin'], body['StdinOnce']],
    [false, false, true, false],
  );
});

test('an image that is missing is pulled once, with progress on stderr', async () => {
  let pulled = false;
  const respond: Respond = ({ url }, response) => {
    if (url.includes('/images/create')) {
      pulled = true;
      response.end(
        '{"status":"Pulling from library/busybox","id":"latest"}\n{"status":"Status: Downloaded"}\n',
      );
    } else if (pulled) sendJson(response, { Id: ID, Warnings: [] }, 201);
    else sendJson(response, { message: 'No such image: busybox:latest' }, 404);
  };
  const { exitCode, io, calls } = await mydock(['create', 'busybox'], respond);
  assert.equal(exitCode, 0);
  assert.equal(io.out(), `${ID}\n`);
  assert.equal(
    io.err(),
    "Unable to find image 'busybox:latest' locally\nlatest: Pulling from library/busybox\nStatus: Downloaded\n",
  );
  assert.equal(calls[1], 'POST /images/create?fromImage=docker.io%2Flibrary%2Fbusybox&tag=latest');
  assert.equal(calls.length, 3);
});

test('an image ID is asked of no registry', async () => {
  for (const image of [`sha256:${'0'.repeat(64)}`, '0'.repeat(64)]) {
    for (const pull of ['missing', 'always']) {
      const { exitCode, io, calls } = await mydock(['run', '--pull', pull, image], (_, response) =>
        sendJson(response, { message: `No such image: ${image}` }, 404),
      );
      assert.deepEqual([exitCode, calls], [125, ['POST /containers/create']], io.err());
    }
  }
});

test('--pull never asks no registry', async () => {
  const { exitCode, calls } = await mydock(['run', '--pull', 'never', 'x'], (_, response) =>
    sendJson(response, { message: 'No such image: x:latest' }, 404),
  );
  assert.equal(exitCode, 125);
  assert.equal(calls.length, 1);
});

test('flags of other clients that cannot be had are refused by name, their harmless values accepted', async () => {
  const answer: Respond = (_, response) => sendJson(response, { Id: ID, Warnings: [] }, 201);
  const refused: [string[], number, RegExp][] = [
    [
      ['create', '--use-api-socket', 'busybox'],
      125,
      /^--use-api-socket is not supported.*mydock socket create/,
    ],
    [['create', '--disable-content-trust=false', 'busybox'], 125, /content trust is not supported/],
    [['pull', '--disable-content-trust=false', 'busybox'], 1, /content trust is not supported/],
    [['push', '--disable-content-trust=false', 'busybox'], 1, /content trust is not supported/],
    [['--context', 'default', 'ps'], 1, /cannot specify both --host and --context/],
  ];
  for (const [words, code, message] of refused) {
    const { exitCode, io, calls } = await mydock(words, answer);
    assert.equal(exitCode, code, words.join(' '));
    assert.match(io.err(), message);
    assert.deepEqual(calls, []);
  }
  const words =
    'create --disable-content-trust --use-api-socket=false --isolation hyperv --memory-swappiness 5_0 x';
  const { exitCode, daemon } = await mydock(words.split(' '), answer);
  assert.equal(exitCode, 0);
  const { HostConfig } = JSON.parse(daemon.requests[0]?.body ?? '{}');
  assert.equal(HostConfig.Isolation, 'hyperv');
  assert.equal(HostConfig.MemorySwappiness, 50);
});

test('of contexts only the default one is known', async () => {
  await using daemon = await fakeDaemon((_, response) => sendJson(response, []));
  const run = async (name: string) => {
    const io = testIo({ env: { DOCKER_HOST: `unix://${daemon.socket}` } });
    return { exitCode: await runProgram(['-c', name, 'ps'], io), stderr: io.err() };
  };
  assert.deepEqual(await run('default'), { exitCode: 0, stderr: '' });
  const { exitCode, stderr } = await run('remote');
  assert.equal(exitCode, 1);
  assert.match(stderr, /^context "remote": only "default" is known/);
});

test('the flags of run arrive in the request', async () => {
  const words =
    'create -it -m 100m --cpus 1.5 -p 127.0.0.1:80:90/udp --expose 77 -v /tmp:/h:ro -v /anon --entrypoint= --init=false ' +
    '--restart on-failure:3 --health-cmd true --health-interval 5s --network foo --ip 1.2.3.4 -e A=b --label x ' +
    '--security-opt systempaths=unconfined --stop-timeout 5 busybox a b';
  const { daemon } = await mydock(words.split(' '), (_, response) =>
    sendJson(response, { Id: ID, Warnings: [] }, 201),
  );
  const body = JSON.parse(daemon.requests[0]?.body ?? '{}');
  const host = body.HostConfig;
  assert.deepEqual(
    {
      Cmd: body.Cmd,
      Entrypoint: body.Entrypoint,
      Tty: body.Tty,
      StdinOnce: body.StdinOnce,
      Env: body.Env,
      Labels: body.Labels,
      Volumes: body.Volumes,
      ExposedPorts: body.ExposedPorts,
      StopTimeout: body.StopTimeout,
      Healthcheck: body.Healthcheck,
      Endpoints: body.NetworkingConfig.EndpointsConfig,
    },
    {
      Cmd: ['a', 'b'],
      Entrypoint: [''],
      Tty: true,
      StdinOnce: true,
      Env: ['A=b'],
      Labels: { x: '' },
      Volumes: { '/anon': {} },
      ExposedPorts: { '90/udp': {}, '77/tcp': {} },
      StopTimeout: 5,
      Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 5e9 },
      Endpoints: { foo: { IPAMConfig: { IPv4Address: '1.2.3.4' } } },
    },
  );
  assert.equal(host.Memory, 104857600);
  assert.equal(host.NanoCpus, 1.5e9);
  assert.equal(host.Init, false);
  assert.equal(host.NetworkMode, 'foo');
  assert.deepEqual(host.Binds, ['/tmp:/h:ro']);
  assert.deepEqual(host.PortBindings, { '90/udp': [{ HostIp: '127.0.0.1', HostPort: '80' }] });
  assert.deepEqual(host.RestartPolicy, { Name: 'on-failure', MaximumRetryCount: 3 });
  assert.deepEqual([host.MaskedPaths, host.ReadonlyPaths], [[], []]);
});

const LISTED = {
  Id: ID,
  Names: ['/web', '/other/link'],
  Image: 'nginx',
  ImageID: `sha256:${'cd'.repeat(32)}`,
  Command: 'nginx -g daemon off; and more',
  Created: Date.parse('2024-01-01T23:57:00Z') / 1000,
  Ports: [{ IP: '0.0.0.0', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' }],
  Labels: { a: 'b' },
  State: 'running',
  Status: 'Up 3 minutes',
  HostConfig: { NetworkMode: 'bridge' },
  NetworkSettings: { Networks: { bridge: {} } },
  Mounts: [],
};

test('ps draws the table', async () => {
  const { io, calls } = await mydock(['ps', '-a', '-n', '5', '-f', 'status=running'], (_, response) =>
    sendJson(response, [LISTED]),
  );
  assert.equal(
    io.out(),
    'CONTAINER ID   IMAGE     COMMAND                  CREATED         STATUS         PORTS                  NAMES\n' +
      'abababababab   nginx     "nginx -g daemon off…"   3 minutes ago   Up 3 minutes   0.0.0.0:8080->80/tcp   web\n',
  );
  assert.deepEqual(calls, [
    'GET /containers/json?all=1&limit=5&filters=%7B%22status%22%3A%5B%22running%22%5D%7D',
  ]);
});

test('a template that shows sizes asks for them', async () => {
  const { calls, io } = await mydock(['ps', '--format', '{{.Names}} {{.Size}}'], (_, response) =>
    sendJson(response, [{ ...LISTED, SizeRw: 10, SizeRootFs: 5_134_000 }]),
  );
  assert.deepEqual(calls, ['GET /containers/json?size=1']);
  assert.equal(io.out(), 'web 10B (virtual 5.13MB)\n');
});

test('images has a row for each name', async () => {
  const image = {
    Id: `sha256:${ID}`,
    Created: 1704067200,
    Size: 72_800_000,
    SharedSize: -1,
    Containers: -1,
    Labels: null,
  };
  const { io } = await mydock(['images', '--digests'], (_, response) =>
    sendJson(response, [
      { ...image, RepoTags: ['a:1', 'r:5000/b:2'], RepoDigests: ['a@sha256:x'] },
      { ...image, RepoTags: [], RepoDigests: [] },
    ]),
  );
  assert.equal(
    io.out(),
    'REPOSITORY   TAG       DIGEST     IMAGE ID       CREATED        SIZE\n' +
      'a            1         sha256:x   abababababab   24 hours ago   72.8MB\n' +
      'r:5000/b     2         <none>     abababababab   24 hours ago   72.8MB\n' +
      '<none>       <none>    <none>     abababababab   24 hours ago   72.8MB\n',
  );
});

test('inspect looks for containers, images, networks, volumes and prints what it finds', async () => {
  const respond: Respond = ({ url }, response) => {
    if (url.endsWith('/volumes/v')) sendJson(response, { Name: 'v', Options: {} });
    else sendJson(response, { message: 'no such thing' }, 404);
  };
  const { io, exitCode, calls } = await mydock(['inspect', 'v', 'nope'], respond);
  assert.equal(io.out(), '[\n    {\n        "Name": "v",\n        "Options": {}\n    }\n]\n');
  assert.equal(io.err(), 'Error: No such object: nope\n');
  assert.equal(exitCode, 1);
  assert.deepEqual(calls.slice(0, 4), [
    'GET /containers/v/json',
    'GET /images/v/json',
    'GET /networks/v',
    'GET /volumes/v',
  ]);
  assert.equal((await mydock(['inspect', 'nope'], respond)).io.out(), '[]\n');
});

test('one failure of several does not stop the others', async () => {
  const { io, exitCode } = await mydock(['stop', '-t', '1', 'a', 'b', 'c'], ({ url }, response) => {
    if (url.includes('/b/')) sendJson(response, { message: 'No such container: b' }, 404);
    else response.writeHead(204).end();
  });
  assert.equal(io.out(), 'a\nc\n');
  assert.equal(io.err(), 'Error response from daemon: No such container: b\n');
  assert.equal(exitCode, 1);
});

test('logs split into stdout and stderr', async () => {
  const { io, calls } = await mydock(['logs', '-n', '5', '--since', '10m', 'c'], ({ url }, response) => {
    if (url.endsWith('/json')) sendJson(response, { Id: ID, Config: { Tty: false } });
    else
      response.end(Buffer.concat([encodeFrame(1, Buffer.from('o\n')), encodeFrame(2, Buffer.from('e\n'))]));
  });
  assert.equal(io.out(), 'o\n');
  assert.equal(io.err(), 'e\n');
  assert.equal(calls[1], `GET /containers/${ID}/logs?stdout=1&stderr=1&since=1704153000.000000000&tail=5`);
});

test('a reader that has gone ends the program early', async () => {
  const { respond, onUpgrade } = container(0, []);
  await using daemon = await fakeDaemon(
    (request, response) => (request.url.endsWith('/start') ? undefined : respond(request, response)),
    (_, socket) => onUpgrade(socket),
  );
  const cut = new Promise<number>((resolve) => setTimeout(resolve, 50, 141));
  const exitCode = await runProgram(
    ['-H', `unix://${daemon.socket}`, 'run', 'busybox', 'yes'],
    testIo(),
    cut,
  );
  assert.equal(exitCode, 141);
});
