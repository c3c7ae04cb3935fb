/** `--gpus`: `all`, a number, or comma-separated fields (`"device=0,1",capabilities=utility`), as Docker reads them. */
import type { DeviceRequest } from '../../api/host-config.ts';
import { splitCsv } from './csv.ts';

const ALL = -1;

/** Throws where a field is unknown, given twice, or contradicts another. */
export function parseGpus(text: string): DeviceRequest {
  const request: Required<DeviceRequest> = {
    Driver: '',
    Count: 0,
    DeviceIDs: [],
    Capabilities: [['gpu']],
    Options: {},
  };
  const seen = new Set<string>();
  for (const field of splitCsv(text)) {
    const [key = '', value] = field.split(/=(.*)/s);
    // A field without a name is the count.
    const name = value === undefined ? 'count' : key;
    if (seen.has(name)) throw new Error(`gpu request key '${name}' can be specified only once`);
    seen.add(name);
    applyField(request, name, value ?? key, text);
  }
  if (!seen.has('count') && (request.DeviceIDs ?? []).length === 0) request.Count = 1;
  return request;
}

function applyField(request: Required<DeviceRequest>, name: string, value: string, text: string): void {
  switch (name) {
    case 'driver':
      request.Driver = value;
      return;
    case 'count':
      request.Count = parseCount(value);
      return;
    case 'device':
      request.DeviceIDs = value.split(',');
      return;
    case 'capabilities':
      request.Capabilities = [[...value.split(','), 'gpu']];
      return;
    case 'options':
      request.Options = Object.fromEntries(
        splitCsv(value).map((option) => {
          const [key = '', content = ''] = option.split(/=(.*)/s);
          return [key, content];
        }),
      );
      return;
    default:
      throw new Error(`unexpected key '${name}' in '${text}'`);
  }
}

function parseCount(text: string): number {
  if (text === 'all') return ALL;
  if (!/^-?\d{1,9}$/.test(text)) {
    throw new Error(`invalid count (${text}): value must be either "all" or an integer`);
  }
  return Number(text);
}
