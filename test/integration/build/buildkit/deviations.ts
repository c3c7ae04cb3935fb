/** Cases where ours is otherwise than BuildKit, and why. What ours is then stands in own-facts.json. */
const ATTRIBUTES =
  "Docker's storage drivers lose user.* attributes, and its transfer of folders security.capability: all are kept here";
const LINK = "Docker's storage drivers ignore --link; here it depends on nothing that lies below";
const OWNER = 'BuildKit gives files to root where the owner cannot be found out; here that is refused';
const WORDS = 'the same refusal in other words';
const HOSTNAME = 'a step has /etc/hostname, as containers have it';
const ARCHIVE = `a hard link in an archive changes no attributes of its file, as with tar(1); ${ATTRIBUTES}`;

const named = (prefix: string, why: string, names: readonly string[]): [string, string][] =>
  names.map((name) => [`${prefix}: ${name}`, why]);

export const DEVIATIONS: Readonly<Record<string, string>> = Object.fromEntries([
  ...named('copy', ATTRIBUTES, ['extended attributes', 'from stages, images, numbers, contexts']),
  ...named(
    'copy',
    "Docker's daemon makes folders with umask 022, BuildKit's own with none; here there is none",
    ['--chmod octal'],
  ),
  ...named('copy', '`user:` is the user and its group, as with chown(1)', ['--chown']),
  ...named('copy', OWNER, [
    '--chown with an unknown user',
    '--chown with an unknown group',
    '--chown with a bad ID',
    '--chown with a large ID',
    '--chown with three parts',
  ]),
  ...named('copy', LINK, [
    '--link',
    '--link replaces links on the way',
    '--link replaces files on the way',
    '--link with owner and mode',
    '--link with a name as owner',
    '--link a folder over a file',
  ]),
  ...named('copy', WORDS, [
    'an escaped bracket',
    'a bad pattern',
    '--chmod that is none',
    'from a stage that is not there',
    'from itself',
  ]),
  ...named('add', ARCHIVE, [
    'archives are unpacked',
    'with other files',
    'owners',
    'modes',
    '--unpack',
    '--link',
    'to a link',
    'to a link to nothing',
  ]),
  ...named('arguments', 'proxies may hold passwords: no history has them, declared or not', ['predefined']),
  ...named('add', WORDS, ['names that climb out', 'a hard link that leads out']),
  ...named('add', 'whiteouts in an archive would take files away that it does not show', [
    'names of whiteouts',
  ]),
  ...named('add', 'an archive that is cut off is refused', ['a cut archive']),
  ...named('add', 'what ends within its first header is no archive', ['a cut compressed archive']),
  ...named('run', ATTRIBUTES, ['extended attributes']),
  ...named('arguments', WORDS, ['a brace that is not closed', 'an unknown platform']),
  ...named('config', 'no slash is kept at the end of a folder', ['WORKDIR forms']),
  ...named('config', 'stages are found by number, too', ['a target by number']),
  ...named('config', WORDS, [
    'EXPOSE with a protocol that is none',
    'HEALTHCHECK with a bad duration',
    'WORKDIR below a file',
    'nothing at all',
  ]),
  ...named('run', HOSTNAME, ['what stands in /etc', '--network=none']),
  ...named('run', WORDS, [
    'mounts: a required ssh that nobody gives',
    'mounts: an unknown key',
    'mounts: from itself',
    '--network=host without leave',
  ]),
  ...named('run', 'a program that is not there ends with 127, as in containers', ['exec that is not found']),
  ...named('run', 'without an agent there is no SSH_AUTH_SOCK', ['mounts: ssh that nobody gives']),
  ...named('run', 'the mode of a cache mount has its sticky bit', ['mounts: cache']),
  ...named('run', 'the source of a tmpfs says nothing', ['mounts: tmpfs with a source']),
  ...named('run', 'a RUN without a command is refused', ['nothing']),
  ...named('run', '--security needs no other frontend here', [
    '--security=insecure without leave',
    '--security of an unknown kind',
  ]),
]);
