/* Gathers calls into messages, one of which is on its way at a time. */
#include "workers/usage.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "schemas/topics.h"
#include "schemas/usage_call.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/model/budget.h"
#include "shared/model/model.h"
#include "shared/model/prices.h"
#include "shared/model/provider.h"
#include "shared/request_id.h"
#include "workers/run_private.h"

/* CALLS_MAX is that of the schema. BATCHES_MAX of them, some 20 MB, wait while Kafka is away. */
enum {
    CALLS_MAX = 500,
    BATCHES_MAX = 200,
    TARGETS_MAX = 32,
    CLOSE_MS = 1000,
    GAP_MS = 50, /* between messages that are not full: each costs as much as many calls */
    WARN_MS = 10000,
    NUMBER_MAX = 32767,
    GROUPS_SEEN = 16
};

static const char *prices_path;
static double daily_budget_usd;

struct setting usage_settings[] = {
    {.name = "LLM_PRICES",
        .type = SETTING_STRING,
        .value = &prices_path,
        .otherwise = "",
        .help = "The price file, as deploy/prices.json; empty: calls cost nothing."},
    {.name = "LLM_DAILY_BUDGET_USD",
        .type = SETTING_DOUBLE,
        .value = &daily_budget_usd,
        .otherwise = "0",
        .min = 0,
        .max = 1e6,
        .help = "US dollars that all replicas together may spend on models in a day (UTC), by LLM_PRICES; 0: "
                "any."},
    {0},
};

struct metric usage_metrics[] = {
    {.name = "agent_model_cost_usd_total",
        .type = METRIC_COUNTER,
        .help = "What calls of models cost, in US dollars, by the price file.",
        .labels = {"provider", "model"}},
    {.name = "agent_model_usage_tokens_total",
        .type = METRIC_COUNTER,
        .help = "Tokens: prompt (cached and cache_write among them), cached, cache_write, completion "
                "(reasoning among "
                "them), reasoning.",
        .labels = {"provider", "model", "kind"}},
    {.name = "agent_model_unpriced_calls_total",
        .type = METRIC_COUNTER,
        .help = "Calls of models that the price file does not know; they count as free.",
        .labels = {"provider", "model"}},
    {.name = "agent_model_usage_dropped_total",
        .type = METRIC_COUNTER,
        .help = "Calls whose usage was dropped, because Kafka had not taken it and too much waited."},
    {.name = "agent_model_usage_waiting",
        .type = METRIC_GAUGE,
        .help = "Calls whose usage Kafka has not taken so far."},
    {.name = "agent_model_budget_left_usd",
        .type = METRIC_GAUGE,
        .help = "What nobody has leased of the daily budget, as Postgres told last."},
    {.name = "agent_model_budget_lease_usd",
        .type = METRIC_GAUGE,
        .help = "This process's lease of the daily budget, by state: free, reserved, spent.",
        .labels = {"state"}},
    {.name = "agent_model_budget_refused_total",
        .type = METRIC_COUNTER,
        .help = "Tries of calls that were refused because the daily budget is spent."},
    {0},
};

/* Calls of a message that have all this in common. */
struct group {
    struct group *next;
    const struct model_target *target; /* tells groups apart; gone once the model is closed */
    const char *provider, *model;
    const char *purpose, *outcome, *task_type, *tenant;
    struct buffer calls; /* separated by commas */
};

/* One message. */
struct batch {
    TAILQ_ENTRY(batch) link;
    struct arena *arena;
    struct group *groups; /* the newest first */
    int calls;
};

/* A model that was called, so that its price is looked up once. */
struct priced_target {
    const struct model_target *target;
    const struct price *price; /* NULL: none */
};

struct usage {
    struct run *run;
    struct arena *arena;
    const struct prices *prices; /* NULL: no file is set */
    struct budget *budget;       /* NULL: none is set */
    struct priced_target targets[TARGETS_MAX];
    int target_count;
    TAILQ_HEAD(batch_list, batch) waiting; /* the last one still gathers */
    int batches;
    int64_t calls;       /* in waiting and on their way */
    uint64_t sent_ms;    /* uv_now of the last message */
    uv_timer_t gap;      /* until the next may be sent */
    int sent_calls;      /* on their way; 0: none */
    int64_t dropped;     /* since the last line of the log about it */
    uint64_t dropped_ms; /* of that line */
};

static void send_next(struct usage *usage);

static void on_sent(void *context, const char *reason) {
    struct usage *usage = context;
    if (reason) {
        metric_count(&usage_metrics[3], usage->sent_calls);
        log_error("usage_dropped", log_string("reason", reason), log_integer("calls", usage->sent_calls));
    }
    usage->calls -= usage->sent_calls;
    usage->sent_calls = 0;
    send_next(usage);
}

static struct batch *take(struct usage *usage) {
    struct batch *batch = TAILQ_FIRST(&usage->waiting);
    TAILQ_REMOVE(&usage->waiting, batch, link);
    usage->batches--;
    return batch;
}

static void free_batch(struct batch *batch) {
    struct arena *arena = batch->arena;
    arena_destroy(&arena);
}

static void write_member(struct buffer *text, const char *before, const char *value) {
    buffer_string(text, before);
    json_write_string(text, value);
}

/* Written by hand, since its calls are written as they come (schemas/usage.schema.json). */
static void write_groups(struct buffer *text, const struct group *groups) {
    buffer_string(text, "{\"groups\":[");
    for (const struct group *group = groups; group; group = group->next) {
        write_member(text, "{\"provider\":", group->provider);
        write_member(text, ",\"model\":", group->model);
        write_member(text, ",\"purpose\":", group->purpose);
        write_member(text, ",\"outcome\":", group->outcome);
        write_member(text, ",\"task_type\":", group->task_type);
        write_member(text, ",\"tenant\":", group->tenant);
        buffer_string(text, ",\"calls\":[");
        buffer_append(text, group->calls.data, group->calls.length);
        buffer_string(text, group->next ? "]}," : "]}");
    }
    buffer_string(text, "]}");
}

static void on_gap_over(uv_timer_t *timer) {
    send_next(timer->data);
}

/* True when the next message is to gather some more calls. */
static bool wait_for_gap(struct usage *usage) {
    uint64_t now = uv_now(run_loop(usage->run)), next = usage->sent_ms + GAP_MS;
    if (TAILQ_FIRST(&usage->waiting)->calls == CALLS_MAX || usage->run->draining || now >= next)
        return false;
    if (!uv_is_active((uv_handle_t *)&usage->gap))
        uv_timer_start(&usage->gap, on_gap_over, next - now, 0);
    return true;
}

static void send_next(struct usage *usage) {
    if (usage->sent_calls || TAILQ_EMPTY(&usage->waiting) || wait_for_gap(usage))
        return;
    struct batch *batch = take(usage);
    usage->sent_ms = uv_now(run_loop(usage->run));
    struct buffer text = buffer_in(batch->arena);
    write_groups(&text, batch->groups);
    usage->sent_calls = batch->calls;
    run_emit(usage->run,
        &(struct run_record){.topic = TOPIC_USAGE.kafka_names[0],
            .key = usage->run->worker->service,
            .value = text.data,
            .length = text.length,
            .type = "moru.usage.v1"},
        on_sent, usage);
    free_batch(batch);
}

static void drop_oldest(struct usage *usage) {
    struct batch *batch = take(usage);
    usage->calls -= batch->calls;
    usage->dropped += batch->calls;
    metric_count(&usage_metrics[3], batch->calls);
    if (log_due(&usage->dropped_ms, WARN_MS)) {
        log_error("usage_dropped", log_string("reason", "Kafka did not take it, and too much waits"),
            log_integer("calls", usage->dropped));
        usage->dropped = 0;
    }
    free_batch(batch);
}

/* The batch that the next call goes into. */
static struct batch *gathering(struct usage *usage) {
    struct batch *last = TAILQ_LAST(&usage->waiting, batch_list);
    if (last && last->calls < CALLS_MAX)
        return last;
    if (usage->batches == BATCHES_MAX)
        drop_oldest(usage);
    struct arena *arena = arena_create(4096);
    struct batch *batch = arena_alloc(arena, sizeof *batch);
    batch->arena = arena;
    TAILQ_INSERT_TAIL(&usage->waiting, batch, link);
    usage->batches++;
    return batch;
}

static void warn_unpriced(const struct model_target *target) {
    log_warn("model_without_price", log_string("provider", target->provider->name),
        log_string("model", target->model),
        log_string("reason", "LLM_PRICES does not name it: its calls count as free"));
}

static const struct price *price_of(void *context, const struct model_target *target) {
    struct usage *usage = context;
    for (int i = 0; i < usage->target_count; i++)
        if (usage->targets[i].target == target)
            return usage->targets[i].price;
    const struct price *price = prices_find(usage->prices, target->provider->name, target->model);
    if (usage->target_count < TARGETS_MAX) {
        usage->targets[usage->target_count++] = (struct priced_target){target, price};
        if (!price && usage->prices)
            warn_unpriced(target);
    }
    return price;
}

static void count(const struct model_target *target, const struct model_answer *answer, int64_t nanousd) {
    const char *provider = target->provider->name, *model = target->name;
    const struct {
        const char *kind;
        int64_t tokens;
    } kinds[] = {{"prompt", answer->prompt_tokens}, {"cached", answer->cached_tokens},
        {"cache_write", answer->cache_write_tokens}, {"completion", answer->completion_tokens},
        {"reasoning", answer->reasoning_tokens}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].tokens)
            metric_count(&usage_metrics[1], (double)kinds[i].tokens, provider, model, kinds[i].kind);
    if (nanousd)
        metric_count(&usage_metrics[0], (double)nanousd / 1e9, provider, model);
}

static const char *outcome_of(const struct model_answer *answer) {
    if (answer->status == MODEL_OK)
        return "ok";
    return answer->error_kind == MODEL_ERROR_NONE ? "unknown" : model_error_name(answer->error_kind);
}

static int64_t bounded(int64_t value, int64_t max) {
    return value < 0 ? 0 : value < max ? value : max;
}

static const char *text_or(const char *text, const char *otherwise) {
    return text && *text ? text : otherwise;
}

static bool is_of(const struct group *group, const struct group *key) {
    return group->target == key->target && strcmp(group->purpose, key->purpose) == 0 &&
           strcmp(group->outcome, key->outcome) == 0 && strcmp(group->task_type, key->task_type) == 0 &&
           strcmp(group->tenant, key->tenant) == 0;
}

/* Only the newest are looked through: groups that stand twice in a message do no harm. */
static struct group *group_of(struct batch *batch, const struct model_try *attempt) {
    const struct model_request *request = attempt->request;
    const struct group key = {.target = attempt->target,
        .purpose = text_or(request->purpose, "unknown"),
        .outcome = outcome_of(attempt->answer),
        .task_type = text_or(request->task_type, "unknown"),
        .tenant = text_or(request->tenant, "default")};
    int seen = 0;
    for (struct group *group = batch->groups; group && seen < GROUPS_SEEN; group = group->next, seen++)
        if (is_of(group, &key))
            return group;
    struct group *group = arena_alloc(batch->arena, sizeof *group);
    *group = (struct group){.next = batch->groups,
        .target = key.target,
        .provider = key.target->provider->name,
        .model = arena_string(batch->arena, key.target->name),
        .purpose = arena_string(batch->arena, key.purpose),
        .outcome = key.outcome,
        .task_type = arena_string(batch->arena, key.task_type),
        .tenant = arena_string(batch->arena, key.tenant),
        .calls = buffer_in(batch->arena)};
    batch->groups = group;
    return group;
}

static void add(struct usage *usage, const struct model_try *attempt, int64_t nanousd) {
    const struct model_request *request = attempt->request;
    const struct model_answer *answer = attempt->answer;
    const struct usage_call call = {
        .request_id = request->request_id && uuid_valid(request->request_id) ? request->request_id : NULL,
        .has_number = attempt->number > 1,
        .number = bounded(attempt->number, NUMBER_MAX),
        .ended_at = attempt->ended_ns / 1000000,
        .duration_ms = bounded((attempt->ended_ns - attempt->began_ns) / 1000000, INT32_MAX),
        .has_prompt_tokens = answer->prompt_tokens > 0,
        .prompt_tokens = bounded(answer->prompt_tokens, INT32_MAX),
        .has_cached_tokens = answer->cached_tokens > 0,
        .cached_tokens = bounded(answer->cached_tokens, INT32_MAX),
        .has_cache_write_tokens = answer->cache_write_tokens > 0,
        .cache_write_tokens = bounded(answer->cache_write_tokens, INT32_MAX),
        .has_completion_tokens = answer->completion_tokens > 0,
        .completion_tokens = bounded(answer->completion_tokens, INT32_MAX),
        .has_reasoning_tokens = answer->reasoning_tokens > 0,
        .reasoning_tokens = bounded(answer->reasoning_tokens, INT32_MAX),
        .has_cost_nanousd = nanousd > 0,
        .cost_nanousd = nanousd,
    };
    struct batch *batch = gathering(usage);
    struct group *group = group_of(batch, attempt);
    if (group->calls.length)
        buffer_byte(&group->calls, ',');
    usage_call_encode(&group->calls, &call);
    batch->calls++;
    usage->calls++;
}

static void on_try(void *context, const struct model_try *attempt) {
    struct usage *usage = context;
    const struct price *price = price_of(usage, attempt->target);
    int64_t nanousd = price ? price_cost_nanousd(price, attempt->answer) : 0;
    if (!price && usage->prices)
        metric_count(&usage_metrics[2], 1, attempt->target->provider->name, attempt->target->name);
    count(attempt->target, attempt->answer, nanousd);
    if (usage->budget)
        budget_spent(usage->budget, attempt, nanousd);
    add(usage, attempt, nanousd);
    send_next(usage);
}

static void before_scrape(void *context) {
    struct usage *usage = context;
    metric_set(&usage_metrics[4], (double)usage->calls);
    metric_count(&usage_metrics[3], 0);
    if (!usage->budget)
        return;
    struct budget_figures figures = budget_figures(usage->budget);
    metric_set(&usage_metrics[5], (double)figures.left / 1e9);
    metric_set(&usage_metrics[6], (double)figures.free / 1e9, "free");
    metric_set(&usage_metrics[6], (double)figures.reserved / 1e9, "reserved");
    metric_set(&usage_metrics[6], (double)figures.spent / 1e9, "spent");
    metric_count(&usage_metrics[7], (double)figures.newly_refused);
}

static bool takes_requests(void *context) {
    const struct usage *usage = context;
    return !usage->run->draining;
}

struct usage *usage_open(struct run *run, struct model *model) {
    struct arena *arena = arena_create(0);
    struct usage *usage = arena_alloc(arena, sizeof *usage);
    usage->run = run;
    usage->arena = arena;
    TAILQ_INIT(&usage->waiting);
    uv_timer_init(run_loop(run), &usage->gap);
    usage->gap.data = usage;
    if (*prices_path)
        usage->prices = prices_load(arena, prices_path);
    if (daily_budget_usd > 0)
        usage->budget = budget_open(run_loop(run), run_pg(run), model,
            &(struct budget_options){.limit_usd = daily_budget_usd,
                .holder = kafka_instance_id(),
                .price_of = usage->prices ? price_of : NULL,
                .fails_requests = run->worker->budget_fails_requests ? takes_requests : NULL,
                .context = usage});
    model_observe(model, on_try, usage);
    metrics_before_scrape(before_scrape, usage);
    return usage;
}

static void on_too_late(uv_timer_t *timer) {
    (void)timer; /* only ends the loop's sleep */
}

/* The loop of the process has ended; it turns again for what is on its way. */
static void finish(struct usage *usage) {
    uv_loop_t *loop = run_loop(usage->run);
    uv_timer_t timer;
    uint64_t until = uv_hrtime() + (uint64_t)CLOSE_MS * 1000000;
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_too_late, 10, 10);
    while ((usage->calls || (usage->budget && budget_closing(usage->budget))) && uv_hrtime() < until)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

void usage_close(struct usage **closing) {
    struct usage *usage = *closing;
    *closing = NULL;
    if (usage->budget)
        budget_give_back(usage->budget);
    finish(usage);
    if (usage->calls)
        log_error("usage_dropped", log_string("reason", "the process ended before Kafka took it"),
            log_integer("calls", usage->calls));
    if (usage->budget)
        budget_close(&usage->budget);
    /* A message under way still reads it; the process ends. */
}
