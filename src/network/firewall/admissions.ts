/** What restricted containers were admitted to, and until when: the table's `admitted` sets, remembered. */
import { log } from '../../base/log.ts';
import type { IpAddress } from '../ip-address.ts';
import { addressBytes, formatAddress, parseAddress } from '../ip-address.ts';
import { joinKey } from '../netlink/nft-fields.ts';
import type { Placed } from './elements.ts';
import type { EgressRule } from './model.ts';
import { familySets } from './tables.ts';

/** Addresses that one container may have been admitted to at a time; names can have any number of them. */
const ADMITTED_MAX = 4096;

export class Admissions {
  /** By container and address: until when, in performance.now() milliseconds: the kernel's timeouts go on evenly too. */
  readonly #given = new Map<string, Map<string, number>>();

  /** Those of `addresses` that have to be told the table: not what was given for longer already. */
  grant(containerId: string, addresses: readonly IpAddress[], ttlSec: number): IpAddress[] {
    const given = this.#validOf(containerId);
    const expires = performance.now() + ttlSec * 1000;
    return addresses.filter((address) => {
      const until = given.get(formatAddress(address));
      if (until === undefined && given.size >= ADMITTED_MAX) {
        log.warn({ container: containerId }, 'egress: too many addresses admitted at a time');
        return false;
      }
      if (until !== undefined && until >= expires) return false;
      given.set(formatAddress(address), expires);
      return true;
    });
  }

  forget(containerId: string): void {
    this.#given.delete(containerId);
  }

  /** All that is valid, for the interfaces that each container has. */
  elements(rulesOf: (containerId: string) => readonly EgressRule[]): Placed[] {
    const now = performance.now();
    return [...this.#given].flatMap(([containerId, given]) =>
      [...given].flatMap(([address, expires]) =>
        expires <= now ? [] : admittedElements(rulesOf(containerId), parseAddress(address), expires - now),
      ),
    );
  }

  #validOf(containerId: string): Map<string, number> {
    const given = this.#given.get(containerId) ?? new Map<string, number>();
    const now = performance.now();
    for (const [address, expires] of given) if (expires <= now) given.delete(address);
    this.#given.set(containerId, given);
    return given;
  }
}

/** From each of the container's addresses to this one. */
export function admittedElements(
  rules: readonly EgressRule[],
  destination: IpAddress,
  timeoutMs: number,
): Placed[] {
  return rules.flatMap(({ addresses }) =>
    addresses
      .filter(({ family }) => family === destination.family)
      .map((source) => ({
        set: familySets(destination.family).admitted,
        element: { key: joinKey(addressBytes(source), addressBytes(destination)), timeoutMs },
      })),
  );
}
