/**
 * An image goes all ways round: pulled, pushed to a second registry, pulled from there, saved, removed, loaded, pushed
 * again. Every digest stays what it was.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { busyboxImage, layeredImage } from '../../fixtures/catalog.ts';
import type { Image } from '../../fixtures/image.ts';
import { type Registry, startRegistry } from '../../fixtures/registry.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
let first: Registry;
let second: Registry;
before(async () => {
  [first, second] = await Promise.all([startRegistry(), startRegistry()]);
  daemon = await Daemon.start();
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    await Promise.all([first.stop(), second.stop()]);
  }
});

async function repoDigest(reference: string): Promise<string> {
  const digests = JSON.parse(await daemon.inspect(reference, '{{json .RepoDigests}}')) as string[];
  const repository = reference.slice(0, reference.lastIndexOf(':'));
  return digests.find((digest) => digest.startsWith(`${repository}@`))?.slice(repository.length + 1) ?? '';
}

const images: readonly (readonly [string, () => Promise<Image>])[] = [
  ['docker schema 2, gzip', () => busyboxImage()],
  ['OCI, zstd', () => busyboxImage({ compression: 'zstd', format: 'oci' })],
  ['OCI, many layers', () => layeredImage('gzip', 'oci')],
];

for (const [name, make] of images) {
  test(name, async () => {
    const image = await make();
    const origin = await first.push('origin', 'v1', image);
    const copy = `${second.host}/copy:v1`;
    const again = `${second.host}/again:v2`;

    await daemon.ok('pull', '-q', origin);
    await daemon.ok('tag', origin, copy);
    await daemon.ok('push', '-q', copy);
    await daemon.ok('rmi', '-f', image.id);
    await daemon.ok('pull', '-q', copy);
    assert.equal(await daemon.inspect(copy, '{{.Id}}'), image.id);
    assert.equal(await repoDigest(copy), image.manifest.digest);

    const archive = join(daemon.folder, `${name.replaceAll(/\W/g, '-')}.tar`);
    await daemon.ok('save', '-o', archive, copy);
    await daemon.ok('rmi', '-f', image.id);
    await daemon.ok('load', '-q', '-i', archive);
    assert.equal(await daemon.inspect(copy, '{{.Id}}'), image.id);

    await daemon.ok('tag', copy, again);
    await daemon.ok('push', '-q', again);
    await daemon.ok('rmi', '-f', image.id);
    await daemon.ok('pull', '-q', again);
    assert.equal(await repoDigest(again), image.manifest.digest);
    await daemon.ok('system', 'check');
    await daemon.ok('rmi', '-f', image.id);
  });
}
