/* One statement, and its row as a struct. */
#include "shared/stored_result.h"

#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"

enum { COLUMN_COUNT = 13, PLACE = COLUMN_COUNT };

/* LATERAL with OFFSET, which keeps the planner from any other way: a plan is kept for long, and one made
 * while the table was small would read all of it later. */
const struct pg_statement STORED_RESULTS = {
    "stored_results",
    "SELECT stored.request_id, stored.run, stored.status, stored.task_type, stored.user_input, "
    "stored.refined_input, stored.output, stored.score, stored.passed, stored.prompt_version, stored.error, "
    "stored.detail, to_char(stored.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
    "asked.place FROM unnest($1::uuid[], $2::int[]) WITH ORDINALITY AS asked(request_id, run, place) "
    "CROSS JOIN LATERAL (SELECT * FROM results WHERE results.request_id = asked.request_id "
    "AND results.run = asked.run OFFSET 0) AS stored",
};

void stored_result_read(struct arena *arena, const struct pg_result *rows, int row, struct result *result) {
    const char *value[COLUMN_COUNT];
    for (int column = 0; column < COLUMN_COUNT; column++)
        value[column] = arena_string(arena, pg_value(rows, row, column));
    *result = (struct result){
        .request_id = value[0],
        .status = strcmp(value[2], "succeeded") == 0 ? RESULT_STATUS_SUCCEEDED : RESULT_STATUS_FAILED,
        .task_type = value[3],
        .user_input = value[4],
        .refined_input = value[5],
        .worker_output = value[6],
        .has_evaluation_score = value[7] != NULL,
        .evaluation_score = value[7] ? strtod(value[7], NULL) : 0,
        .has_evaluation_passed = value[8] != NULL,
        .evaluation_passed = value[8] && *value[8] == 't',
        .has_prompt_version = value[9] != NULL,
        .prompt_version = value[9] ? strtoll(value[9], NULL, 10) : 0,
        .error = value[10],
        .detail = value[11],
        .created_at = value[12],
    };
}

size_t stored_result_place(const struct pg_result *rows, int row) {
    return (size_t)strtoll(pg_value(rows, row, PLACE), NULL, 10) - 1;
}
