/* Asks Postgres for money before it is spent, and keeps tries waiting meanwhile. */
#include "shared/model/budget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"
#include "shared/model/gate.h"
#include "shared/model/lease.h"
#include "shared/model/prices.h"
#include "shared/model/provider.h"
#include "shared/pg.h"
#include "shared/request_id.h"

enum {
    TICK_MS = 1000,
    HOLD_S = 60,        /* a lease that is not confirmed for so long counts as spent */
    ASK_AGAIN_MS = 200, /* while Postgres is away */
    /* How long after a refusal it says that it refuses: gateways let nothing through meanwhile that could
     * show that all it was asked for so far was dearer than calls mostly are. */
    REFUSING_MS = 30000,
    /* Tokens that a provider's own template and a structured answer's form may add to a prompt. */
    TEMPLATE_TOKENS = 600,
    VALUE_BYTES = 32,
};

/* Raises the lease to used and at least lowest, at best highest, more; with highest 0 it is set to used. The
 * last parameter: with less than that, requests are refused here. */
static const struct pg_statement HOLD = {
    "hold_budget",
    "SELECT amount, granted, left_nanousd, valid_ms, day_ms FROM moru_hold_budget($1::uuid, $2, $3::bigint, "
    "$4::bigint, $5::bigint, $6::bigint, $7::float8, $8::bigint)",
};

/* A try that waits for money. */
struct waiting {
    struct waiting *next;
    struct model_pass *pass;
    int64_t most;
};

struct budget {
    uv_loop_t *loop;
    struct pg *pg, *own_pg; /* own_pg NULL: pg is the process's */
    struct budget_options options;
    int64_t limit;
    struct lease lease;
    char lease_id[UUID_TEXT_BYTES];
    uint64_t began_ns;       /* uv_hrtime since when tries count for this lease */
    uint64_t valid_until_ms; /* uv_now; 0: nothing is leased */
    uint64_t day_ends_ms;    /* uv_now; 0: not known */
    int64_t left;
    struct waiting *waiting, **waiting_end; /* in the order they came */
    bool asking;                            /* Postgres */
    bool shrinking;                         /* it is asked to take back */
    uint64_t asked_ms;                      /* uv_now, when */
    uint64_t denied_ms;  /* uv_now of its last answer that there is no more; 0: none since it gave some */
    uint64_t refused_ms; /* uv_now of the last refusal; 0: none */
    int64_t cheapest;    /* the least of what tries asked for under this lease; 0: none asked */
    bool going_on;       /* go_on is at work: a refusal may make the next call ask */
    bool idle;           /* nothing was asked for since the last tick */
    bool closing, closed;
    int64_t newly_refused;
    uint64_t warned_ms;
    uv_timer_t tick, again;
};

static void ask_postgres(struct budget *budget, bool shrink);

/* A token of a prompt is a byte of it at least. */
static int64_t most_of(
    const struct budget *budget, const struct model_target *target, const struct model_request *request) {
    const struct price *price = budget->options.price_of(budget->options.context, target);
    if (!price)
        return 0;
    size_t bytes = strlen(request->system) + strlen(request->user) +
                   (request->form && request->form->schema ? strlen(request->form->schema) : 0);
    return price_most_nanousd(price, (int64_t)bytes + TEMPLATE_TOKENS, model_max_tokens(request));
}

static bool is_valid(const struct budget *budget) {
    return budget->valid_until_ms > uv_now(budget->loop);
}

static void begin_lease(struct budget *budget) {
    budget->lease = (struct lease){0};
    budget->cheapest = 0;
    budget->valid_until_ms = 0;
    budget->began_ns = uv_hrtime();
    uuid_random(budget->lease_id);
}

static int64_t seconds_to_midnight(const struct budget *budget) {
    uint64_t now = uv_now(budget->loop);
    return budget->day_ends_ms > now ? (int64_t)(budget->day_ends_ms - now) / 1000 + 1 : 1;
}

/* Takes out the one that link points at, and frees it. */
static struct model_pass *end_waiting(struct budget *budget, struct waiting **link) {
    struct waiting *waiting = *link;
    struct model_pass *pass = waiting->pass;
    *link = waiting->next;
    if (!waiting->next)
        budget->waiting_end = link;
    free(waiting);
    return pass;
}

static void refuse_first(struct budget *budget) {
    char reason[200];
    snprintf(reason, sizeof reason,
        BUDGET_SPENT_TEXT " of %.10g USD is spent; it begins anew at 00:00 UTC, in %lld s",
        budget->options.limit_usd, (long long)seconds_to_midnight(budget));
    budget->newly_refused++;
    budget->refused_ms = uv_now(budget->loop);
    model_pass_refuse(end_waiting(budget, &budget->waiting), reason, -1);
}

/* Lets those through, in their order, that there is money for. */
static void serve(struct budget *budget) {
    while (is_valid(budget) && budget->waiting && lease_reserve(&budget->lease, budget->waiting->most))
        model_pass_open(end_waiting(budget, &budget->waiting));
}

/* What to do with the first that the lease has no money for; false: nothing now. Postgres is asked, but once
 * it has none to give only once a tick. Meanwhile tries under way are waited for, which mostly cost less than
 * was reserved; without those it is refused. */
static bool settle_first(struct budget *budget) {
    if (!budget->waiting || budget->asking || budget->closing)
        return false;
    bool denied = budget->denied_ms && uv_now(budget->loop) - budget->denied_ms < TICK_MS;
    if (!denied)
        ask_postgres(budget, false);
    else if (!budget->lease.reserved)
        refuse_first(budget);
    return denied && !budget->lease.reserved;
}

static void go_on(struct budget *budget) {
    if (budget->going_on)
        return;
    budget->going_on = true;
    do
        serve(budget);
    while (settle_first(budget));
    budget->going_on = false;
}

static void on_again(uv_timer_t *timer) {
    go_on(timer->data);
}

static int64_t number(const struct pg_result *rows, int column) {
    const char *text = pg_value(rows, 0, column);
    return text ? strtoll(text, NULL, 10) : 0;
}

static void take_answer(struct budget *budget, const struct pg_result *rows) {
    if (!budget->shrinking)
        lease_grow(&budget->lease, number(rows, 0));
    bool granted = pg_value(rows, 0, 1) && *pg_value(rows, 0, 1) == 't';
    budget->left = number(rows, 2);
    budget->valid_until_ms = budget->asked_ms + (uint64_t)number(rows, 3);
    budget->day_ends_ms = budget->asked_ms + (uint64_t)number(rows, 4);
    budget->denied_ms = granted ? 0 : uv_now(budget->loop);
}

static void on_answer(void *context, const struct pg_result *rows) {
    struct budget *budget = context;
    budget->asking = false;
    bool told = pg_status(rows) == PG_OK && pg_rows(rows) == 1;
    if (told && !pg_value(rows, 0, 0)) {
        /* Its day is over, and Postgres has settled it. */
        begin_lease(budget);
        budget->denied_ms = 0;
    } else if (told) {
        take_answer(budget, rows);
    } else if (log_due(&budget->warned_ms, 10000)) {
        log_warn("budget_not_leased", log_string("reason", pg_message(rows)));
    }
    bool given_back = budget->shrinking;
    budget->shrinking = false;
    if (budget->closing && (given_back || !told))
        budget->closed = true;
    else if (budget->closing)
        ask_postgres(budget, true);
    else if (told)
        go_on(budget);
    else
        uv_timer_start(&budget->again, on_again, ASK_AGAIN_MS, 0);
}

static int64_t sum_waiting(const struct budget *budget) {
    int64_t sum = 0;
    for (const struct waiting *waiting = budget->waiting; waiting; waiting = waiting->next)
        sum += waiting->most;
    return sum;
}

static bool has_refused(const struct budget *budget) {
    return budget->refused_ms && uv_now(budget->loop) - budget->refused_ms < REFUSING_MS;
}

/* That a dear try is refused says nothing about others; that there is too little for the cheapest does. */
static int64_t refusing_below(const struct budget *budget) {
    const struct budget_options *options = &budget->options;
    bool told = options->fails_requests && options->fails_requests(options->context) && !budget->closing;
    return told && (budget->waiting || has_refused(budget)) ? budget->cheapest : 0;
}

static void ask_postgres(struct budget *budget, bool shrink) {
    /* Whatever becomes of the question, what is given back is not spent any more. */
    int64_t used = shrink ? lease_shrink(&budget->lease) : lease_used(&budget->lease);
    const struct waiting *first = budget->waiting;
    int64_t lowest = shrink || !first ? 0 : first->most;
    int64_t highest = shrink ? 0 : lease_portion(budget->limit, sum_waiting(budget));
    char numbers[6][VALUE_BYTES];
    snprintf(numbers[0], VALUE_BYTES, "%lld", (long long)budget->limit);
    snprintf(numbers[1], VALUE_BYTES, "%lld", (long long)used);
    snprintf(numbers[2], VALUE_BYTES, "%lld", (long long)lowest);
    snprintf(numbers[3], VALUE_BYTES, "%lld", (long long)highest);
    snprintf(numbers[4], VALUE_BYTES, "%d", HOLD_S);
    snprintf(numbers[5], VALUE_BYTES, "%lld", (long long)refusing_below(budget));
    budget->asking = true;
    budget->shrinking = shrink;
    budget->asked_ms = uv_now(budget->loop);
    pg_query(budget->pg, &HOLD, 8,
        (const char *const[]){budget->lease_id, budget->options.holder, numbers[0], numbers[1], numbers[2],
            numbers[3], numbers[4], numbers[5]},
        on_answer, budget);
}

static void on_ask(void *context, const struct model_target *target, const struct model_request *request,
    struct model_pass *pass) {
    struct budget *budget = context;
    int64_t most = most_of(budget, target, request);
    budget->idle = false;
    if (most && (!budget->cheapest || most < budget->cheapest))
        budget->cheapest = most;
    bool is_first = !budget->waiting;
    if (!most || (is_first && is_valid(budget) && lease_reserve(&budget->lease, most))) {
        model_pass_open(pass);
        return;
    }
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (!waiting)
        abort();
    *waiting = (struct waiting){.pass = pass, .most = most};
    *budget->waiting_end = waiting;
    budget->waiting_end = &waiting->next;
    /* Those before it are waiting for something already. */
    if (is_first)
        go_on(budget);
}

static void on_forget(void *context, struct model_pass *pass) {
    struct budget *budget = context;
    struct waiting **link = &budget->waiting;
    while (*link && (*link)->pass != pass)
        link = &(*link)->next;
    if (*link)
        end_waiting(budget, link);
}

static bool may_be_charged_unseen(const struct model_answer *answer) {
    enum model_error kind = answer->error_kind;
    bool told = answer->prompt_tokens || answer->completion_tokens;
    return !told && (answer->status == MODEL_OK || kind == MODEL_ERROR_TIMEOUT || kind == MODEL_ERROR_CUT ||
                        kind == MODEL_ERROR_CANCELLED);
}

/* The wall clock may have been set since the lease began, so what counts is how long the try took. */
static bool began_before(const struct budget *budget, const struct model_try *attempt) {
    uint64_t took =
        attempt->ended_ns > attempt->began_ns ? (uint64_t)(attempt->ended_ns - attempt->began_ns) : 0;
    return uv_hrtime() < budget->began_ns + took;
}

void budget_spent(struct budget *budget, const struct model_try *attempt, int64_t nanousd) {
    int64_t most = most_of(budget, attempt->target, attempt->request);
    /* One of a lease before this one was settled with that, as the most that it could cost. */
    if (!most || began_before(budget, attempt))
        return;
    lease_spend(&budget->lease, most, may_be_charged_unseen(attempt->answer) ? most : nanousd);
    if (budget->waiting)
        go_on(budget);
}

/* Confirms the lease in time, and that it refuses; gives back what nobody asks for, and goes on where
 * Postgres had nothing to give. */
static void on_tick(uv_timer_t *timer) {
    struct budget *budget = timer->data;
    bool idle = budget->idle && !budget->lease.reserved;
    budget->idle = true;
    if (budget->asking || budget->closing)
        return;
    if (budget->waiting)
        go_on(budget);
    else if (idle && lease_free(&budget->lease))
        ask_postgres(budget, true);
    else if (has_refused(budget) ||
             (budget->valid_until_ms && budget->valid_until_ms < uv_now(budget->loop) + HOLD_S * 500))
        ask_postgres(budget, idle);
}

static void need(bool given, const char *what) {
    if (given)
        return;
    fprintf(stderr, "LLM_DAILY_BUDGET_USD: %s\n", what);
    exit(2);
}

struct budget *budget_open(
    uv_loop_t *loop, struct pg *pg, struct model *model, const struct budget_options *options) {
    struct budget *budget = calloc(1, sizeof *budget);
    if (!budget)
        abort();
    need(options->price_of, "a budget needs LLM_PRICES, the price file");
    need(pg || **(const char *const *)pg_settings[0].value, "a budget needs DATABASE_URL");
    budget->loop = loop;
    budget->own_pg = pg ? NULL : pg_open(loop, NULL, NULL);
    budget->pg = pg ? pg : budget->own_pg;
    budget->options = *options;
    budget->limit = llround(options->limit_usd * 1e9);
    budget->waiting_end = &budget->waiting;
    begin_lease(budget);
    uv_timer_init(loop, &budget->tick);
    uv_timer_init(loop, &budget->again);
    budget->tick.data = budget->again.data = budget;
    uv_timer_start(&budget->tick, on_tick, TICK_MS, TICK_MS);
    model_set_gate(model, &(struct model_gate){.ask = on_ask, .forget = on_forget, .context = budget});
    return budget;
}

struct budget_figures budget_figures(struct budget *budget) {
    struct budget_figures figures = {.left = budget->left,
        .free = lease_free(&budget->lease),
        .reserved = budget->lease.reserved,
        .spent = budget->lease.spent,
        .newly_refused = budget->newly_refused};
    budget->newly_refused = 0;
    return figures;
}

void budget_give_back(struct budget *budget) {
    uv_timer_stop(&budget->tick);
    uv_timer_stop(&budget->again);
    budget->closing = true;
    budget->closed = !budget->valid_until_ms || !pg_ready(budget->pg);
    if (!budget->closed && !budget->asking)
        ask_postgres(budget, true);
}

bool budget_closing(const struct budget *budget) {
    return budget->closing && !budget->closed;
}

void budget_close(struct budget **closing) {
    struct budget *budget = *closing;
    *closing = NULL;
    if (budget->own_pg)
        pg_close(&budget->own_pg);
    /* An answer of the process's connection may still come; the process ends. */
}
