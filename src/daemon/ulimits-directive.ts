/** The directive `default-ulimit`, as it is given on the command line and in the configuration file. */
import type { Ulimit } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';

/** `nofile=1024:2048` on the command line, `{"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}` in the file. */
export function readUlimits(value: unknown, where: string): Record<string, Ulimit> {
  const wrong = (item: unknown): never => {
    throw new InvalidParameterError(
      `${where}: invalid ulimit ${JSON.stringify(item)}: expected NAME=SOFT[:HARD]`,
    );
  };
  const entries = Array.isArray(value)
    ? value.map((item): Ulimit => {
        const match = /^([a-z]+)=(-?\d{1,15})(?::(-?\d{1,15}))?$/.exec(String(item));
        if (match === null) return wrong(item);
        const [, Name = '', soft, hard = soft] = match;
        return { Name, Soft: Number(soft), Hard: Number(hard) };
      })
    : Object.entries(typeof value === 'object' && value !== null ? value : { '': value }).map(
        ([key, item]: [string, Partial<Ulimit> | null]): Ulimit => {
          const { Name = key, Soft, Hard } = item ?? {};
          if (Name !== key || !Number.isInteger(Soft) || !Number.isInteger(Hard)) return wrong(item);
          return { Name, Soft: Number(Soft), Hard: Number(Hard) };
        },
      );
  return Object.fromEntries(entries.map((limit) => [limit.Name, limit]));
}
