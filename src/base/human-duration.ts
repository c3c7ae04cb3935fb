/** How long ago, in the words that Docker's users know from `ps`. */

const SECOND_MS = 1000;
const DAY_HOURS = 24;

/** Milliseconds as "Less than a second", "3 seconds", "About a minute", "2 weeks". */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / SECOND_MS);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours === 1) return 'About an hour';
  if (hours < 2 * DAY_HOURS) return `${hours} hours`;
  if (hours < 14 * DAY_HOURS) return `${Math.floor(hours / DAY_HOURS)} days`;
  if (hours < 60 * DAY_HOURS) return `${Math.floor(hours / DAY_HOURS / 7)} weeks`;
  if (hours < 730 * DAY_HOURS) return `${Math.floor(hours / DAY_HOURS / 30)} months`;
  return `${Math.floor(hours / DAY_HOURS / 365)} years`;
}
