/**
 * What every maker of layers in a build is given, beside what the layer is made of: the build's hold. A layer that is held
 * only once its maker has returned may be gone by then, where another user of the same content lets go of it.
 */
import type { NewLayersHold } from '../image/store/image-store.ts';

/** Goes to the snapshotter as (part of) its options. What is made with it stays until the build is released. */
export type NewLayers = Pick<NewLayersHold, 'onStored'>;
