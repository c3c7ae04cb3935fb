/** All scenarios of strikes at the daemon. */
import type { Scenario } from '../scenario.ts';
import { buildScenarios } from './builds.ts';
import { containerScenarios } from './containers.ts';
import { imageScenarios } from './images.ts';
import { networkScenarios } from './networks.ts';
import { registryBuildScenarios } from './registry-builds.ts';
import { volumeScenarios } from './volumes.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...containerScenarios,
  ...networkScenarios,
  ...volumeScenarios,
  ...imageScenarios,
  ...buildScenarios,
  ...registryBuildScenarios,
];
