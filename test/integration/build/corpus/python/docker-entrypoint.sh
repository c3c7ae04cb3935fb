#!/bin/sh
set -eu
# Options alone are the program's.
if [ "${1#-}" != "$1" ]; then
  set -- python3 -m app "$@"
fi
exec "$@"
