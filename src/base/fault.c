/*
 * fault: makes the Nth operation of a kind fail, for tests of failure paths.
 *
 * In: the environment's DZ_FAULT=OP:N, OP:N:kill or OP:N:stop, read once. Out: true from
 * dz_fault("OP") exactly once, or the end of the process by SIGKILL there, which leaves on disk
 * what a power cut would leave of the program's own work, or its standing still there until
 * SIGCONT, so that a test does what it does in the middle of the work. Any thread; the count is
 * shared. Compiled to nothing without -Dfaults=true. A text that cannot be read aborts, because a
 * test that believes it breaks something and does not would pass for the wrong reason.
 */
#include "base/base_int.h"

#ifdef DZ_FAULTS

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct {
    char op[32];
    uint64_t at;
    int signal; /* 0: it fails */
    _Atomic uint64_t count;
} plan;

static void read_plan(void)
{
    dz_str s = dz_str_of(getenv("DZ_FAULT"));
    if (s.n == 0)
        return;
    size_t colon = dz_str_chr(s, ':');
    if (colon == DZ_NPOS || colon == 0 || colon >= sizeof(plan.op))
        dz_panic(__FILE__, __LINE__, "DZ_FAULT=%s: want OP:N, OP:N:kill or OP:N:stop", s.p);
    dz_str number = dz_str_sub(s, colon + 1, s.n);
    if (dz_str_ends(number, DZ_S(":kill"))) {
        plan.signal = SIGKILL;
        number.n -= sizeof(":kill") - 1;
    } else if (dz_str_ends(number, DZ_S(":stop"))) {
        plan.signal = SIGSTOP;
        number.n -= sizeof(":stop") - 1;
    }
    if (dz_str_u64(number, UINT64_MAX, &plan.at, NULL) != DZ_OK || plan.at == 0)
        dz_panic(__FILE__, __LINE__, "DZ_FAULT=%s: N counts from 1", s.p);
    memcpy(plan.op, s.p, colon);
}

bool dz_fault(const char *op)
{
    pthread_once(&once, read_plan);
    if (plan.at == 0 || strcmp(op, plan.op) != 0)
        return false;
    if (atomic_fetch_add_explicit(&plan.count, 1, memory_order_relaxed) + 1 != plan.at)
        return false;
    if (plan.signal != 0)
        (void)raise(plan.signal); /* this thread goes no further */
    return plan.signal == 0;
}

#endif
