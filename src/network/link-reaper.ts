/**
 * Interfaces that go away by themselves, and soon. Deleting a veth pair waits for a grace period of the kernel (some
 * 20 ms), while the end of its namespace deletes it in the background; so a container's namespace is let go, and only
 * what is still there after a while, because some process keeps the namespace alive, is deleted by name.
 */
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';

const GRACE_MS = 1000;

export class LinkReaper {
  readonly #delete: (name: string) => Promise<void>;
  #waiting = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  /** `remove` deletes a link by name; one that is gone is no error to it. */
  constructor(remove: (name: string) => Promise<void>) {
    this.#delete = remove;
  }

  /** Deletes the link within about a second. */
  add(name: string): void {
    this.#waiting.add(name);
    this.#timer ??= setTimeout(() => void this.flush(), GRACE_MS).unref();
  }

  /** Deletes what waits, now. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const names = [...this.#waiting];
    this.#waiting.clear();
    for (const name of names) {
      try {
        await this.#delete(name);
      } catch (error) {
        // The next start of the daemon finds it at the bridge and removes it.
        log.warn({ link: name, reason: errorMessage(error) }, 'network: interface cannot be removed');
      }
    }
  }
}
