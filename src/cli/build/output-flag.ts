/** `-o, --output`: where the result of a build goes, and which part of that this client does itself. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { readAttributes } from './attributes.ts';

export interface OutputFlag {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** A path here, or `-`. */
  readonly dest?: string;
}

/** As the daemon is told. */
export interface WireOutput {
  readonly Type: string;
  readonly Attrs: Readonly<Record<string, string>>;
}

/** What the daemon sends for the output of that place in the list. */
export type OutputSink =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'stdout' };

const TYPES = ['image', 'registry', 'docker', 'oci', 'local', 'tar', 'cacheonly'];

export function parseOutput(text: string): OutputFlag {
  if (text === '-') return { type: 'tar', attributes: {}, dest: '-' };
  if (text === '') throw new Error('it must not be empty');
  if (!/^"?[\w-]+=/.test(text)) return { type: 'local', attributes: {}, dest: text };
  const { type, dest, ...attributes } = Object.fromEntries(readAttributes(text));
  if (type === undefined || type === '') throw new Error('type is required for output');
  if (!TYPES.includes(type)) throw new Error(`unknown type "${type}": it must be one of ${TYPES.join(', ')}`);
  if (type === 'local' && !dest) throw new Error('dest is required for local output');
  return dest === undefined ? { type, attributes } : { type, attributes, dest };
}

/** Outputs in the daemon's words, with what it sends here for some of them. Throws CliError where there is no place for that. */
export function planOutputs(
  flags: readonly OutputFlag[],
  { push, load }: { push: boolean; load: boolean },
  io: Io,
): { outputs: WireOutput[]; sinks: Map<number, OutputSink> } {
  const outputs: WireOutput[] = [];
  const sinks = new Map<number, OutputSink>();
  for (const { type, attributes, dest } of flags) {
    if (isImage(type, dest)) {
      const pushed = push && type === 'image' ? { ...attributes, push: 'true' } : attributes;
      outputs.push({ Type: type === 'registry' ? 'registry' : 'image', Attrs: pushed });
      continue;
    }
    if (type !== 'cacheonly') sinks.set(outputs.length, sinkOf(type, attributes, dest, io));
    outputs.push(wireOutput(type, attributes));
  }
  const hasImage = outputs.some(({ Type }) => Type === 'image' || Type === 'registry');
  const pushes = outputs.some(({ Type, Attrs }) => Type === 'registry' || Attrs['push'] === 'true');
  if (push && !pushes) outputs.push({ Type: 'image', Attrs: { push: 'true' } });
  else if (load && !hasImage) outputs.push({ Type: 'image', Attrs: {} });
  return { outputs, sinks };
}

function isImage(type: string, dest: string | undefined): boolean {
  return type === 'image' || type === 'registry' || (type === 'docker' && dest === undefined);
}

/** Folders travel as archives, and are unpacked here. */
function wireOutput(type: string, attributes: Readonly<Record<string, string>>): WireOutput {
  if (type === 'local') return { Type: 'tar', Attrs: attributes };
  const { tar: _, ...rest } = attributes;
  return { Type: type, Attrs: type === 'oci' || type === 'docker' ? rest : attributes };
}

function sinkOf(
  type: string,
  attributes: Readonly<Record<string, string>>,
  dest: string | undefined,
  io: Io,
): OutputSink {
  const folder = type === 'local' || attributes['tar'] === 'false';
  if (folder) {
    if (dest === undefined || dest === '-')
      throw new CliError(`dest is required for ${type} output with tar=false`);
    return { kind: 'folder', path: folderPath(resolve(io.cwd, dest)) };
  }
  if (dest !== undefined && dest !== '-')
    return { kind: 'file', path: filePath(resolve(io.cwd, dest), type) };
  if (io.stdout.isTTY === true) {
    throw new CliError(`dest file is required for ${type} exporter. refusing to write to console`);
  }
  return { kind: 'stdout' };
}

function folderPath(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats !== undefined && !stats.isDirectory())
    throw new CliError(`destination directory ${path} is a file`);
  return path;
}

function filePath(path: string, type: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return path;
  throw new CliError(`destination file for ${type} exporter is a directory: ${path}`);
}
