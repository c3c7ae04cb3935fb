/**
 * Container names and IDs: what a user may choose, and what is made up where nothing was chosen.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { InvalidParameterError } from '../base/errors.ts';

const NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

const QUALITIES =
  'agile amber ample azure bold brave breezy bright brisk calm candid cheerful clever coral cosy crisp curious daring deft dreamy eager early earnest easy fair fancy fleet fluent fond frank free fresh frosty gentle gifted glad golden graceful grand happy hardy hearty honest humble ideal jolly jovial keen kind lively lofty loyal lucid lucky mellow merry mild mighty modest neat nifty nimble noble patient placid polite proud prudent quick quiet rapid ready robust rosy rustic serene sharp shiny silent silver sleek smart snug solid spry stable steady sturdy subtle sunny swift tender thrifty tidy tranquil trusty upbeat vivid warm wise witty zesty'.split(
    ' ',
  );
const THINGS =
  'acorn anchor anvil aspen badger barge basin beacon beaver birch bison brook buoy cabin canal canoe canyon cedar cliff cloud clover cobalt comet condor copper coral cove crane creek cricket delta dolphin dune eagle elm ember falcon fern ferry finch fjord forge fossil fox glacier granite grove gull harbor harvest hawk hazel heron hill inlet iris island ivy jetty juniper kestrel kettle lagoon lantern lark ledge lichen lily linden lynx magpie maple marble marsh meadow mesa mill moose moss nectar newt oak oasis orbit orchid osprey otter owl pebble pelican pier pine plover pond poplar prairie quarry quartz raven reef ridge river robin rowan saddle sage sail salmon sequoia shore spruce stone stork summit swan thistle thrush tide trail trout tulip tundra valley walnut wharf willow wren yew'.split(
    ' ',
  );

/** A new container, exec or network ID: 64 hex digits that are not all decimal in their first 12 (a hostname must not be a number). */
export function newId(): string {
  for (;;) {
    const id = randomBytes(32).toString('hex');
    if (/\D/.test(id.slice(0, 12))) return id;
  }
}

/** A name of two words that `taken` does not know; with a digit behind it once free pairs get rare. */
export function randomName(taken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${QUALITIES[randomInt(QUALITIES.length)]}_${THINGS[randomInt(THINGS.length)]}`;
    const candidate = attempt < 6 ? name : `${name}${randomInt(10 ** Math.min(attempt - 5, 9))}`;
    if (!taken(candidate)) return candidate;
  }
}

/** The name without its leading slash. Throws InvalidParameter with Docker's text. */
export function parseName(name: string): string {
  if (!NAME.test(name)) {
    throw new InvalidParameterError(
      `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  return name.replace(/^\//, '');
}
