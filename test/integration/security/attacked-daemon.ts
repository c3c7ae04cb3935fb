/** A daemon whose images an attacker makes: a registry that serves what a test gives it, and a victim on the host. */
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { type Gateway, startGateway } from '../../fixtures/gateway.ts';
import { makeImage, makeLayer } from '../../fixtures/image.ts';
import { makeTar, type TarEntry } from '../../fixtures/tar.ts';
import { Daemon } from '../harness.ts';
import { Victim } from './attack.ts';

export class AttackedDaemon {
  readonly daemon: Daemon;
  readonly gateway: Gateway;
  readonly victim: Victim;

  private constructor(daemon: Daemon, gateway: Gateway) {
    this.daemon = daemon;
    this.gateway = gateway;
    this.victim = new Victim(daemon.folder);
  }

  /** With an image `busybox`. */
  static async start(): Promise<AttackedDaemon> {
    const gateway = await startGateway();
    const daemon = await Daemon.start().catch(async (error: unknown) => {
      await gateway.stop();
      throw error;
    });
    const made = new AttackedDaemon(daemon, gateway);
    await made.image('busybox', []);
    return made;
  }

  /** Makes `name` an image of the busybox program and one more layer. */
  async image(name: string, entries: readonly TarEntry[], config: object = {}): Promise<void> {
    const layers = [await busyboxLayer(), makeLayer(makeTar(entries), 'gzip')];
    const reference = this.gateway.add(name, 'latest', makeImage({ layers, config }));
    await this.daemon.ok('pull', '-q', reference);
    await this.daemon.ok('tag', reference, name);
  }

  async close(): Promise<void> {
    try {
      await this.daemon.close();
    } finally {
      await this.gateway.stop();
    }
  }
}
