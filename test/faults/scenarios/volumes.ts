/** Volumes: made, removed, and moved as a whole. */

import { makeTar } from '../../fixtures/tar.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { create, exists, makeVolume, output, removeAll, run } from './objects.ts';

const TAR = makeTar([
  { path: 'folder/', type: 'directory' },
  { path: 'folder/file', data: 'imported\n' },
]).toString('latin1');

async function put(daemon: FaultedDaemon, path: string, allowed: readonly number[]): Promise<void> {
  await daemon.ask('POST', path, { body: TAR, allowed, headers: { 'content-type': 'application/x-tar' } });
}

async function fill(daemon: FaultedDaemon, name: string, text: string): Promise<void> {
  await run(daemon, 'xwriter', { HostConfig: { Binds: [`${name}:/data`], NetworkMode: 'none' } });
  await output(daemon, 'xwriter', ['sh', '-c', `mkdir -p /data/folder; echo ${text} > /data/folder/file`]);
  await daemon.ask('DELETE', '/containers/xwriter?force=1');
}

/** What a volume's file says; empty where it is not there. */
async function content(daemon: FaultedDaemon, name: string): Promise<string> {
  await run(daemon, 'xreader', { HostConfig: { Binds: [`${name}:/data`], NetworkMode: 'none' } });
  const text = await output(daemon, 'xreader', ['sh', '-c', 'cat /data/folder/file 2> /dev/null']);
  await daemon.ask('DELETE', '/containers/xreader?force=1');
  return text;
}

const has = (name: string, text: string): Required<Pick<Scenario, 'holds'>> => ({
  async holds(daemon) {
    const found = await content(daemon, name);
    require(found === text, `${name} has "${found}" and not "${text}"`);
  },
});

const keeps = (name: string, texts: readonly string[]): Required<Pick<Scenario, 'keeps'>> => ({
  async keeps(daemon) {
    const found = await content(daemon, name);
    require(texts.includes(found), `${name} has "${found}"`);
  },
});

async function snapshotted(daemon: FaultedDaemon): Promise<void> {
  await makeVolume(daemon, 'xo');
  await fill(daemon, 'xo', 'first');
  await daemon.ask('POST', '/volumes/xo/snapshots', { body: { Name: 'one' } });
  await fill(daemon, 'xo', 'second');
}

export const volumeScenarios: readonly Scenario[] = [
  {
    name: 'volume create',
    operate: (daemon) => makeVolume(daemon, 'xo'),
    ...has('xo', ''),
    cleanUp: removeAll,
  },
  {
    name: 'volume remove',
    async prepare(daemon) {
      await makeVolume(daemon, 'xo');
      await fill(daemon, 'xo', 'first');
    },
    operate: (daemon) => daemon.ask('DELETE', '/volumes/xo', { allowed: [404] }),
    async holds(daemon) {
      require(!(await exists(daemon, '/volumes/xo')), 'it is there');
    },
    cleanUp: removeAll,
  },
  {
    name: 'volume import into a new one',
    operate: (daemon, again) => put(daemon, '/volumes/xo/import', again ? [409] : []),
    ...has('xo', 'imported'),
    cleanUp: removeAll,
  },
  {
    name: 'volume import into an empty one',
    prepare: (daemon) => makeVolume(daemon, 'xo'),
    operate: (daemon, again) => put(daemon, '/volumes/xo/import', again ? [409] : []),
    ...keeps('xo', ['', 'imported']),
    ...has('xo', 'imported'),
    cleanUp: removeAll,
  },
  {
    name: 'volume import that merges',
    async prepare(daemon) {
      await makeVolume(daemon, 'xo');
      await fill(daemon, 'xo', 'first');
    },
    operate: (daemon) => put(daemon, '/volumes/xo/import?merge=1', []),
    // The file that takes the place of another is not there for a moment, or not whole.
    async keeps(daemon) {
      require(await exists(daemon, '/volumes/xo'), 'the volume is gone');
    },
    ...has('xo', 'imported'),
    cleanUp: removeAll,
  },
  {
    name: 'start with a volume of another file system',
    async prepare(daemon) {
      await daemon.ask('POST', '/volumes/create', {
        body: { Name: 'xo', DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' } },
      });
      await create(daemon, 'xuser', { HostConfig: { Binds: ['xo:/data'], NetworkMode: 'none' } });
    },
    operate: (daemon) => daemon.ask('POST', '/containers/xuser/start', { allowed: [304] }),
    async holds(daemon) {
      const mounted = await output(daemon, 'xuser', ['sh', '-c', 'grep " /data " /proc/mounts']);
      require(/^tmpfs \/data tmpfs .*size=1024k/.test(mounted), `on /data is "${mounted}"`);
    },
    cleanUp: removeAll,
  },
  {
    name: 'volume clone',
    async prepare(daemon) {
      await makeVolume(daemon, 'xo');
      await fill(daemon, 'xo', 'first');
    },
    operate: (daemon, again) =>
      daemon.ask('POST', '/volumes/xo/clone', { body: { Name: 'xclone' }, allowed: again ? [409] : [] }),
    ...keeps('xo', ['first']),
    ...has('xclone', 'first'),
    cleanUp: removeAll,
  },
  {
    name: 'volume snapshot',
    async prepare(daemon) {
      await makeVolume(daemon, 'xo');
      await fill(daemon, 'xo', 'first');
    },
    operate: (daemon, again) =>
      daemon.ask('POST', '/volumes/xo/snapshots', { body: { Name: 'one' }, allowed: again ? [409] : [] }),
    ...keeps('xo', ['first']),
    async holds(daemon) {
      await daemon.ask('POST', '/volumes/xo/snapshots/one/restore');
      require((await content(daemon, 'xo')) === 'first', 'the snapshot holds something else');
    },
    cleanUp: removeAll,
  },
  {
    name: 'volume snapshot restore',
    prepare: snapshotted,
    operate: (daemon) => daemon.ask('POST', '/volumes/xo/snapshots/one/restore'),
    ...keeps('xo', ['first', 'second']),
    ...has('xo', 'first'),
    cleanUp: removeAll,
  },
  {
    name: 'volume snapshot restore under a running container',
    async prepare(daemon) {
      await snapshotted(daemon);
      await run(daemon, 'xuser', { HostConfig: { Binds: ['xo:/data'], NetworkMode: 'none' } });
    },
    operate: (daemon) => daemon.ask('POST', '/volumes/xo/snapshots/one/restore?force=1'),
    async holds(daemon) {
      const found = await output(daemon, 'xuser', ['cat', '/data/folder/file']);
      require(found === 'first', `the container sees "${found}"`);
    },
    cleanUp: removeAll,
  },
  {
    name: 'volume snapshot remove',
    prepare: snapshotted,
    operate: (daemon) => daemon.ask('DELETE', '/volumes/xo/snapshots/one', { allowed: [404] }),
    ...keeps('xo', ['second']),
    async holds(daemon) {
      const answer = await daemon.ask('GET', '/volumes/xo/snapshots');
      require(!answer.text.includes('"one"'), `snapshots: ${answer.text}`);
    },
    cleanUp: removeAll,
  },
];
