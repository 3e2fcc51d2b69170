/*
 * timer: the timers of a loop, a heap with four children a node.
 *
 * The heap holds keys and pointers; a timer knows its place in it. A timer that is moved to a later
 * time keeps its old key (queued_ms) and only its due_ms changes: most timers guard something that
 * makes progress, so they are moved many times for each time they come up. When the old key comes
 * up, the timer is put where it belongs; it fires only when key and due_ms agree, so timers fire in
 * order of due_ms whatever way they were moved. The loop's thread only; timers belong to whoever
 * embeds them.
 */
#include "loop/loop_int.h"

#include <limits.h>

#define FAR_MS (INT64_MAX / 4)

static void place(struct dz_loop *l, size_t i, struct dz_timer_slot s)
{
    l->heap[i] = s;
    s.t->at = i + 1;
}

static void sift_up(struct dz_loop *l, size_t i, struct dz_timer_slot s)
{
    while (i > 0) {
        size_t parent = (i - 1) / 4;
        if (l->heap[parent].key_ms <= s.key_ms)
            break;
        place(l, i, l->heap[parent]);
        i = parent;
    }
    place(l, i, s);
}

static void sift_down(struct dz_loop *l, size_t i, struct dz_timer_slot s)
{
    for (;;) {
        size_t child = 4 * i + 1;
        if (child >= l->heap_n)
            break;
        size_t end = child + 4 < l->heap_n ? child + 4 : l->heap_n;
        size_t least = child;
        while (++child < end)
            if (l->heap[child].key_ms < l->heap[least].key_ms)
                least = child;
        if (l->heap[least].key_ms >= s.key_ms)
            break;
        place(l, i, l->heap[least]);
        i = least;
    }
    place(l, i, s);
}

static void remove_at(struct dz_loop *l, size_t i)
{
    l->heap[i].t->at = 0;
    struct dz_timer_slot last = l->heap[--l->heap_n];
    if (i == l->heap_n)
        return;
    if (i > 0 && last.key_ms < l->heap[(i - 1) / 4].key_ms)
        sift_up(l, i, last);
    else
        sift_down(l, i, last);
}

void dz_timer_set(struct dz_loop *l, struct dz_timer *t, int64_t after_ms, dz_timer_fn *fn)
{
    dz_loop_check_owner(l);
    dz_assert(fn);
    if (!l->in_turn) /* while a program starts up, the last reading may be old */
        dz_loop_read_clock(l);
    if (after_ms > FAR_MS)
        after_ms = FAR_MS;
    /* A callback that sets a timer for now must not keep the turn from ending. */
    int64_t least_ms = l->firing ? 1 : 0;
    if (after_ms < least_ms)
        after_ms = least_ms;
    t->fn = fn;
    t->due_ms = l->now_ms + after_ms;
    if (t->at != 0) {
        if (t->due_ms < t->queued_ms) {
            t->queued_ms = t->due_ms;
            sift_up(l, t->at - 1, (struct dz_timer_slot){t->due_ms, t});
        }
        return;
    }
    if (l->heap_n == l->heap_cap) {
        l->heap_cap = l->heap_cap ? l->heap_cap * 2 : 64;
        l->heap = dz_realloc(l->heap, l->heap_cap * sizeof(*l->heap));
    }
    t->queued_ms = t->due_ms;
    l->heap_n++;
    sift_up(l, l->heap_n - 1, (struct dz_timer_slot){t->due_ms, t});
}

void dz_timer_stop(struct dz_loop *l, struct dz_timer *t)
{
    if (t->at == 0)
        return;
    dz_loop_check_owner(l);
    remove_at(l, t->at - 1);
}

int dz_loop_timer_wait_ms(const struct dz_loop *l)
{
    if (l->heap_n == 0)
        return -1;
    int64_t wait_ms = l->heap[0].key_ms - l->now_ms;
    if (wait_ms <= 0)
        return 0;
    return wait_ms < INT_MAX ? (int)wait_ms : INT_MAX;
}

void dz_loop_timers_fire(struct dz_loop *l)
{
    l->firing = true;
    while (l->heap_n > 0 && l->heap[0].key_ms <= l->now_ms) {
        struct dz_timer *t = l->heap[0].t;
        if (t->due_ms > t->queued_ms) {
            t->queued_ms = t->due_ms;
            sift_down(l, 0, (struct dz_timer_slot){t->due_ms, t});
            continue;
        }
        remove_at(l, 0);
        t->fn(l, t);
    }
    l->firing = false;
}
