/**
 * A build told in the words of Docker's classic builder, which its clients print as they come and search for
 * `Successfully built`. Stages run side by side, but the text has the order of the Dockerfile: what a step prints is
 * held while one above it is unfinished.
 */
import { StringDecoder } from 'node:string_decoder';
import type { BuildMessage } from '../api/build.ts';
import type { BuildStatus } from '../api/build-status.ts';
import type { JSONMessage } from '../api/images.ts';
import type { ListedStep, StepListener } from './solve/step-listener.ts';

/** Of held output; the rest is left out, and said to be. */
const HELD_MAX_BYTES = 16 * 1024 * 1024;

interface TextStep extends ListedStep {
  held: BuildMessage[];
  heldBytes: number;
  vertex: string;
  triggers: readonly string[];
  running: boolean;
  ended: boolean;
}

export class ClassicOutput implements StepListener {
  readonly #send: (message: BuildMessage) => void;
  readonly #steps: TextStep[] = [];
  readonly #byId = new Map<string, TextStep>();
  readonly #byVertex = new Map<string, TextStep>();
  readonly #decoders = new Map<string, StringDecoder>();
  /** The step whose output goes out as it comes. */
  #current = 0;

  constructor(send: (message: BuildMessage) => void) {
    this.#send = send;
  }

  planned(steps: readonly ListedStep[]): void {
    for (const [index, listed] of steps.entries()) {
      const text = `Step ${index + 1}/${steps.length} : ${listed.text}\n`;
      const step: TextStep = {
        ...listed,
        held: [{ stream: text }],
        heldBytes: 0,
        vertex: '',
        triggers: [],
        running: false,
        ended: false,
      };
      this.#steps.push(step);
      this.#byId.set(listed.id, step);
    }
    this.#flush();
  }

  began(id: string, vertex: string): void {
    const step = this.#byId.get(id);
    if (step === undefined) return;
    step.vertex = vertex;
    this.#byVertex.set(vertex, step);
  }

  pulling(id: string, message: JSONMessage<unknown>): void {
    const step = this.#byId.get(id);
    if (step !== undefined) this.#print(step, message as BuildMessage);
  }

  triggers(id: string, texts: readonly string[]): void {
    const step = this.#byId.get(id);
    if (step !== undefined) step.triggers = texts;
  }

  ended(id: string, { cached, result }: { cached: boolean; result: string }): void {
    const step = this.#byId.get(id);
    if (step === undefined || step.ended) return;
    if (cached) this.#text(step, ' ---> Using cache\n');
    else if (step.running)
      this.#text(step, ` ---> Removed intermediate container ${shortName(step.vertex)}\n`);
    // ARGs in front of the first FROM belong to no image.
    if (!step.global) this.#text(step, ` ---> ${result.slice(0, 12)}\n`);
    const { length } = step.triggers;
    if (length > 0) this.#text(step, `# Executing ${length} build trigger${length > 1 ? 's' : ''}\n`);
    step.ended = true;
    this.#flush();
  }

  /** Statuses of the same build: output and warnings. */
  status(status: BuildStatus): void {
    for (const { vertex, stream, data } of status.logs ?? []) {
      const step = this.#byVertex.get(vertex);
      if (step === undefined) continue;
      this.#begin(step);
      const key = `${vertex} ${stream}`;
      const decoder = this.#decoders.get(key) ?? new StringDecoder('utf8');
      this.#decoders.set(key, decoder);
      this.#text(step, decoder.write(Buffer.from(data, 'base64')));
    }
    for (const { digest, started, cached } of status.vertexes ?? []) {
      const step = this.#byVertex.get(digest);
      if (step !== undefined && started !== undefined && cached !== true) this.#begin(step);
    }
    for (const { short } of status.warnings ?? []) {
      const text = Buffer.from(short, 'base64').toString();
      this.#send({ stream: text.startsWith('[Warning]') ? `${text}\n` : `[Warning] ${text}\n` });
    }
  }

  /** A program runs. */
  #begin(step: TextStep): void {
    if (step.running || step.ended || !/^\s*RUN\b/i.test(step.text)) return;
    step.running = true;
    this.#text(step, ` ---> Running in ${shortName(step.vertex)}\n`);
  }

  #text(step: TextStep, text: string): void {
    if (text !== '') this.#print(step, { stream: text });
  }

  #print(step: TextStep, message: BuildMessage): void {
    if (this.#steps[this.#current] === step) {
      this.#send(message);
      return;
    }
    if (step.heldBytes > HELD_MAX_BYTES) return;
    step.heldBytes += message.stream?.length ?? 100;
    const cut = step.heldBytes > HELD_MAX_BYTES;
    step.held.push(cut ? { stream: '[output of this step that was held back is cut off here]\n' } : message);
  }

  /** What the step at hand holds, and all that are over below it. */
  #flush(): void {
    for (let step = this.#steps[this.#current]; step !== undefined; step = this.#steps[this.#current]) {
      for (const message of step.held.splice(0)) this.#send(message);
      if (!step.ended) return;
      this.#current++;
    }
  }

  /** The build has failed: what unfinished steps have printed is told after all. */
  fail(): void {
    for (const step of this.#steps.slice(this.#current)) {
      if (step.running || step.ended) for (const message of step.held.splice(0)) this.#send(message);
    }
  }
}

function shortName(vertex: string): string {
  return vertex.slice('sha256:'.length, 'sha256:'.length + 12);
}
