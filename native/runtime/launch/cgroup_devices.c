/*
 * Device rules on cgroup v2: an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE, which the kernel
 * asks at each open and mknod of a device (bpf-helpers(7), linux/bpf.h's struct
 * bpf_cgroup_dev_ctx). The last rule that speaks of an access decides, so the program tests them
 * from the last to the first.
 */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "cgroup.h"
#include "syscalls.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INSTRUCTIONS_PER_RULE 12
#define JUMP_TO_NEXT_RULE 0

struct devices_program {
    struct bpf_insn *code;
    size_t count;
    /* The first instruction of the rule being written. */
    size_t rule;
};

static void devices_emit(struct devices_program *program, uint8_t code, uint8_t to, uint8_t from,
                         int16_t offset, int32_t value) {
    program->code[program->count++] = (struct bpf_insn){
        .code = code, .dst_reg = to, .src_reg = from, .off = offset, .imm = value};
}

/* A jump whose offset devices_end_rule fills in. */
static void devices_skip_unless_equal(struct devices_program *program, uint8_t reg, int64_t value) {
    devices_emit(program, BPF_JMP | BPF_JNE | BPF_K, reg, 0, JUMP_TO_NEXT_RULE, (int32_t)value);
}

static void devices_end_rule(struct devices_program *program) {
    for (size_t index = program->rule; index < program->count; index++) {
        struct bpf_insn *instruction = &program->code[index];
        if (BPF_CLASS(instruction->code) == BPF_JMP && BPF_OP(instruction->code) != BPF_EXIT)
            instruction->off = (int16_t)(program->count - index - 1);
    }
}

/* r2 type, r3 access, r4 major, r5 minor. */
static void devices_prologue(struct devices_program *program) {
    devices_emit(program, BPF_LDX | BPF_MEM | BPF_W, 2, 1,
                 offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
    devices_emit(program, BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0);
    devices_emit(program, BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
    devices_emit(program, BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);
    devices_emit(program, BPF_LDX | BPF_MEM | BPF_W, 4, 1,
                 offsetof(struct bpf_cgroup_dev_ctx, major), 0);
    devices_emit(program, BPF_LDX | BPF_MEM | BPF_W, 5, 1,
                 offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
}

static void devices_rule(struct devices_program *program,
                         const struct resources_device_rule *rule) {
    int32_t access = (rule->mknod ? BPF_DEVCG_ACC_MKNOD : 0) |
                     (rule->read ? BPF_DEVCG_ACC_READ : 0) |
                     (rule->write ? BPF_DEVCG_ACC_WRITE : 0);
    int32_t all = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
    program->rule = program->count;
    if (rule->type != 'a') {
        devices_skip_unless_equal(program, 2,
                                  rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
        if (rule->major >= 0)
            devices_skip_unless_equal(program, 4, rule->major);
        if (rule->minor >= 0)
            devices_skip_unless_equal(program, 5, rule->minor);
        if (access != all) {
            devices_emit(program, BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0, 0);
            if (rule->allow) {
                /* Allowed if nothing is asked for but what the rule gives. */
                devices_emit(program, BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, all & ~access);
                devices_skip_unless_equal(program, 1, 0);
            } else {
                /* Denied if anything is asked for that the rule takes. */
                devices_emit(program, BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, access);
                devices_emit(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, JUMP_TO_NEXT_RULE, 0);
            }
        }
    }
    devices_emit(program, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, rule->allow ? 1 : 0);
    devices_emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    devices_end_rule(program);
}

static int devices_load(const struct devices_program *program) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = (uint64_t)(uintptr_t)program->code;
    attributes.insn_cnt = (uint32_t)program->count;
    attributes.license = (uint64_t)(uintptr_t) "GPL";
    strcpy(attributes.prog_name, "mydock_devices");
    return sys_bpf(BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

int cgroup_devices_attach(int directory_fd, const struct resources_device_rule *rules, size_t count,
                          struct error **err) {
    cleanup_free struct bpf_insn *code = calloc(count * INSTRUCTIONS_PER_RULE + 8, sizeof(*code));
    if (code == NULL)
        return error_set(err, ENOMEM, "build", "device rules");
    struct devices_program program = {code, 0, 0};
    devices_prologue(&program);
    bool closed = false;
    for (size_t index = count; index > 0 && !closed; index--) {
        devices_rule(&program, &rules[index - 1]);
        /* Nothing before a rule for everything can matter, and the verifier refuses code that is
         * never reached. */
        closed = rules[index - 1].type == 'a';
    }
    if (!closed) {
        devices_emit(&program, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
        devices_emit(&program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    cleanup_close int fd = devices_load(&program);
    if (fd < 0)
        return error_set(err, errno, "load", "the eBPF program of the device rules");
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.target_fd = (uint32_t)directory_fd;
    attributes.attach_bpf_fd = (uint32_t)fd;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    /* MULTI: a container that manages groups of its own may restrict them further; all programs
     * must agree. */
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (sys_bpf(BPF_PROG_ATTACH, &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "attach", "the eBPF program of the device rules");
    return 0;
}
