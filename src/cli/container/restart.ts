/** `mydock restart`. */
import { stopVerb } from './stop.ts';

export const restart = stopVerb('restart', 'Stop containers and start them again');
