/** Outputs as BuildKit's clients name them ("exporters"), and what they are told of the results. */
import type { Exporter } from '../../api/buildkit/control_pb.ts';
import { InvalidParameterError } from '../../base/errors.ts';
import type { ExportOutcome } from '../../build/builder.ts';
import type { OutputSpec } from '../../build/solve-request.ts';

/** In the order of the client's list, by which it knows them. No exporter: the build's only result is cache. */
export function outputsOf(exporters: readonly Pick<Exporter, 'type' | 'attrs'>[]): OutputSpec[] {
  if (exporters.length === 0) return [{ type: 'cacheonly' }];
  return exporters.map(({ type, attrs }) => outputOf(type, attrs));
}

function outputOf(type: string, attributes: Readonly<Record<string, string>>): OutputSpec {
  const names = (attributes['name'] ?? '').split(',').filter((name) => name !== '');
  switch (type) {
    case 'moby':
    case 'image':
      return {
        type: 'image',
        names,
        push: flag('push', attributes['push'], false),
        store: flag('store', attributes['store'], true),
        attributes,
      };
    case 'oci':
    case 'docker':
      // Without, the client offers a store for single blobs instead of taking one file.
      return {
        type,
        names,
        attributes: { ...attributes, tar: String(flag('tar', attributes['tar'], true)) },
      };
    case 'local':
    case 'tar':
      return { type, names, attributes };
    case 'cacheonly':
      return { type };
    default:
      throw new InvalidParameterError(`exporter "${type}" could not be found`);
  }
}

/** Go's booleans. */
function flag(name: string, text: string | undefined, fallback: boolean): boolean {
  if (text === undefined || text === '') return fallback;
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw new InvalidParameterError(`invalid value "${text}" of ${name}: expected true or false`);
}

/** `--iidfile` and `--metadata-file` are written from it. */
export function exporterResponse({ imageId, metadata }: ExportOutcome): Record<string, string> {
  if (imageId === undefined) return { ...metadata };
  return { 'containerimage.config.digest': imageId, 'containerimage.digest': imageId, ...metadata };
}
