/**
 * A descriptor in hand for when there is no other (accept(2): EMFILE). A connection that cannot be accepted stays in the
 * kernel's queue, and the event loop would be told of it again and again: with the spare one given up it is accepted, and
 * closed at once. One for the process.
 */
import { closeSync, openSync } from 'node:fs';

let spare: number | undefined;

/** Takes one where there is room. To be called early, and after `giveSpareDescriptor`. */
export function keepSpareDescriptor(): void {
  if (spare !== undefined) return;
  try {
    spare = openSync('/dev/null', 'r');
  } catch {
    // No room: whoever is asked next time may find some.
  }
}

/** Makes room for one descriptor; false where there was none to give. */
export function giveSpareDescriptor(): boolean {
  if (spare === undefined) return false;
  closeSync(spare);
  spare = undefined;
  return true;
}

/** Whether the process can open nothing more. */
export function isOutOfDescriptors(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return false;
  } catch {
    return true;
  }
}
