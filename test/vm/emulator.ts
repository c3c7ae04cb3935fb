/**
 * QEMU, emulating a PC in software: one processor, two disks (written to in a temporary file alone), no network.
 * What the tests say comes over a virtio port; the console, with the kernel's and systemd's messages, goes to a file.
 */
import { spawn } from 'node:child_process';
import type { DebianMachine } from './debian.ts';

const MEMORY_MIB = 3072;
/** Everything that QEMU emulates but cmpxchg16b: with it a kernel panicked in its memory allocator (QEMU 7.2). */
const PROCESSOR = 'max,-cx16';
/** With two, about one boot in ten ended in a double fault (QEMU 7.2); with one none was seen. */
const PROCESSORS = 1;
/** tests.sh writes this and the exit status, as its last line. */
const STATUS_LINE = /^\u0001status (\d+)$/;

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

/**
 * Boots, and passes on the tests' output. Returns their exit status, or a sentence where the machine ended without
 * one or after `timeoutMs`.
 */
export async function runTests(
  boot: Boot,
  consoleFile: string,
  timeoutMs: number,
  print: (line: string) => void,
): Promise<number | string> {
  const port = ['-chardev', 'stdio,id=tests,signal=off', '-device', 'virtio-serial-pci'];
  const args = [...commandLine(boot, `file:${consoleFile}`, boot.parameters), ...port];
  const child = spawn('qemu-system-x86_64', [...args, '-device', 'virtserialport,chardev=tests,name=tests'], {
    // An end of its stdin would close the port, and whoever writes to it in the machine would wait for ever.
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let status: number | undefined;
  let pending = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (pending + text).split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) {
      const code = STATUS_LINE.exec(line)?.[1];
      if (code === undefined) print(line);
      else status = Number(code);
    }
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const stop = (): boolean => child.kill('SIGKILL');
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.once(name, stop);
  const ended = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`qemu-system-x86_64 could not be started: ${error.message}`));
    child.once('close', (code, signal) => resolve(`qemu-system-x86_64 ended with ${code ?? signal}`));
  });
  clearTimeout(timer);
  for (const name of signals) process.off(name, stop);
  if (timedOut) return `the machine was stopped after ${timeoutMs / 1000} s`;
  return status ?? `the machine ended before the tests did: ${ended}`;
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
