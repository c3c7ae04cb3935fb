/**
 * Preloaded into the daemon under test (`node --import`): hears its labelled steps (src/base/steps.ts), and at the one
 * that the order names it ends the process or holds it. Orders come in a file, so that one daemon can be set up in
 * peace and then be struck; nothing of this is in the product.
 */

import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { STEPS_CHANNEL, type StepEvent } from '../../src/base/steps.ts';
import { clockFile, heldFile, ORDER_VARIABLE, type Order, PATIENCE_VARIABLE, pointOf } from './order.ts';
import { losePatience } from './short-patience.ts';
import { setClock } from './wrong-clock.ts';

const HOLD_POLL_MS = 2;
const HOLD_LIMIT_MS = 60_000;

const orderFile = process.env[ORDER_VARIABLE];
/** How often each point was passed since the order came. */
const passed = new Map<string, number>();
let order: Order | undefined;

function currentOrder(file: string): Order | undefined {
  if (!existsSync(file)) {
    order = undefined;
    return undefined;
  }
  if (order === undefined) {
    passed.clear();
    order = JSON.parse(readFileSync(file, 'utf8')) as Order;
  }
  return order;
}

/** The whole process stands still here, until whoever has ordered it takes the file away. */
function hold(file: string): void {
  const held = heldFile(file);
  writeFileSync(held, '');
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; existsSync(held) && waitedMs < HOLD_LIMIT_MS; waitedMs += HOLD_POLL_MS) {
    Atomics.wait(nothing, 0, 0, HOLD_POLL_MS);
  }
}

function hear(file: string, event: StepEvent): void {
  setClock(clockFile(file));
  const now = currentOrder(file);
  if (now === undefined) return;
  const point = pointOf(event);
  const occurrence = (passed.get(point) ?? 0) + 1;
  passed.set(point, occurrence);
  if (now.kind === 'record') {
    appendFileSync(now.path, `${JSON.stringify({ point, occurrence })}\n`);
    return;
  }
  if (now.point !== point || now.occurrence !== occurrence) return;
  if (now.kind === 'kill') {
    process.kill(process.pid, 'SIGKILL');
    // The signal is on its way: not one more instruction of the step.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
  }
  hold(file);
  setClock(clockFile(file));
  rmSync(file, { force: true });
}

const patienceMs = Number(process.env[PATIENCE_VARIABLE] ?? 0);
if (patienceMs > 0) losePatience(patienceMs);

if (isMainThread && orderFile !== undefined) {
  subscribe(STEPS_CHANNEL, (message) => hear(orderFile, message as StepEvent));
}
