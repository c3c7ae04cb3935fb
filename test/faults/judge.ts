/**
 * What is asked after every strike: `system check` finds nothing, the bystander was not disturbed, and in the end the
 * machine is as it was before the scenario. Lines that are returned are what is wrong.
 */
import type { SystemCheckMessage } from '../../src/api/system.ts';
import { eventually } from '../integration/command.ts';
import { timeLimitMs } from '../run/time-limit.ts';
import { Bystander } from './bystander.ts';
import type { FaultedDaemon } from './faulted-daemon.ts';
import { difference, processesOfHarness, snapshot } from './snapshot.ts';

/** What is given back behind an answer, or once a pool is full again. */
const SETTLE_LIMIT_MS = timeLimitMs(8000);

export class Judge {
  readonly #daemon: FaultedDaemon;
  readonly #bystander: Bystander;
  #before: readonly string[] = [];

  private constructor(daemon: FaultedDaemon, bystander: Bystander) {
    this.#daemon = daemon;
    this.#bystander = bystander;
  }

  /** Starts the bystander, and remembers how the machine looks with it, under a daemon that has taken it over. */
  static async begin(daemon: FaultedDaemon): Promise<Judge> {
    const judge = new Judge(daemon, await Bystander.start(daemon));
    await daemon.kill();
    await daemon.launch();
    await judge.remember();
    return judge;
  }

  /** ID of the container that is not to be struck. */
  get bystander(): string {
    return this.#bystander.id;
  }

  /** Takes the machine as it is, once it has come to rest, for how it is to be. */
  async remember(): Promise<void> {
    let last = this.#look();
    let equal = 0;
    await eventually('the machine comes to rest', () => {
      const now = this.#look();
      equal = difference(last, now).length === 0 ? equal + 1 : 0;
      last = now;
      return equal >= 8;
    });
    this.#before = last;
  }

  /** At once after the strike. With `losesLog` the bystander's log may have gaps. */
  async lives(losesLog?: true): Promise<string[]> {
    return [...(await this.#check()), ...(await this.#bystander.judge(losesLog))];
  }

  /** When all that the scenario has made is removed. */
  async isAsBefore(): Promise<string[]> {
    const changed = (): string[] => difference(this.#before, this.#look());
    return await eventually(
      'the machine is as before',
      () => changed().length === 0 && [],
      SETTLE_LIMIT_MS,
    ).catch(() => changed().map((line) => `left: ${line}`));
  }

  #look(): string[] {
    return snapshot(this.#daemon, processesOfHarness(this.#daemon.pid));
  }

  async #check(): Promise<string[]> {
    const { text } = await this.#daemon.ask('POST', '/system/check?quick=1');
    const messages = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as SystemCheckMessage);
    const findings = messages.filter((message) => !('Checked' in message));
    return findings.map((message) => `system check: ${JSON.stringify(message)}`);
  }
}
