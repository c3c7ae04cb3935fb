#!/bin/sh
# `sandbox.sh NAME FOLDER COMMAND...` runs a command, as root, in mount, pid, network and cgroup namespaces of its
# own, so that a test's daemon never meets the host's bridge, firewall, mounts or another test's cgroups, and so that
# nothing can outlive it. NAME names its cgroups; FOLDER is its TMPDIR and holds its /var/lib/mydock. Of the machine's
# files it can write those below FOLDER alone: an attack that a test tries out must not harm the machine where the
# defence fails. The network has a loopback and nothing else. The command's exit status is passed on.
# With MYDOCK_TEST_DISK=1 in the environment FOLDER is an ext4 of its own, where one can be mounted: for what makes and
# removes files by the ten thousands.
# `sandbox.sh --sweep NAME` removes the cgroups of finished sandboxes whose names begin with NAME.
set -eu

# Where the cgroup hierarchies are mounted, a line each: "v1 /sys/fs/cgroup/memory rw,memory".
hierarchies() {
    sed -n 's|^[^ ]* [^ ]* [^ ]* [^ ]* \(/sys/fs/cgroup[^ ]*\) .* - cgroup cgroup[^ ]* \(.*\)$|v1 \1 \2|p
            s|^[^ ]* [^ ]* [^ ]* [^ ]* \(/sys/fs/cgroup[^ ]*\) .* - cgroup2 [^ ]* \(.*\)$|v2 \1 \2|p' /proc/self/mountinfo
}

# What is frozen dies of no signal.
thaw() {
    find "$1" \( -name freezer.state -o -name cgroup.freeze \) 2> /dev/null | while read -r file; do
        case $file in
            *freezer.state) echo THAWED > "$file" || true ;;
            *) echo 0 > "$file" || true ;;
        esac
    done
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

# Whatever lies on a disk can only be read, but for FOLDER and two caches that tests share: the fixtures, and Node's
# compiled code beside the bundles. /tmp, which programs write to whatever TMPDIR says, and /var/tmp are the sandbox's
# own, some folders empty. No defence against root, who could mount all of it anew: against programs gone astray.
make_read_only() {
    for empty in /srv /var/cache /var/log; do mount -t tmpfs -o mode=755 empty "$empty"; done
    kept=/var/cache/kept
    repository=$(cd "$(dirname "$0")/../.." && pwd)
    mkdir -p "$1/tmp" /var/cache/upper /var/cache/work
    chmod 1777 "$1/tmp" /var/cache/upper
    for shared in "$1" "${XDG_CACHE_HOME:-$HOME/.cache}/mydock-test" "$repository/dist/.compile-cache"; do
        number=$((${number:-0} + 1))
        mkdir -p "$shared" "$kept$number"
        mount --bind "$shared" "$kept$number"
        set -- "$@" "$shared"
    done
    # A repository in /tmp may be a mount, which an overlay would not show.
    case $repository in
        /tmp/*) mount --rbind /tmp /tmp ;;
        *) mount -t overlay -o lowerdir=/tmp,upperdir=/var/cache/upper,workdir=/var/cache/work tmp /tmp ;;
    esac
    sed -n 's|^[^ ]* [^ ]* [^ ]* [^ ]* \(/[^ ]*\) rw.*|\1|p' /proc/self/mountinfo | while read -r point; do
        case $point in
            /proc | /proc/* | /sys | /sys/* | /dev | /dev/* | /run | /run/* | /tmp | /srv | /var/cache* | /var/log) ;;
            # One that lies hidden under another cannot be reached, by nobody.
            *) mount -o remount,bind,ro "$(printf %b "$point")" 2> /dev/null || [ "$point" != / ] ;;
        esac
    done
    number=0
    shift
    for shared in "$@"; do
        number=$((number + 1))
        mount --move "$kept$number" "$shared"
    done
    mount --bind "$1/tmp" /var/tmp
}

# A new file system knows of no removed files: without a journal, as on small virtual machines, ext4 looks at all that
# were removed lately before it makes one. It goes with the mount namespace. Its file is written to through a mount of
# its own: none that is written to can become read-only.
mount_disk() {
    command -v mkfs.ext4 > /dev/null || return 0
    mkdir /run/disk
    mount --bind "$1" /run/disk
    truncate -s 16G /run/disk/disk
    mkfs.ext4 -q -F /run/disk/disk
    mount -o loop /run/disk/disk "$1" 2> /dev/null || rm /run/disk/disk
    umount -l /run/disk
    rmdir /run/disk
}

case $1 in
    --sweep)
        hierarchies | while read -r _ point _; do
            for top in "$point/$2"*; do
                thaw "$top"
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
        [ -z "${MYDOCK_TEST_DISK:-}" ] || mount_disk "$folder"
        mkdir -p "$folder/lib" /var/lib/mydock
        make_read_only "$folder"
        mount --bind "$folder/lib" /var/lib/mydock
        ip link set lo up
        export TMPDIR="$folder" MYDOCK_TEST_SANDBOX=1
        "$@" &
        status=0
        wait $! || status=$?
        # All that is left ends with this shell, which is waited for.
        thaw /sys/fs/cgroup
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
