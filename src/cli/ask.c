/*
 * ask: questions to a source, one after another, for commands that wait for each answer; and the
 * signals of commands that have a loop.
 *
 * In: a function of a source and its arguments. Out: its value, or why there is none. The loop runs
 * on the calling thread while an answer is waited for, and whatever else hangs on it goes on. A
 * stop ends a question that waits.
 */
#include <signal.h>

#include "cli/crawl_int.h"

enum dz_code dz_cli_fetch_new(struct dz_loop *l, const struct dz_conf *conf,
                              struct dz_fetch **ret_f, struct dz_err *err)
{
    struct dz_fetch_options o = {
        .user_agent = conf->sources.user_agent && conf->sources.user_agent[0]
                          ? conf->sources.user_agent
                          : "dozo/" DZ_VERSION,
        .connect_timeout_ms = conf->sources.connect_timeout_ms,
        .read_timeout_ms = conf->sources.read_timeout_ms,
    };
    return dz_fetch_new(l, &o, ret_f, err);
}

/* ---- questions ------------------------------------------------------------------------------- */

enum dz_code dz_asker_open(struct dz_asker *k, struct dz_loop *l, struct dz_fetch *fetch,
                           struct dz_source *s, struct dz_err *err)
{
    *k = (struct dz_asker){.env = {.loop = l, .fetch = fetch}, .fail.retry_after_ms = -1};
    return dz_source_run_new(s, &k->env, NULL, &k->run, err);
}

void dz_asker_close(struct dz_asker *k)
{
    dz_source_run_free(&k->run);
}

static void on_answer(void *arg, const struct dz_source_result *res)
{
    struct dz_asker *k = arg;
    k->requests += res->requests;
    if (res->fail)
        k->fail = *res->fail;
    else
        k->value = json_incref(res->value);
    k->asking = false;
    dz_loop_stop(k->env.loop);
}

enum dz_code dz_asker_ask(struct dz_asker *k, enum dz_source_fn fn, json_t *take_args,
                          json_t **ret_value, struct dz_err *err)
{
    k->value = NULL;
    k->fail.kind = DZ_SOURCE_OK;
    k->asking = true;
    enum dz_code code = !take_args ? dz_fail(err, DZ_BAD_INPUT, "the text is not UTF-8")
                        : !k->run  ? dz_fail(err, DZ_CANCELLED, "stopped")
                                   : dz_source_run_call(k->run, fn, take_args, on_answer, k, err);
    if (code == DZ_OK && k->asking)
        dz_loop_run(k->env.loop);
    k->asking = false;
    json_decref(take_args);
    DZ_TRY(code);
    if (k->fail.kind != DZ_SOURCE_OK)
        return dz_fail(err, DZ_PARSE, "%s", k->fail.text);
    *ret_value = k->value;
    return DZ_OK;
}

enum dz_code dz_asker_ask_text(struct dz_asker *k, enum dz_source_fn fn, dz_str text,
                               json_t **ret_value, struct dz_err *err)
{
    return dz_asker_ask(k, fn, json_pack("[s%]", text.p, text.n), ret_value, err);
}

/* ---- signals --------------------------------------------------------------------------------- */

static void on_signal(struct dz_loop *l, int signo, void *arg)
{
    (void)l;
    struct dz_stopper *s = arg;
    if (atomic_exchange(&s->asked, true)) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, signo);
        dz_progress_clear(s->progress);
        signal(signo, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        raise(signo);
    }
    s->stop(s->arg);
}

enum dz_code dz_stopper_watch(struct dz_stopper *s, struct dz_loop *l, struct dz_err *err)
{
    static const int signals[] = {SIGINT, SIGTERM};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < DZ_LEN(signals); i++)
        sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return dz_loop_signals(l, signals, DZ_LEN(signals), on_signal, s, err);
}
