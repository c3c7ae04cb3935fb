/** All cases of the table. */
import { ADD_CASES } from './add-cases.ts';
import { ARGUMENT_CASES } from './argument-cases.ts';
import type { BuildCase } from './build-case.ts';
import { CONFIG_CASES } from './config-cases.ts';
import { COPY_CASES } from './copy-cases.ts';
import { RUN_CASES } from './run-cases.ts';

export const CASES: readonly BuildCase[] = [
  ...COPY_CASES,
  ...ADD_CASES,
  ...ARGUMENT_CASES,
  ...CONFIG_CASES,
  ...RUN_CASES,
];
