/** What the harness tells the module inside the daemon: which points to write down, or at which to strike. */
import type { StepEvent } from '../../src/base/steps.ts';

/** Names the file in which the order comes; without the file nothing happens. */
export const ORDER_VARIABLE = 'MYDOCK_FAULT_ORDER';

/** Milliseconds that the daemon waits for a registry which sends nothing, in place of half a minute. */
export const PATIENCE_VARIABLE = 'MYDOCK_FAULT_PATIENCE_MS';

/** A moment of an operation: `begin start/root`, and which one of several. */
export interface Point {
  readonly point: string;
  readonly occurrence: number;
}

export type Order =
  | { readonly kind: 'record'; readonly path: string }
  /** SIGKILL, or stand still until the file `heldFile` is removed. */
  | (Point & { readonly kind: 'kill' | 'hold' });

export function pointOf({ phase, label }: Pick<StepEvent, 'phase' | 'label'>): string {
  return `${phase} ${label}`;
}

/** Is there while the daemon is held. */
export function heldFile(orderFile: string): string {
  return `${orderFile}.held`;
}

export function pointName({ point, occurrence }: Point): string {
  return occurrence === 1 ? point : `${point} (${occurrence}.)`;
}

/** Says by how many milliseconds the daemon's clock is wrong. */
export function clockFile(orderFile: string): string {
  return `${orderFile}.clock`;
}
