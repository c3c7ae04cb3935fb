/* See seccomp_machine.h. */
#include "seccomp_machine.h"
#include "target.h"
#include <string.h>

static uint32_t load(const struct seccomp_data *call, uint32_t offset) {
    uint32_t word;
    FUZZ_HOLDS(offset % 4 == 0 && offset < sizeof(*call), "load from %u", offset);
    memcpy(&word, (const char *)call + offset, sizeof(word));
    return word;
}

static bool jumps(uint16_t code, uint32_t left, uint32_t right) {
    switch (BPF_OP(code)) {
    case BPF_JEQ:
        return left == right;
    case BPF_JGT:
        return left > right;
    case BPF_JGE:
        return left >= right;
    case BPF_JSET:
        return (left & right) != 0;
    default:
        FUZZ_HOLDS(false, "jump %x", code);
    }
}

uint32_t seccomp_machine_run(const struct sock_filter *code, size_t count,
                             const struct seccomp_data *call) {
    uint32_t accumulator = 0;
    FUZZ_HOLDS(count > 0 && count <= BPF_MAXINSNS, "%zu instructions", count);
    for (size_t at = 0; at < count;) {
        const struct sock_filter *step = &code[at++];
        switch (step->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            accumulator = load(call, step->k);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            accumulator &= step->k;
            break;
        case BPF_JMP | BPF_JA:
            at += step->k;
            break;
        case BPF_RET | BPF_K:
            return step->k;
        default:
            FUZZ_HOLDS(BPF_CLASS(step->code) == BPF_JMP && BPF_SRC(step->code) == BPF_K,
                       "instruction %x", step->code);
            at += jumps(step->code, accumulator, step->k) ? step->jt : step->jf;
        }
    }
    FUZZ_HOLDS(false, "the program of %zu instructions runs past its end", count);
}
