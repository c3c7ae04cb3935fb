#!/bin/sh
set -e
# first arg is `-f` or `--some-option`, or ends with `.conf`
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi
exec "$@"
