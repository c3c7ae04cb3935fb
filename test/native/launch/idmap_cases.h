/* Idmapped bind mounts: whose files are whose on both sides, and what is refused. */
#ifndef MYDOCK_LAUNCH_IDMAP_CASES_H
#define MYDOCK_LAUNCH_IDMAP_CASES_H

#include "expect.h"
#include <dirent.h>
#include <sys/mount.h>

/* Gives the last mount of config its mappings: ranges of containerID, hostID, size. */
static void idmap_last(json_t *config, int uid_inside, int uid_outside, int gid_inside,
                       int gid_outside) {
    json_t *mounts = json_object_get(config, "mounts");
    json_t *mount = json_array_get(mounts, json_array_size(mounts) - 1);
    json_object_set_new(
        mount, "uidMappings",
        json_pack("[{s:i,s:i,s:i}]", "containerID", uid_inside, "hostID", uid_outside, "size", 1));
    json_object_set_new(
        mount, "gidMappings",
        json_pack("[{s:i,s:i,s:i}]", "containerID", gid_inside, "hostID", gid_outside, "size", 1));
}

static int idmap_children(void) {
    DIR *directory = opendir("/proc/self/task");
    char path[320];
    int count = 0;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/self/task/%s/children", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        for (int pid; file != NULL && fscanf(file, "%d", &pid) == 1;)
            count++;
        if (file != NULL)
            fclose(file);
    }
    if (directory != NULL)
        closedir(directory);
    return count;
}

static void idmap_expect_owner(const char *name, const char *path, uid_t uid, gid_t gid) {
    struct stat status = {0};
    bool there = stat(path, &status) == 0;
    report(name, there && status.st_uid == uid && status.st_gid == gid, "%s: %u:%u", path,
           status.st_uid, status.st_gid);
}

static void test_idmap(void) {
    char host[4200], file[4300], below[4300];
    snprintf(host, sizeof(host), "%s/mapped", bundle_directory);
    snprintf(file, sizeof(file), "%s/file", host);
    snprintf(below, sizeof(below), "%s/below", host);
    mkdir(host, 0755);
    mkdir(below, 0755);
    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (chown(host, 1000, 1001) < 0 || chown(file, 1000, 1001) < 0)
        bundle_fail(host);
    int before = idmap_children();
    json_t *config = bundle_config("stat -c %u:%g /m /m/file /m/below; touch /m/new && "
                                   "stat -c %u:%g /m/new; ls -d /m/below");
    bundle_mount(config, "/m", "bind", host, "rbind,rprivate,idmap");
    idmap_last(config, 1000, 0, 1001, 0);
    expect("idmapped bind", config, 0, "0:0\n0:0\n65534:65534\n0:0\n/m/below\n");
    snprintf(file, sizeof(file), "%s/new", host);
    idmap_expect_owner("what is made there is the owner's on the host", file, 1000, 1001);
    unlink(file);
    config = bundle_config("touch /m/below/x; chown 5 /m/file; stat -c %u /n");
    bundle_mount(config, "/m", "bind", host, "bind,rslave,idmap");
    idmap_last(config, 1000, 0, 1001, 0);
    bundle_mount(config, "/n", "bind", host, "bind,ro,rprivate,idmap");
    idmap_last(config, 1000, 7, 1001, 8);
    expect("IDs without a mapping cannot be used", config, 0,
           "touch: /m/below/x: Permission denied\n"
           "chown: /m/file: Value too large for defined data type\n7\n");
    config = bundle_config("touch /m/x; stat -c %u /m");
    bundle_mount(config, "/m", "bind", host, "rbind,rro,rprivate,ridmap");
    idmap_last(config, 1000, 0, 1001, 0);
    expect("read-only", config, 0, "touch: /m/x: Read-only file system\n0\n");

    if (mount("tmpfs", below, "tmpfs", 0, "uid=1000,gid=1001") < 0)
        bundle_fail(below);
    for (int all = 0; all < 2; all++) {
        config = bundle_config("stat -c %u /m/below");
        bundle_mount(config, "/m", "bind", host, all ? "rbind,ridmap" : "rbind,idmap");
        idmap_last(config, 1000, 0, 1001, 0);
        expect(all ? "ridmap maps mounts below" : "idmap leaves mounts below alone", config, 0,
               all ? "0\n" : "1000\n");
    }
    umount(below);
    if (mount("proc", below, "proc", 0, NULL) < 0)
        bundle_fail(below);
    config = bundle_config("true");
    bundle_mount(config, "/m", "bind", below, "bind,idmap");
    idmap_last(config, 1000, 0, 1001, 0);
    expect_failure("a file system that cannot", config, 125, "its file system (proc) does not");
    config = bundle_config("true");
    bundle_mount(config, "/m", "bind", host, "rbind,ridmap");
    idmap_last(config, 1000, 0, 1001, 0);
    expect_failure("one below that cannot", config, 125, "or one that is mounted below it");
    umount(below);
    report("no process is left", idmap_children() == before, "%d, before %d", idmap_children(),
           before);

    config = bundle_config("true");
    bundle_mount(config, "/m", "bind", host, "bind,idmap");
    expect_failure("idmap without mappings", config, 125, "needs uidMappings");
    config = bundle_config("true");
    bundle_mount(config, "/m", "tmpfs", "tmpfs", "");
    idmap_last(config, 1, 2, 3, 4);
    expect_failure("mappings of a tmpfs", config, 125, "for bind mounts only");
    config = bundle_config("true");
    bundle_mount(config, "/m", "bind", host, "bind");
    idmap_last(config, 1, 2, 3, 4);
    json_t *mounts = json_object_get(config, "mounts");
    json_object_del(json_array_get(mounts, json_array_size(mounts) - 1), "gidMappings");
    expect_failure("mappings of one kind", config, 125, "gidMappings");
    config = bundle_config("true");
    bundle_mount(config, "/m", "bind", host, "bind");
    idmap_last(config, -1, 2, 3, 4);
    expect_failure("an ID that is none", config, 125, "uidMappings[0].containerID");
    snprintf(file, sizeof(file), "%s/file", host);
    unlink(file);
    rmdir(below);
    rmdir(host);
}

#endif
