#!/bin/sh
# Sees to it that Debian packages are there: `system-packages.sh package=file ...`, where the file tells whether the
# package is installed. As root they are installed by apt-get; otherwise it says what to install and fails.
set -eu

missing=
for pair in "$@"; do
    [ -e "${pair#*=}" ] || missing="$missing ${pair%%=*}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    {
        echo "mydock needs what these Debian packages contain:$missing"
        echo "On Debian and Ubuntu:  sudo apt-get install$missing"
        echo "Elsewhere: the packages with these files:"
        for pair in "$@"; do [ -e "${pair#*=}" ] || echo "  ${pair#*=}"; done
        echo "(libseccomp, jansson and zlib with their static libraries: mydock-runtime is linked statically)"
    } >&2
    exit 1
fi

echo "installing$missing"
install_packages() {
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -y \
        --no-install-recommends $missing
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A fresh machine has no package lists, and one that has not been updated for long has stale ones.
if ! install_packages > "$log" 2>&1; then
    if ! { apt-get -q -o DPkg::Lock::Timeout=300 update && install_packages; } > "$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
fi
