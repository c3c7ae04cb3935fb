/* Many containers in a row: what leaks, and what a start costs. */
#ifndef MYDOCK_LAUNCH_STRESS_H
#define MYDOCK_LAUNCH_STRESS_H

#include "cgroup_cases.h"
#include "expect.h"
#include <dirent.h>
#include <sys/resource.h>
#include <time.h>

#define STRESS_COUNT 200

static int count_entries(const char *path) {
    DIR *directory = opendir(path);
    int count = 0;
    while (directory != NULL && readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Mounts of this test only: others come and go on a busy machine. */
static int count_mounts(void) {
    char line[8192];
    int count = 0;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, bundle_directory) != NULL;
    fclose(file);
    return count;
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Processor time of this process and its children that were reaped: unlike the clock it tells
 * little of what else the machine does. */
static double processor_milliseconds(void) {
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    const struct timeval parts[] = {own.ru_utime, own.ru_stime, children.ru_utime,
                                    children.ru_stime};
    double sum = 0;
    for (size_t index = 0; index < 4; index++)
        sum += (double)parts[index].tv_sec * 1e3 + (double)parts[index].tv_usec / 1e3;
    return sum;
}

static int compare_times(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *times, size_t count) {
    qsort(times, count, sizeof(*times), compare_times);
    return times[count / 2];
}

struct stress_times {
    double create[STRESS_COUNT], start[STRESS_COUNT], all[STRESS_COUNT];
};

/* One /bin/true; false where it failed. */
static bool stress_once(const struct launch_stdio *stdio, struct stress_times *times, size_t at) {
    struct launch_container *container;
    struct launch_process init;
    struct error *err = NULL;
    double begin = milliseconds();
    if (launch_create(
            &(struct launch_options){.bundle = bundle_directory, .seccomp_cache = bundle_cache},
            stdio, &container, &init, &err) < 0) {
        printf("# container %zu: %s\n", at, err->message);
        error_free(err);
        return false;
    }
    double created = milliseconds();
    bool started = launch_start(container, &init, &err) == 0;
    double executed = milliseconds();
    int code = run_wait(init.pid);
    launch_destroy(container);
    if (!started || code != 0)
        printf("# container %zu: exit code %d, %s\n", at, code, started ? "" : err->message);
    error_free(err);
    times->create[at] = created - begin;
    times->start[at] = executed - created;
    times->all[at] = milliseconds() - begin;
    return started && code == 0;
}

/* A container that is created and never started. */
static void test_never_started(void) {
    struct launch_container *container;
    struct launch_process init;
    struct error *err = NULL;
    json_t *config = bundle_config("echo started");
    bundle_write(config);
    json_decref(config);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct launch_stdio stdio = {null, null, null};
    int descriptors = count_entries("/proc/self/fd");
    bool created = launch_create(&(struct launch_options){.bundle = bundle_directory,
                                                          .seccomp_cache = bundle_cache},
                                 &stdio, &container, &init, &err) == 0;
    if (created)
        launch_destroy(container);
    int code = created ? run_wait(init.pid) : -1;
    int leaked = count_entries("/proc/self/fd") - descriptors, groups = count_groups();
    report("never started", created && (code == 125 || code == 137) && leaked == 0 && groups == 0,
           "%s, exit code %d, %d descriptors, %d cgroups left", created ? "" : err->message, code,
           leaked, groups);
    error_free(err);
    close(null);
}

/* pause: between two, in microseconds; a machine at rest is slower than a busy one. */
static void test_stress(const char *name, unsigned pause_us) {
    static struct stress_times times;
    json_t *config = bundle_config("");
    bundle_arguments(config, "/bin/true", NULL);
    bundle_write(config);
    json_decref(config);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), passed = 0;
    struct launch_stdio stdio = {null, null, null};
    int descriptors = count_entries("/proc/self/fd"), mounts = count_mounts();
    double processor = processor_milliseconds();
    for (size_t index = 0; index < STRESS_COUNT; index++) {
        usleep(pause_us);
        passed += stress_once(&stdio, &times, index);
    }
    processor = (processor_milliseconds() - processor) / STRESS_COUNT;
    int leaked_descriptors = count_entries("/proc/self/fd") - descriptors;
    int leaked_mounts = count_mounts() - mounts, groups = count_groups();
    close(null);
    report(name,
           passed == STRESS_COUNT && leaked_descriptors == 0 && leaked_mounts == 0 && groups == 0,
           "%d of %d passed, %d descriptors, %d mounts, %d cgroups left", passed, STRESS_COUNT,
           leaked_descriptors, leaked_mounts, groups);
    printf("# median: create %.2f ms, start %.2f ms, with exit and destroy %.2f ms; processor %.2f "
           "ms\n",
           median(times.create, STRESS_COUNT), median(times.start, STRESS_COUNT),
           median(times.all, STRESS_COUNT), processor);
}

#endif
