#!/bin/sh
# `npm-packages.sh NODE`: makes node_modules what package-lock.json says, by npm ci, and leaves it alone where it
# already is. NODE is the pinned Node's path, which must be there afterwards.
set -eu
node=$1

same='
const { readFileSync } = require("node:fs");
const packages = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
const installed = packages("node_modules/.package-lock.json");
const stale = ([path, wanted]) =>
  path !== "" && (path in installed ? installed[path].version !== wanted.version : !wanted.optional);
process.exitCode = Object.entries(packages("package-lock.json")).some(stale) ? 1 : 0;
'
command -v node > /dev/null || { echo 'mydock needs Node.js 20 or newer, with npm, to be built' >&2; exit 1; }
if [ -x "$node" ] && node -e "$same" 2> /dev/null; then exit 0; fi

echo 'installing npm packages'
# Errors only: npm warns about the engines of packages that run under the pinned Node, not under the one npm runs on.
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
if [ ! -x "$node" ]; then
    echo "npm ci did not install $node: are optional dependencies switched off (npm config get omit)?" >&2
    exit 1
fi
