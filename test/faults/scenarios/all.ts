/** All scenarios of strikes at the daemon. */
import type { Scenario } from '../scenario.ts';
import { buildScenarios } from './builds.ts';
import { containerScenarios } from './containers.ts';
import { imageScenarios } from './images.ts';
import { networkScenarios } from './networks.ts';
import { pruneScenarios } from './prunes.ts';
import { rareRunScenarios } from './rare-runs.ts';
import { registryBuildScenarios } from './registry-builds.ts';
import { severalScenarios } from './several.ts';
import { volumeScenarios } from './volumes.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...containerScenarios,
  ...rareRunScenarios,
  ...networkScenarios,
  ...volumeScenarios,
  ...pruneScenarios,
  ...severalScenarios,
  ...imageScenarios,
  ...buildScenarios,
  ...registryBuildScenarios,
];
