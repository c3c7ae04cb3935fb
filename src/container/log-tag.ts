/** `--log-opt tag`: the template that names a container in its log, with the fields of Docker's log tags. */
import { InvalidParameterError } from '../base/errors.ts';
import type { ContainerRecord } from './record.ts';

const SHORT_ID = 12;

const FIELDS: Record<string, (record: ContainerRecord) => string> = {
  ID: ({ id }) => id.slice(0, SHORT_ID),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => imageId.replace(/^sha256:/, '').slice(0, SHORT_ID),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ image }) => image,
  Command: ({ config }) => [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])].join(' '),
  Hostname: ({ config }) => config.Hostname ?? '',
  DaemonName: () => 'mydock',
};

const ACTION = /\{\{-?\s*\.([A-Za-z]+)\s*-?\}\}/g;

/** Throws InvalidParameter for a field that does not exist, and for what templates can do beyond fields. */
export function checkTag(template: string): void {
  for (const [, name = ''] of template.matchAll(ACTION)) {
    if (FIELDS[name] === undefined) {
      throw new InvalidParameterError(
        `template: log-tag: executing "log-tag" at <.${name}>: can't evaluate field ${name} in type *logger.Info`,
      );
    }
  }
  if (template.replace(ACTION, '').includes('{{')) {
    throw new InvalidParameterError(
      `log opt tag: "${template}": only fields are supported, such as {{.Name}}`,
    );
  }
}

export function expandTag(template: string, record: ContainerRecord): string {
  return template.replace(ACTION, (_, name: string) => FIELDS[name]?.(record) ?? '');
}
