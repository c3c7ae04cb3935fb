/**
 * What every storage driver must pass: images compared entry by entry with the same layers unpacked by GNU tar, layers
 * committed and read back, hostile and broken archives, aborts. A driver's test file calls `snapshotterSuite`; the
 * tests themselves are in suite/.
 */
import { describe } from 'node:test';
import { failureTests } from './suite/failures.ts';
import type { SuiteDriver } from './suite/fixture.ts';
import { hostileTests } from './suite/hostile.ts';
import { imageTests } from './suite/images.ts';
import { mountTests } from './suite/mounts.ts';
import { newLayerTests } from './suite/new-layers.ts';
import { layerTests } from './suite/semantics.ts';

export function snapshotterSuite(driver: SuiteDriver): void {
  describe('images equal GNU tar entry by entry', () => imageTests(driver));
  describe('semantics of layers', () => layerTests(driver));
  describe('new layers', () => newLayerTests(driver));
  describe('hostile archives stay inside', () => hostileTests(driver));
  describe('failures leave nothing behind', () => failureTests(driver));
  describe('mounts', () => mountTests(driver));
}
