/**
 * Steps that make layers, one after the other on one stack: each is looked for in the cache, waited for where another
 * build does it right now, or done. A key needs the layers below; where a step's changes are still being stored, the
 * next one is looked for only if a step like it was ever done, and else begins at once.
 */
import { step, stepSync } from '../../base/steps.ts';
import type { CommittedLayer } from '../../image/layers/snapshotter.ts';
import type { Semaphore } from '../../image/semaphore.ts';
import type { ProgressVertex } from '../progress.ts';
import type { PendingLayer } from '../run/run-step.ts';
import type { BuildParts } from './build-parts.ts';
import type { Executions, StepResult } from './executions.ts';
import type { LayerStack } from './layer-stack.ts';
import type { BuiltLayer } from './solved.ts';
import type { StepCacheUse } from './step-cache-use.ts';
import { hash, quickKey, stepKey } from './step-keys.ts';

export type Executed =
  | { kind: 'stored'; layer: CommittedLayer | undefined }
  | { kind: 'pending'; pending: PendingLayer };

/** A step, ready to be looked for and to be done. */
export interface LayerWork {
  /** For lists of the cache. */
  description: string;
  /** Made by `definitionKey`. */
  definition: string;
  /** Names what it takes without reading it; undefined where only its content tells. */
  identity: string | undefined;
  /** The same within this build. */
  local: string;
  /** False as long as `content` has to read for it. */
  contentKnown(): Promise<boolean>;
  /** Digest of all that it takes. */
  content(): Promise<string>;
  /** Its result does not depend on the layers below. */
  independent: boolean;
  execute(stack: LayerStack, vertex: ProgressVertex): Promise<Executed>;
}

export interface LayerStepsOptions {
  parts: Pick<BuildParts, 'images'>;
  cache: StepCacheUse;
  executions: Executions;
  /** Steps at a time, over the stages of the build. */
  slots: Semaphore;
  /** Results are not looked for. What is made is cached all the same. */
  noCache: boolean;
  /** A step may begin before the one below is stored. */
  pipelined: boolean;
  buildId: string;
  signal: AbortSignal;
}

export interface StepOutcome {
  cached: boolean;
  /** Hex digits that name the state after the step. */
  name: string;
  /** Resolves with whether the step made a layer; rejects where that cannot be stored. */
  madeLayer: Promise<boolean>;
}

export class LayerSteps {
  readonly #options: LayerStepsOptions;
  readonly #stack: LayerStack;
  /** Key of the last record, for the list of the cache. */
  #below: string | undefined;

  constructor(options: LayerStepsOptions, stack: LayerStack) {
    this.#options = options;
    this.#stack = stack;
  }

  /** Throws what `execute` throws. */
  async perform(work: LayerWork, vertex: ProgressVertex): Promise<StepOutcome> {
    const { cache, noCache, pipelined, signal } = this.#options;
    signal.throwIfAborted();
    const mayHave = !noCache && (await cache.mayHave(work.definition));
    if (mayHave) {
      const hit = await step('build/find', work.description, () => this.#find(work));
      if (hit !== undefined) return this.#use(vertex, hit);
    }
    // Equal steps of several platforms are known by the layers below them.
    if (!pipelined) await this.#stack.settleAbove();
    return await this.#shared(work, vertex, mayHave);
  }

  async #chain(work: LayerWork): Promise<string> {
    return work.independent ? '' : await this.#stack.chain();
  }

  async #find(work: LayerWork): Promise<StepResult | undefined> {
    const { cache } = this.#options;
    const chain = await this.#chain(work);
    const quick = work.identity === undefined ? undefined : quickKey(work.definition, chain, work.identity);
    const known = quick === undefined ? undefined : await cache.find(quick, work.definition);
    if (known !== undefined) return known;
    const found = await cache.find(stepKey(work.definition, chain, await work.content()), work.definition);
    if (found !== undefined && quick !== undefined) {
      stepSync('build/alias', work.description, () => cache.alias(quick, found.key));
    }
    return found;
  }

  #use(vertex: ProgressVertex, { key, layer }: StepResult): StepOutcome {
    vertex.cached();
    this.#stack.push(key, layer);
    if (layer !== undefined) this.#below = key;
    return { cached: true, name: key, madeLayer: Promise.resolve(layer !== undefined) };
  }

  /** Two stages, platforms or builds that come to the same step at a time do it once. */
  async #shared(work: LayerWork, vertex: ProgressVertex, contentKnown: boolean): Promise<StepOutcome> {
    const { executions, noCache, buildId, signal } = this.#options;
    const known = contentKnown || (await work.contentKnown());
    const content = known ? await work.content() : work.local;
    const own = noCache || !known ? buildId : '';
    const below = work.independent ? '' : this.#stack.lineage;
    const lineage = hash([work.definition, below, content, own]);
    let turn = await executions.join(lineage, signal);
    while ('result' in turn) {
      const quick =
        work.identity === undefined
          ? undefined
          : quickKey(work.definition, await this.#chain(work), work.identity);
      const taken = await this.#options.cache.take(turn.result, work.definition, quick);
      if (taken) return this.#use(vertex, turn.result);
      turn = await executions.join(lineage, signal);
    }
    try {
      const { outcome, result } = await this.#execute(work, vertex, lineage);
      turn.done(result);
      return outcome;
    } catch (error) {
      const failed = Promise.reject(error);
      failed.catch(() => {});
      turn.done(failed);
      throw error;
    }
  }

  async #execute(
    work: LayerWork,
    vertex: ProgressVertex,
    lineage: string,
  ): Promise<{ outcome: StepOutcome; result: Promise<StepResult> }> {
    const { slots, signal, cache } = this.#options;
    const chain = this.#chain(work);
    // Awaited below; until then a failure of the layers below is nobody's.
    chain.catch(() => {});
    const below = this.#below;
    await slots.acquire(signal);
    let executed: Executed;
    try {
      vertex.start();
      executed = await step('build/execute', work.description, () => work.execute(this.#stack, vertex));
    } catch (error) {
      vertex.fail(error);
      throw error;
    } finally {
      slots.release();
    }
    vertex.complete();
    const result = cache.settling(this.#store(work, executed, chain, below));
    const layer = result.then((stored) => stored.layer);
    const madeLayer = layer.then((one) => one !== undefined);
    madeLayer.catch(() => {});
    if (executed.kind === 'pending') {
      this.#stack.pushPending(lineage, executed.pending, layer);
    } else {
      const { key } = await result;
      this.#stack.push(key, await layer);
      if (executed.layer !== undefined) this.#below = key;
    }
    return { outcome: { cached: false, name: lineage, madeLayer }, result };
  }

  async #store(
    work: LayerWork,
    executed: Executed,
    chain: Promise<string>,
    parent: string | undefined,
  ): Promise<StepResult> {
    const committed = executed.kind === 'stored' ? executed.layer : await executed.pending.committed;
    const { cache, parts } = this.#options;
    const stored =
      committed === undefined
        ? undefined
        : await step('build/keep-blob', committed.diffId, () => parts.images.keepBlob(committed));
    const key = stepKey(work.definition, await chain, await work.content());
    const layer: BuiltLayer | undefined =
      stored === undefined || committed === undefined
        ? undefined
        : { ...stored, sizeBytes: committed.sizeBytes, cacheKey: key };
    const { definition, description } = work;
    stepSync('build/record', description, () => cache.store({ key, definition, layer, description, parent }));
    if (work.identity !== undefined) {
      const quick = quickKey(definition, await chain, work.identity);
      stepSync('build/alias', description, () => cache.alias(quick, key));
    }
    return { key, layer };
  }
}
