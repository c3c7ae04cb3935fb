/* Limits in the words of v1, v2 and both at once, in plain files that stand for the kernel's; and
 * updates that fail halfway. */
#ifndef MYDOCK_LAUNCH_LIMIT_CASES_H
#define MYDOCK_LAUNCH_LIMIT_CASES_H

#include "cgroup_cases.h"
#include "runtime/launch/resources_convert.h"

/* A group of files: "memory:memory.limit_in_bytes=100" on v1, ":cpu.max=max 100000" on v2. */
struct stand_in {
    struct cgroup cgroup;
    struct cgroup_hierarchy hierarchies[8];
};

static void stand_in_path(const char *controller, const char *file, char *path, size_t size) {
    snprintf(path, size, "%.3000s/stand-in/%s/%s", bundle_directory,
             controller[0] == '\0' ? "v2" : controller, file);
}

static void stand_in_make(struct stand_in *group, const char *const *files) {
    char path[4096], command[4200];
    snprintf(command, sizeof(command), "rm -rf '%.3000s/stand-in'; mkdir '%.1000s/stand-in'",
             bundle_directory, bundle_directory);
    if (system(command) != 0)
        bundle_fail(command);
    *group = (struct stand_in){.cgroup.hierarchies = group->hierarchies};
    for (; *files != NULL; files++) {
        char controller[32], name[64];
        const char *colon = strchr(*files, ':'), *equals = strchr(*files, '=');
        snprintf(controller, sizeof(controller), "%.*s", (int)(colon - *files), *files);
        snprintf(name, sizeof(name), "%.*s", (int)(equals - colon - 1), colon + 1);
        size_t index = 0;
        while (index < group->cgroup.count &&
               strcmp(group->hierarchies[index].controllers, controller) != 0)
            index++;
        stand_in_path(controller, "", path, sizeof(path));
        if (index == group->cgroup.count) {
            if (mkdir(path, 0700) < 0)
                bundle_fail(path);
            group->hierarchies[group->cgroup.count++] = (struct cgroup_hierarchy){
                colon == *files, strdup(controller), strdup(""), strdup(path),
                open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        }
        stand_in_path(controller, name, path, sizeof(path));
        FILE *file = fopen(path, "we");
        if (file == NULL || fputs(equals + 1, file) < 0 || fclose(file) != 0)
            bundle_fail(path);
    }
}

static void stand_in_free(struct stand_in *group) {
    for (size_t index = 0; index < group->cgroup.count; index++) {
        free(group->hierarchies[index].controllers);
        free(group->hierarchies[index].mount);
        free(group->hierarchies[index].directory);
        close(group->hierarchies[index].directory_fd);
    }
}

/* What was written stands at the file's beginning: a kernel's file takes a write as its value, a
 * plain one keeps what was longer. */
static bool stand_in_has(const char *controller, const char *file, const char *wanted) {
    char path[4096], text[256] = "";
    stand_in_path(controller, file, path, sizeof(path));
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return false;
    size_t got = fread(text, 1, sizeof(text) - 1, stream);
    fclose(stream);
    text[got] = '\0';
    return strncmp(text, wanted, strlen(wanted)) == 0;
}

/* resources as JSON, with ' for ". */
static bool stand_in_read(const char *json, json_t **root, struct arena *arena,
                          struct resources *out, struct error **err) {
    char text[512];
    snprintf(text, sizeof(text), "%s", json);
    for (char *letter = text; *letter != '\0'; letter++)
        *letter = *letter == '\'' ? '"' : *letter;
    *out = (struct resources){0};
    *root = json_loads(text, 0, NULL);
    struct fields from = {*root, "resources", arena};
    return *root != NULL && resources_read(&from, out, err) == 0;
}

struct limit_case {
    const char *name;
    const char *files[10];
    const char *resources;
    /* "controller:file=value", or the text of the error behind "!". */
    const char *wanted[8];
};

static void limit_check(const struct limit_case *item) {
    struct stand_in group;
    struct arena arena = {NULL};
    struct resources resources;
    struct error *err = NULL;
    json_t *root = NULL;
    stand_in_make(&group, item->files);
    bool done = stand_in_read(item->resources, &root, &arena, &resources, &err) &&
                cgroup_update(&group.cgroup, &resources, &err) == 0;
    const char *missed = NULL;
    bool failure = false;
    for (size_t index = 0; item->wanted[index] != NULL; index++) {
        const char *wanted = item->wanted[index];
        if (wanted[0] == '!') {
            failure = true;
            if (err == NULL || strstr(err->message, wanted + 1) == NULL)
                missed = wanted;
            continue;
        }
        char controller[32], file[64];
        const char *colon = strchr(wanted, ':'), *equals = strchr(wanted, '=');
        snprintf(controller, sizeof(controller), "%.*s", (int)(colon - wanted), wanted);
        snprintf(file, sizeof(file), "%.*s", (int)(equals - colon - 1), colon + 1);
        if (!stand_in_has(controller, file, equals + 1))
            missed = wanted;
    }
    report(item->name, missed == NULL && done != failure, "%s; wanted %s",
           err == NULL ? "no error" : err->message, missed == NULL ? "all" : missed);
    error_free(err);
    json_decref(root);
    arena_free(&arena);
    stand_in_free(&group);
}

static const struct limit_case LIMIT_CASES[] = {
    {"v2: swap alone",
     {":memory.max=max", ":memory.swap.max=max", ":memory.low=0"},
     "{'memory':{'limit':400,'swap':1000,'reservation':200}}",
     {":memory.max=400", ":memory.swap.max=600", ":memory.low=200"}},
    {"v2: an update of swap alone counts from the limit that stands",
     {":memory.max=1000", ":memory.swap.max=max"},
     "{'memory':{'swap':1500}}",
     {":memory.swap.max=500"}},
    {"v2: unlimited memory takes swap along",
     {":memory.max=1000", ":memory.swap.max=500"},
     "{'memory':{'limit':-1}}",
     {":memory.max=max", ":memory.swap.max=max"}},
    {"v2: swap needs a limit",
     {":memory.max=max", ":memory.swap.max=max"},
     "{'memory':{'swap':1500}}",
     {"!without memory.limit"}},
    {"v2: a limit below what is used",
     {":memory.max=max", ":memory.current=900"},
     "{'memory':{'limit':800,'checkBeforeUpdate':true}}",
     {"!rejecting memory limit 800: 900", ":memory.max=max"}},
    {"v2: a quota keeps its period, a period its quota",
     {":cpu.weight=100", ":cpu.max=70000 200000"},
     "{'cpu':{'shares':1024,'quota':50000}}",
     {":cpu.weight=100", ":cpu.max=50000 200000"}},
    {"v2: no quota",
     {":cpu.max=70000 200000", ":cpu.max.burst=0"},
     "{'cpu':{'quota':-1,'period':100000,'burst':5}}",
     {":cpu.max=max 100000", ":cpu.max.burst=5"}},
    {"v2: cpuset, pids, huge pages with what is reserved",
     {":cpuset.cpus=", ":cpuset.mems=", ":pids.max=max", ":hugetlb.2MB.max=max",
      ":hugetlb.2MB.rsvd.max=max"},
     "{'cpu':{'cpus':'0-1','mems':'0'},'pids':{'limit':7},"
     "'hugepageLimits':[{'pageSize':'2MB','limit':4096}]}",
     {":cpuset.cpus=0-1", ":cpuset.mems=0", ":pids.max=7", ":hugetlb.2MB.max=4096",
      ":hugetlb.2MB.rsvd.max=4096"}},
    {"v2: no limit of processes", {":pids.max=7"}, "{'pids':{'limit':-1}}", {":pids.max=max"}},
    {"v2: I/O by BFQ",
     {":io.bfq.weight=default 100", ":io.weight=default 100", ":io.max="},
     "{'blockIO':{'weight':300,'throttleReadBpsDevice':[{'major':8,'minor':0,'rate':0}]}}",
     {":io.bfq.weight=300", ":io.weight=default 100", ":io.max=8:0 rbps=max"}},
    {"v2: I/O by its cost",
     {":io.weight=default 100", ":io.max="},
     "{'blockIO':{'weight':1000,'throttleWriteIOPSDevice':[{'major':8,'minor':0,'rate':9}]}}",
     {":io.weight=10000", ":io.max=8:0 wiops=9"}},
    {"v2: no weights", {":io.max="}, "{'blockIO':{'weight':1000}}", {"!io weight (BFQ or iocost)"}},
    {"v2: unified, and real time that it has not",
     {":memory.high=max", ":cpu.max=max 100000"},
     "{'unified':{'memory.high':'4096'},'cpu':{'realtimeRuntime':5}}",
     {"!cpu (v1)", ":memory.high=max"}},
    {"v2: unified",
     {":memory.high=max"},
     "{'unified':{'memory.high':'4096'}}",
     {":memory.high=4096"}},
    {"unified files lie in the group",
     {":memory.high=max"},
     "{'unified':{'../memory.high':'4096'}}",
     {"!must be a file of cgroup v2"}},
    {"hybrid: each limit where its controller is",
     {"memory:memory.limit_in_bytes=1", ":cpu.weight=100"},
     "{'memory':{'limit':77},'cpu':{'shares':2}}",
     {"memory:memory.limit_in_bytes=77", ":cpu.weight=1"}},
    {"a missing controller is named",
     {":cpu.weight=100"},
     "{'pids':{'limit':5}}",
     {"!no pids cgroup controller"}},
    {"v1: all of it",
     {"cpu:cpu.shares=1024", "cpu:cpu.cfs_period_us=100000", "cpu:cpu.cfs_quota_us=-1",
      "cpu:cpu.rt_runtime_us=0", "net_cls:net_cls.classid=0", "net_prio:net_prio.ifpriomap=lo 0",
      "rdma:rdma.max=mlx5_0 hca_handle=max hca_object=max", "blkio:blkio.weight=500"},
     "{'cpu':{'shares':5,'quota':40000,'period':50000,'realtimeRuntime':9},'network':{'classID':"
     "66,'priorities':[{'name':'lo','priority':4}]},'rdma':{'mlx5_0':{'hcaHandles':3}},"
     "'blockIO':{'weight':20}}",
     {"cpu:cpu.shares=5", "cpu:cpu.cfs_quota_us=40000", "cpu:cpu.cfs_period_us=50000",
      "net_cls:net_cls.classid=66", "net_prio:net_prio.ifpriomap=lo 4",
      "rdma:rdma.max=mlx5_0 hca_handle=3 hca_object=max", "blkio:blkio.weight=20"}},
    {"v1: what was written is taken back",
     {"memory:memory.limit_in_bytes=500", "cpu:cpu.shares=300", "pids:pids.max=10"},
     "{'memory':{'limit':400},'cpu':{'shares':5},'pids':{'limit':8},'unified':{'x.y':'1'}}",
     {"!no v2 cgroup controller", "memory:memory.limit_in_bytes=500", "cpu:cpu.shares=300",
      "pids:pids.max=10"}},
};

static void test_limit_words(void) {
    for (size_t index = 0; index < sizeof(LIMIT_CASES) / sizeof(LIMIT_CASES[0]); index++)
        limit_check(&LIMIT_CASES[index]);
    static const int64_t weights[][2] = {{0, 1},      {2, 1},          {1024, 100},
                                         {2000, 170}, {262144, 10000}, {1 << 30, 10000}};
    for (size_t index = 0; index < sizeof(weights) / sizeof(weights[0]); index++) {
        int64_t got = resources_cpu_weight(weights[index][0]);
        report("weight of shares", got == weights[index][1], "%lld is %lld",
               (long long)weights[index][0], (long long)got);
    }
    char command[4200];
    snprintf(command, sizeof(command), "rm -rf '%.3000s/stand-in'", bundle_directory);
    if (system(command) != 0)
        bundle_fail(command);
}

/* On the kernel's files: pairs in whatever order it takes, refusals that leave all as it was. */
static void test_limit_updates(void) {
    struct cgroup *cgroup = NULL;
    struct error *err = NULL;
    char path[64], text[64];
    snprintf(path, sizeof(path), "/mydock-test-update-%d", (int)getpid());
    if (cgroup_create(&(struct cgroup_request){.path = path}, &cgroup, &err) < 0) {
        report("a group to update", false, "%s", err->message);
        error_free(err);
        return;
    }
    const struct cgroup_hierarchy *memory = cgroup_find_v1(cgroup, "memory");
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    bool swap_v1 = memory != NULL && cgroup_has(memory, "memory.memsw.limit_in_bytes");
    bool known = swap_v1 || (memory == NULL && v2 != NULL && cgroup_has(v2, "memory.max"));
    static const int64_t steps[][2] = {{64, 64},  {128, 256}, {32, 32},
                                       {256, -1}, {-1, -1},   {48, 96}};
    for (size_t index = 0; known && index < sizeof(steps) / sizeof(steps[0]); index++) {
        struct resources resources = {0};
        int64_t limit = steps[index][0], swap = steps[index][1];
        resources.memory_limit = (struct resources_number){true, limit < 0 ? -1 : limit << 20};
        resources.memory_swap = (struct resources_number){true, swap < 0 ? -1 : swap << 20};
        bool done = cgroup_update(cgroup, &resources, &err) == 0;
        cgroup_read((memory != NULL ? memory : v2)->directory_fd,
                    memory != NULL ? "memory.limit_in_bytes" : "memory.max", text, sizeof(text));
        report("memory and swap", done && (limit < 0 || strtoll(text, NULL, 10) == limit << 20),
               "%lld and %lld: %s, %s", (long long)limit, (long long)swap, text,
               err == NULL ? "no error" : err->message);
        error_free(err);
        err = NULL;
    }
    if (known) {
        struct resources wrong = {.memory_limit = {true, 40 << 20}, .cpus = "4000"};
        bool refused = cgroup_update(cgroup, &wrong, &err) < 0;
        cgroup_read((memory != NULL ? memory : v2)->directory_fd,
                    memory != NULL ? "memory.limit_in_bytes" : "memory.max", text, sizeof(text));
        report("a refused update leaves all as it was",
               refused && strtoll(text, NULL, 10) == 48 << 20, "%s, %s", text,
               err == NULL ? "no error" : err->message);
        error_free(err);
    } else {
        printf("skip updates of memory: this host does not limit it\n");
    }
    cgroup_destroy(cgroup);
}

#endif
