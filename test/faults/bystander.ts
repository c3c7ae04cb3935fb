/**
 * A container that runs while others are struck: the same process all the time, a log in which no line is missing, and
 * a published port that answers.
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { eventually } from '../integration/command.ts';
import { timeLimitMs } from '../run/time-limit.ts';
import type { FaultedDaemon } from './faulted-daemon.ts';

const PORT = 18_080;
const PROGRAM = 'httpd -p 80 -h /var/www; i=0; while :; do echo "tick $i"; i=$((i+1)); sleep 0.05; done';

interface Described {
  State: { Pid: number; Running: boolean; StartedAt: string };
}

export class Bystander {
  readonly #daemon: FaultedDaemon;
  readonly id: string;
  #pid = 0;
  #startedAt = '';
  /** Lines that were judged already, and bytes of the log that they took. */
  #seen = 0;
  #position = 0;

  private constructor(daemon: FaultedDaemon, id: string) {
    this.#daemon = daemon;
    this.id = id;
  }

  static async start(daemon: FaultedDaemon): Promise<Bystander> {
    await daemon.ask('POST', '/volumes/create', { body: { Name: 'bystander' } });
    const created = await daemon.ask('POST', '/containers/create?name=bystander', {
      body: {
        Image: 'busybox',
        Cmd: ['sh', '-c', PROGRAM],
        ExposedPorts: { '80/tcp': {} },
        HostConfig: {
          PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(PORT) }] },
          Binds: ['bystander:/kept'],
        },
      },
    });
    const bystander = new Bystander(daemon, created.json<{ Id: string }>().Id);
    await daemon.ask('POST', '/containers/bystander/start');
    const { State } = await bystander.#describe();
    bystander.#pid = State.Pid;
    bystander.#startedAt = State.StartedAt;
    await eventually('the bystander answers', () => answers(PORT), timeLimitMs(30_000));
    return bystander;
  }

  /** What is wrong with it, a line each. With `losesLog` its log may have gaps; what there is is whole and in order. */
  async judge(losesLog?: true): Promise<string[]> {
    const { State } = await this.#describe();
    const wrong: string[] = [];
    if (!State.Running || State.Pid !== this.#pid || State.StartedAt !== this.#startedAt)
      wrong.push(`bystander: another run: ${JSON.stringify(State)}, was process ${this.#pid}`);
    const before = this.#seen;
    const goesOn = async (): Promise<boolean> => {
      wrong.push(...this.#readLog(losesLog));
      return this.#seen > before;
    };
    await eventually('the log grows', goesOn, timeLimitMs(5000)).catch(() =>
      wrong.push(`bystander: its log stands still at line ${this.#seen}`),
    );
    await eventually('the port answers', () => answers(PORT), timeLimitMs(5000)).catch(() =>
      wrong.push('bystander: its published port does not answer'),
    );
    return wrong;
  }

  async #describe(): Promise<Described> {
    return (await this.#daemon.ask('GET', `/containers/${this.id}/json`)).json<Described>();
  }

  #readLog(losesLog?: true): string[] {
    const path = join(this.#daemon.dataRoot, 'containers', this.id, `${this.id}-json.log`);
    const text = readFileSync(path).subarray(this.#position).toString();
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    this.#position += Buffer.byteLength(whole);
    const wrong: string[] = [];
    for (const line of whole.split('\n').filter((one) => one !== '')) {
      const { log } = JSON.parse(line) as { log: string };
      // The supervisor says where it could not write.
      if (losesLog === true && /^mydock: \d+ log lines? (is|are) missing here: /.test(log)) continue;
      const tick = Number(/^tick (\d+)\n$/.exec(log)?.[1] ?? Number.NaN);
      if (losesLog === true && tick > this.#seen) this.#seen = tick;
      if (log !== `tick ${this.#seen}\n`)
        wrong.push(`bystander: its log has ${log.trim()} for tick ${this.#seen}`);
      this.#seen += 1;
    }
    return wrong;
  }
}

/** Whether a published port answers with a page. */
export async function answers(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path: '/', timeout: 1000 }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode === 200));
    });
    asked.once('error', () => resolve(false));
    asked.once('timeout', () => asked.destroy());
    asked.end();
  });
}
