#!/bin/sh
# `tests.sh ROOT`: runs test/vm/guest/run.ts in the virtual machine and writes all that it says, and its status as the
# last line, to the virtio port that the host reads.
set -u
cd "$1" || exit 1
port=$(grep -lx tests /sys/class/virtio-ports/*/name)
port=${port%/name}
exec > "/dev/${port##*/}" 2>&1

# systemd hands out the controllers that it manages itself; these it does not know. A cgroup with processes cannot
# hand controllers to those below it, so the processes of this unit move one level down.
group=$(sed -n 's|^0::||p' /proc/self/cgroup)
mkdir "/sys/fs/cgroup$group/runner" && echo $$ > "/sys/fs/cgroup$group/runner/cgroup.procs"
folder=/sys/fs/cgroup
for name in '' $(echo "$group" | tr / ' '); do
    folder=$folder${name:+/$name}
    for controller in $(cat "$folder/cgroup.controllers"); do
        echo "+$controller" > "$folder/cgroup.subtree_control"
    done
done

export HOME=/root XDG_CACHE_HOME="$1/build/vm-cache"
export MYDOCK_TEST_VM=1 MYDOCK_TEST_TIME_FACTOR=4 MYDOCK_TEST_CGROUP="${group#/}"
printf '\001begin\n'
# Whatever has a terminal or waits for one would hang.
node_modules/node-linux-*/bin/node --disable-warning=ExperimentalWarning test/vm/guest/run.ts < /dev/null
printf '\001status %s\n' $?
