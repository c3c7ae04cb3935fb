/** A container's state in words for people, as `ps` shows it: "Up 3 seconds", "Exited (0) 2 minutes ago". */
import type { Health } from '../api/containers.ts';
import { humanDuration } from '../base/human-duration.ts';
import { type ContainerState, NEVER } from './state.ts';

export function statusText(state: ContainerState, nowMs: number, health?: Health): string {
  const since = (time: string): string => humanDuration(nowMs - Date.parse(time));
  switch (state.status) {
    case 'running':
      return `Up ${since(state.startedAt)}${health === undefined ? '' : healthText(health)}`;
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'removing':
      return 'Removal In Progress';
    case 'created':
      return 'Created';
    case 'exited':
      return state.finishedAt === NEVER
        ? 'Created'
        : `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
  }
}

function healthText({ Status }: Health): string {
  return Status === 'starting' ? ' (health: starting)' : ` (${Status})`;
}
