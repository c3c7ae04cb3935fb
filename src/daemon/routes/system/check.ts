/**
 * `POST /system/check` (mydock's own): one JSON object a line, `{Finding}` for each thing that is wrong and at last
 * `{Checked}`. Query: `repair`, `quick`.
 */
import type { SystemCheckMessage, SystemCheckSummary } from '../../../api/system.ts';
import type { CheckRun } from '../../../base/check.ts';
import { ConflictError, errorMessage } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import type { Handler } from '../../router.ts';

export type CheckBackend = (run: CheckRun) => Promise<SystemCheckSummary>;

export function checkHandler(check: CheckBackend): Handler {
  let running = false;
  return async (request, response) => {
    if (running) throw new ConflictError('a check is running already');
    running = true;
    const stream = response.stream(200, 'application/json');
    const send = (message: SystemCheckMessage): void => stream.message(message);
    try {
      const summary = await check({
        repair: request.flag('repair'),
        quick: request.flag('quick'),
        signal: request.signal,
        report({ object, problem, remedy, repaired }) {
          log.warn({ object, problem, repaired }, 'system check');
          send({ Finding: { Object: object, Problem: problem, Remedy: remedy, Repaired: repaired } });
        },
      });
      send({ Checked: summary });
    } catch (error) {
      if (!request.signal.aborted) send({ error: `the check was broken off: ${errorMessage(error)}` });
    } finally {
      running = false;
    }
    stream.end();
  };
}
