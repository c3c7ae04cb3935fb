/**
 * QEMU, emulating a PC in software: one processor, two disks (written to in a temporary file alone), no network.
 * What the tests say comes over a virtio port; the console, with the kernel's and systemd's messages, goes to a file.
 */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { DebianMachine } from './debian.ts';

const MEMORY_MIB = 3072;
/** Everything that QEMU emulates but cmpxchg16b: with it a kernel panicked in its memory allocator (QEMU 7.2). */
const PROCESSOR = 'max,-cx16';
/** With two, about one boot in ten ended in a double fault (QEMU 7.2); with one none was seen. */
const PROCESSORS = 1;
/** tests.sh writes this ahead of the first test, */
const BEGIN_LINE = '\u0001begin';
/** and this with the exit status, as its last line. */
const STATUS_LINE = /^\u0001status (\d+)$/;
/** A quarter of a minute is usual. */
const BOOT_LIMIT_MS = 240_000;

export interface Boot {
  readonly machine: DebianMachine;
  readonly initrd: string;
  readonly projectDisk: string;
  /** The kernel's command line. */
  readonly parameters: readonly string[];
}

function commandLine(boot: Boot, serial: string, parameters: readonly string[]): string[] {
  const disks = [boot.machine.disk, boot.projectDisk].flatMap((file, index) => [
    '-drive',
    `if=none,id=disk${index},file=${file},format=raw,snapshot=on,cache=unsafe`,
    '-device',
    `virtio-blk-pci,drive=disk${index}`,
  ]);
  return [
    ...['-machine', 'q35', '-accel', 'tcg', '-cpu', PROCESSOR, '-smp', String(PROCESSORS)],
    ...['-m', String(MEMORY_MIB), '-nodefaults', '-no-user-config', '-display', 'none', '-nic', 'none'],
    ...['-no-reboot', '-kernel', boot.machine.kernel, '-initrd', boot.initrd],
    ...[
      '-append',
      [
        'console=ttyS0',
        'panic=-1',
        'mitigations=off',
        'systemd.show_status=error',
        'systemd.mask=tmp.mount',
        // Compiling Debian's hundred profiles takes as long as the rest of the boot.
        'systemd.mask=apparmor.service',
        ...parameters,
      ].join(' '),
    ],
    ...disks,
    ...['-serial', serial],
  ];
}

/** How a run of the machine ended: with the status of its tests, or without; `atBoot` where no test had begun. */
export type Outcome =
  | { readonly kind: 'tested'; readonly status: number }
  | { readonly kind: 'died'; readonly atBoot: boolean; readonly why: string };

/** Boots, and passes on the tests' output. The machine is stopped after `timeoutMs`. */
export async function runTests(
  boot: Boot,
  consoleFile: string,
  timeoutMs: number,
  print: (line: string) => void,
): Promise<Outcome> {
  const port = ['-chardev', 'stdio,id=tests,signal=off', '-device', 'virtio-serial-pci'];
  const args = [...commandLine(boot, `file:${consoleFile}`, boot.parameters), ...port];
  const child = spawn('qemu-system-x86_64', [...args, '-device', 'virtserialport,chardev=tests,name=tests'], {
    // An end of its stdin would close the port, and whoever writes to it in the machine would wait for ever.
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  // Until the first test begins; an end that was asked for, or a QEMU that is not there, is none of the machine's.
  let atBoot = true;
  let status: number | undefined;
  let stopped: string | undefined;
  const stopAfter = (ms: number, what: string): NodeJS.Timeout =>
    setTimeout(() => {
      stopped = `${what} after ${ms / 1000} s, and the machine was stopped`;
      child.kill('SIGKILL');
    }, ms);
  const bootTimer = stopAfter(BOOT_LIMIT_MS, 'no test had begun');
  const timer = stopAfter(timeoutMs, 'the tests had not ended');
  readLines(child.stdout, (line) => {
    const code = STATUS_LINE.exec(line)?.[1];
    if (line === BEGIN_LINE) {
      atBoot = false;
      clearTimeout(bootTimer);
    } else if (code === undefined) print(line);
    else status = Number(code);
  });
  const stop = (): void => {
    atBoot = false;
    child.kill('SIGKILL');
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.once(name, stop);
  const ended = await new Promise<string>((resolve) => {
    child.once('error', (error) => {
      atBoot = false;
      resolve(`qemu-system-x86_64 could not be started: ${error.message}`);
    });
    child.once('close', (code, signal) =>
      resolve(`the machine ended before its tests did: qemu-system-x86_64 ended with ${code ?? signal}`),
    );
  });
  clearTimeout(bootTimer);
  clearTimeout(timer);
  for (const name of signals) process.off(name, stop);
  return status === undefined ? { kind: 'died', atBoot, why: stopped ?? ended } : { kind: 'tested', status };
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  let pending = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (pending + text).split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
}

/** Boots with this terminal as the machine's console; ctrl-a x ends the machine, as does leaving its shell. */
export async function runConsole(boot: Boot): Promise<void> {
  const child = spawn('qemu-system-x86_64', commandLine(boot, 'mon:stdio', boot.parameters), {
    stdio: 'inherit',
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
}
