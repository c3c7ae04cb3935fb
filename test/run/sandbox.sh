#!/bin/sh
# `sandbox.sh NAME FOLDER COMMAND...` runs a command, as root, in mount, pid, network and cgroup namespaces of its
# own, so that a test's daemon never meets the host's bridge, firewall, mounts or another test's cgroups, and so that
# nothing can outlive it. NAME names its cgroups; FOLDER is its TMPDIR and holds its /var/lib/mydock. The network has
# a loopback and nothing else. The command's exit status is passed on.
# `sandbox.sh --sweep NAME` removes the cgroups of finished sandboxes whose names begin with NAME.
set -eu

# Where the cgroup hierarchies are mounted, a line each: "v1 /sys/fs/cgroup/memory rw,memory".
hierarchies() {
    sed -n 's|^[^ ]* [^ ]* [^ ]* [^ ]* \(/sys/fs/cgroup[^ ]*\) .* - cgroup cgroup[^ ]* \(.*\)$|v1 \1 \2|p
            s|^[^ ]* [^ ]* [^ ]* [^ ]* \(/sys/fs/cgroup[^ ]*\) .* - cgroup2 [^ ]* \(.*\)$|v2 \1 \2|p' /proc/self/mountinfo
}

join_cgroups() {
    hierarchies | while read -r _ point _; do
        mkdir "$point/$1"
        # A cpuset without processors or memory takes no process.
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$point/$1/$file" ] || [ -e "$point/cgroup.controllers" ] || cat "$point/$file" > "$point/$1/$file"
        done
        echo $$ > "$point/$1/cgroup.procs"
    done
}

# Mounts the hierarchies anew: their roots are then the cgroups that this sandbox was started in. In v2 a cgroup
# with processes cannot hand controllers to its children, so the processes move one level down.
mount_cgroups() {
    list=$(hierarchies)
    # AppArmor's files, where the machine has them: the policy is one for all.
    policies=$(ls -d /sys/kernel/security/apparmor 2> /dev/null || true)
    umount -l -R /sys
    mount -t sysfs sysfs /sys
    [ -z "$policies" ] || mount -t securityfs securityfs /sys/kernel/security
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    echo "$list" | while read -r version point options; do
        mkdir -p "$point"
        if [ "$version" = v1 ]; then
            mount -t cgroup -o "${options#r[wo],}" cgroup "$point"
        else
            mount -t cgroup2 cgroup2 "$point"
            mkdir "$point/harness"
            echo $$ > "$point/harness/cgroup.procs"
        fi
    done
}

case $1 in
    --sweep)
        hierarchies | while read -r _ point _; do
            for top in "$point/$2"*; do
                # Processes that were killed may take a moment to leave.
                for _ in 1 2 3 4 5 6 7 8 9 10; do
                    [ -d "$top" ] || break
                    find "$top" -depth -type d -exec rmdir {} \; 2>/dev/null || true
                    [ ! -d "$top" ] || sleep 0.2
                done
            done
        done ;;
    --inside)
        # This shell is pid 1 here: it reaps orphans while it waits.
        folder=$2
        shift 2
        mount --make-rprivate /
        mount_cgroups
        mount -t tmpfs -o mode=755 run /run
        mkdir -p "$folder/lib" /var/lib/mydock
        mount --bind "$folder/lib" /var/lib/mydock
        ip link set lo up
        export TMPDIR="$folder" MYDOCK_TEST_SANDBOX=1
        "$@" &
        status=0
        wait $! || status=$?
        exit $status ;;
    *)
        name=$1
        join_cgroups "$name"
        # The process that waits outside is in the sandbox's own root as well: it leaves that once it is one.
        hierarchies | while read -r version point _; do
            [ "$version" = v2 ] || continue
            mkdir "$point/$name/outer"
            (
                for _ in $(seq 100); do
                    [ ! -d "$point/$name/harness" ] || break
                    sleep 0.05
                done
                echo $$ > "$point/$name/outer/cgroup.procs"
            ) > /dev/null 2>&1 &
        done
        shift
        exec unshare --cgroup --mount --net --pid --fork --kill-child --mount-proc "$0" --inside "$@" ;;
esac
