/* Knows from Postgres, about a second late, that generators refuse requests because the budget is spent. */
#include <stdlib.h>

#include "gateway/gateway.h"
#include "shared/arena.h"
#include "shared/model/budget.h"
#include "shared/pg.h"

enum { ASK_MS = 1000 };

/* One that lives says it again every second. While any does, requests are refused here: one that is taken may
 * come to it. */
static const struct pg_statement REFUSING = {
    "budget_refusing",
    "SELECT limit_nanousd FROM budget_leases WHERE day = (now() AT TIME ZONE 'UTC')::date AND refusing_at > "
    "now() - interval '3 seconds' ORDER BY limit_nanousd LIMIT 1",
};

struct door {
    struct pg *pg;
    uv_timer_t timer;
    bool asking;
    double spent_usd; /* 0: open */
};

static void on_refusing(void *context, const struct pg_result *rows) {
    struct door *door = context;
    bool refusing = pg_status(rows) == PG_OK && pg_rows(rows) == 1;
    door->asking = false;
    door->spent_usd = refusing ? strtod(pg_value(rows, 0, 0), NULL) / 1e9 : 0;
}

static void on_timer(uv_timer_t *timer) {
    struct door *door = timer->data;
    if (door->asking)
        return;
    door->asking = true;
    pg_query(door->pg, &REFUSING, 0, NULL, on_refusing, door);
}

struct door *door_open(struct gateway *gateway) {
    struct door *door = calloc(1, sizeof *door);
    if (!door)
        abort();
    door->pg = gateway->pg;
    uv_timer_init(&gateway->loop, &door->timer);
    door->timer.data = door;
    uv_timer_start(&door->timer, on_timer, ASK_MS, ASK_MS);
    return door;
}

const char *door_refusal(const struct door *door, struct arena *arena) {
    if (!(door->spent_usd > 0))
        return NULL;
    return arena_format(
        arena, BUDGET_SPENT_TEXT " of %.10g USD is spent; it begins anew at 00:00 UTC", door->spent_usd);
}

void door_close(struct door **door) {
    uv_timer_stop(&(*door)->timer);
    *door = NULL;
}
