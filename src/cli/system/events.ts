/** `mydock events`: what happens to containers, images, networks and volumes, as it happens. */
import type { EventMessage } from '../../api/system.ts';
import type { Client } from '../../client/client.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { CliError } from '../cli-error.ts';
import { stringFlag } from '../flags/declare.ts';
import { filterFlag } from '../flags/list-flags.ts';
import { parseExact } from '../format/json-indent.ts';
import { TemplateExecError, TemplateSyntaxError } from '../format/template/nodes.ts';
import { compileTemplate, type Template } from '../format/template/template.ts';
import { GoMap, GoStruct, type Value } from '../format/template/values.ts';
import { printableLine } from '../format/text.ts';
import { type Io, printLine } from '../io.ts';
import { filterQuery } from '../options/filter.ts';
import { parseTimestamp } from '../options/quantity.ts';
import { defineVerb } from '../verb.ts';

export interface EventsOptions {
  filter: string[];
  format?: string;
  since?: string;
  until?: string;
}

export const events = defineVerb<EventsOptions>({
  usage: '[OPTIONS]',
  summary: 'Show events of the daemon as they happen',
  args: { min: 0, max: 0 },
  flags(command) {
    filterFlag(command);
    stringFlag(command, '--format <string>', 'Output as "json" or a Go template');
    stringFlag(command, '--since <string>', 'From this time on (RFC 3339, or "42m" for 42 minutes ago)');
    stringFlag(command, '--until <string>', 'End at this time');
  },
  run: ({ client, io }, _, options) => runEvents(client, io, options),
});

/** As the daemon sent it, its nanoseconds exact. */
type ExactEvent = Omit<EventMessage, 'timeNano'> & { timeNano: number | bigint };

/** Ends when the daemon ends the stream: at `until`, or when it stops itself. */
export async function runEvents(client: Client, io: Io, options: EventsOptions): Promise<number> {
  const lineOf = options.format ? templateLine(options.format) : eventLine;
  const stream = await client.stream('GET', '/events', {
    query: {
      since: parseTimestamp(options.since ?? '', io.now()) || undefined,
      until: parseTimestamp(options.until ?? '', io.now()) || undefined,
      filters: filterQuery(options.filter),
    },
  });
  for await (const event of jsonLines<ExactEvent>(stream, parseExact)) printLine(io, lineOf(event));
  return 0;
}

/** `2024-01-02T03:04:05.000000006Z container start <ID> (image=busybox, name=web)`. */
function eventLine(event: ExactEvent): string {
  const { Type, Action, Actor } = event;
  const attributes = Object.entries(Actor.Attributes ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`);
  const suffix = attributes.length === 0 ? '' : ` (${attributes.join(', ')})`;
  return printableLine(`${eventTime(event)} ${Type} ${Action} ${Actor.ID}${suffix}`);
}

const NANOSECONDS = 1_000_000_000n;

/** In the local zone, with nine digits of the second. */
function eventTime({ time, timeNano }: ExactEvent): string {
  const ns = timeNano ? BigInt(timeNano) : BigInt(time) * NANOSECONDS;
  const date = new Date(Number(ns / 1_000_000n));
  const offset = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, 19);
  return `${local}.${String(ns % NANOSECONDS).padStart(9, '0')}${zoneText(offset)}`;
}

function zoneText(offsetMinutes: number): string {
  if (offsetMinutes === 0) return 'Z';
  const two = (value: number): string => String(Math.trunc(value)).padStart(2, '0');
  const minutes = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`;
}

const FORMAT_EXIT = 64;

const NO_EVENT: ExactEvent = {
  Type: 'container',
  Action: '',
  Actor: { ID: '', Attributes: {} },
  scope: 'local',
  time: 0,
  timeNano: 0,
};

/** The template is tried before anything is asked for. Throws `CliError` with 64. */
function templateLine(format: string): (event: ExactEvent) => string {
  let template: Template;
  try {
    template = compileTemplate(format === 'json' ? '{{json .}}' : format);
    template.execute(eventValue(NO_EVENT));
  } catch (error) {
    if (!(error instanceof TemplateSyntaxError || error instanceof TemplateExecError)) throw error;
    const prefix = error instanceof TemplateSyntaxError ? 'template: ' : '';
    const message = error.message.startsWith('template: ') ? error.message : prefix + error.message;
    throw new CliError(`Error parsing format: ${message}`, FORMAT_EXIT);
  }
  return (event) => template.execute(eventValue(event));
}

/** With the names of Go's struct, which differ from those in JSON. */
function eventValue(event: ExactEvent): Value {
  const missing = "can't evaluate field % in type *events.Message";
  const attributes = new GoMap(new Map(Object.entries(event.Actor.Attributes ?? {})));
  const actor = new GoStruct(
    new Map<string, Value>([
      ['ID', event.Actor.ID],
      ['Attributes', attributes],
    ]),
    "can't evaluate field % in type events.Actor",
  );
  const fields = new Map<string, Value>([
    ['Status', event.status ?? ''],
    ['ID', event.id ?? ''],
    ['From', event.from ?? ''],
    ['Type', event.Type],
    ['Action', event.Action],
    ['Actor', actor],
    ['Scope', event.scope],
    ['Time', event.time],
    ['TimeNano', event.timeNano],
  ]);
  return new GoStruct(fields, missing, false, exactJson(event));
}

function exactJson(event: ExactEvent): string {
  const json = JSON.stringify({ ...event, timeNano: 0 });
  return json.replace(/"timeNano":0\}$/, `"timeNano":${event.timeNano}}`);
}
