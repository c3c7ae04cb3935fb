/*
 * Tests of native/runtime/launch/launch.h on real containers: root, cgroups and namespaces are
 * needed. One line a case, "ok NAME", "not ok NAME: why" or "skip NAME: why"; the exit status is 1
 * where a case failed. The cases are in launch/.
 *
 * Built by `make native-tests`, under the sanitizers.
 */
#define _GNU_SOURCE
#include "launch/cgroup_cases.h"
#include "launch/exec_cases.h"
#include "launch/filter_action_cases.h"
#include "launch/filter_cases.h"
#include "launch/filter_listener_cases.h"
#include "launch/hook_cases.h"
#include "launch/idmap_cases.h"
#include "launch/limit_cases.h"
#include "launch/mount_cases.h"
#include "launch/process_cases.h"
#include "launch/self_cases.h"
#include "launch/stress.h"
#include "launch/systemd_cases.h"
#include "launch/user_cases.h"

int main(int count, char **arguments) {
    if (count == 2)
        return self_hold(arguments);
    if (geteuid() != 0) {
        printf("skip all: not root\n");
        return 0;
    }
    /* Whatever nice(1) this runs under, processes begin at 0. */
    setpriority(PRIO_PROCESS, 0, 0);
    if (bundle_set_up() < 0)
        return 0;
    test_process();
    test_programs();
    test_capabilities();
    test_seccomp();
    test_filter();
    test_filter_without_end();
    test_filters();
    test_filter_listener();
    test_mounts();
    test_proc_and_sys();
    test_hostile_links();
    test_idmap();
    test_user_namespaces();
    test_limits();
    test_limit_words();
    test_limit_updates();
    test_device_rules();
    test_device_program();
    test_namespaces();
    test_systemd();
    test_terminal();
    test_exec();
    test_exec_exposed();
    test_exec_stopped();
    test_hooks();
    test_keyring();
    test_self_exe();
    test_never_started();
    test_stress("200 containers leave nothing behind", 0);
    remove_groups();
    bundle_tear_down();
    return failures == 0 ? 0 : 1;
}
