/* The code generated from schemas/ takes and gives what the schemas say. With the arguments --decode <schema>
 * it decodes standard input line by line instead, for check_examples.py, which asks another implementation of
 * the standard too. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schemas/accepted.h"
#include "schemas/analysis.h"
#include "schemas/author.h"
#include "schemas/batch.h"
#include "schemas/batch_answer.h"
#include "schemas/batch_error.h"
#include "schemas/batch_links.h"
#include "schemas/batch_result.h"
#include "schemas/dead_letter.h"
#include "schemas/deferred.h"
#include "schemas/evaluate_answer.h"
#include "schemas/evaluate_call.h"
#include "schemas/evaluation.h"
#include "schemas/generation.h"
#include "schemas/health.h"
#include "schemas/judgement.h"
#include "schemas/links.h"
#include "schemas/migrations.h"
#include "schemas/model_price.h"
#include "schemas/openapi.h"
#include "schemas/optimization.h"
#include "schemas/optimization_accepted.h"
#include "schemas/optimization_list.h"
#include "schemas/problem.h"
#include "schemas/problem_error.h"
#include "schemas/prompt.h"
#include "schemas/prompt_body.h"
#include "schemas/prompt_change.h"
#include "schemas/prompt_diff.h"
#include "schemas/prompt_list.h"
#include "schemas/prompt_version.h"
#include "schemas/prompt_versions.h"
#include "schemas/ready.h"
#include "schemas/reply.h"
#include "schemas/request.h"
#include "schemas/result.h"
#include "schemas/result_list.h"
#include "schemas/submission.h"
#include "schemas/task_answer.h"
#include "schemas/task_call.h"
#include "schemas/topics.h"
#include "schemas/usage.h"
#include "schemas/usage_call.h"
#include "schemas/usage_group.h"
#include "schemas/usage_item.h"
#include "schemas/usage_report.h"
#include "schemas/verdict.h"
#include "schemas/word_run.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"

/* Tests run in the root of the repository. */
static const char EXAMPLES[] = "schemas/examples";

static const struct schema {
    const char *name;
    const struct message *message;
} SCHEMAS[] = {
    {"accepted", &ACCEPTED_MESSAGE},
    {"analysis", &ANALYSIS_MESSAGE},
    {"author", &AUTHOR_MESSAGE},
    {"batch", &BATCH_MESSAGE},
    {"batch-answer", &BATCH_ANSWER_MESSAGE},
    {"batch-error", &BATCH_ERROR_MESSAGE},
    {"batch-links", &BATCH_LINKS_MESSAGE},
    {"batch-result", &BATCH_RESULT_MESSAGE},
    {"dead-letter", &DEAD_LETTER_MESSAGE},
    {"deferred", &DEFERRED_MESSAGE},
    {"evaluate-answer", &EVALUATE_ANSWER_MESSAGE},
    {"evaluate-call", &EVALUATE_CALL_MESSAGE},
    {"evaluation", &EVALUATION_MESSAGE},
    {"generation", &GENERATION_MESSAGE},
    {"health", &HEALTH_MESSAGE},
    {"judgement", &JUDGEMENT_MESSAGE},
    {"links", &LINKS_MESSAGE},
    {"model-price", &MODEL_PRICE_MESSAGE},
    {"optimization", &OPTIMIZATION_MESSAGE},
    {"optimization-accepted", &OPTIMIZATION_ACCEPTED_MESSAGE},
    {"optimization-list", &OPTIMIZATION_LIST_MESSAGE},
    {"problem", &PROBLEM_MESSAGE},
    {"problem-error", &PROBLEM_ERROR_MESSAGE},
    {"prompt", &PROMPT_MESSAGE},
    {"prompt-body", &PROMPT_BODY_MESSAGE},
    {"prompt-change", &PROMPT_CHANGE_MESSAGE},
    {"prompt-diff", &PROMPT_DIFF_MESSAGE},
    {"prompt-list", &PROMPT_LIST_MESSAGE},
    {"prompt-version", &PROMPT_VERSION_MESSAGE},
    {"prompt-versions", &PROMPT_VERSIONS_MESSAGE},
    {"ready", &READY_MESSAGE},
    {"reply", &REPLY_MESSAGE},
    {"request", &REQUEST_MESSAGE},
    {"result", &RESULT_MESSAGE},
    {"result-list", &RESULT_LIST_MESSAGE},
    {"submission", &SUBMISSION_MESSAGE},
    {"task-answer", &TASK_ANSWER_MESSAGE},
    {"task-call", &TASK_CALL_MESSAGE},
    {"usage", &USAGE_MESSAGE},
    {"usage-call", &USAGE_CALL_MESSAGE},
    {"usage-group", &USAGE_GROUP_MESSAGE},
    {"usage-item", &USAGE_ITEM_MESSAGE},
    {"usage-report", &USAGE_REPORT_MESSAGE},
    {"verdict", &VERDICT_MESSAGE},
    {"word-run", &WORD_RUN_MESSAGE},
};

enum { SCHEMA_COUNT = sizeof SCHEMAS / sizeof *SCHEMAS };

static struct arena *arena;

static int open_arena(void **state) {
    (void)state;
    arena = arena_create(0);
    return 0;
}

static int close_arena(void **state) {
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static const struct message *find_schema(const char *name) {
    for (size_t i = 0; i < SCHEMA_COUNT; i++)
        if (strcmp(SCHEMAS[i].name, name) == 0)
            return SCHEMAS[i].message;
    return NULL;
}

/* Decodes and encodes again; NULL with errors when text is refused. */
static const char *pass(
    const struct message *message, const char *text, size_t length, struct json_errors *errors) {
    void *out = arena_alloc(arena, message->size);
    *errors = (struct json_errors){0};
    if (!message_decode(message, arena, text, length, out, errors))
        return NULL;
    struct buffer encoded = buffer_in(arena);
    message_encode(message, &encoded, out);
    return buffer_text(&encoded);
}

static const char *pass_string(const struct message *message, const char *text, struct json_errors *errors) {
    return pass(message, text, strlen(text), errors);
}

static struct buffer read_file(const char *path) {
    struct buffer text = buffer_in(arena);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    char block[4096];
    size_t length;
    while ((length = fread(block, 1, sizeof block, file)) > 0)
        buffer_append(&text, block, length);
    fclose(file);
    return text;
}

static cJSON *parse(const char *text) {
    struct json_errors errors = {0};
    cJSON *json = json_parse(arena, text, strlen(text), &errors);
    if (!json)
        fail_msg("%s: %s", text, errors.items[0].detail);
    return json;
}

/* An optional member that was null is left out when it is written again. */
static void drop_nulls_without_counterpart(cJSON *original, const cJSON *again) {
    for (cJSON *member = original->child, *next; member; member = next) {
        next = member->next;
        if (cJSON_IsNull(member) && !cJSON_GetObjectItemCaseSensitive(again, member->string))
            cJSON_DetachItemViaPointer(original, member);
    }
}

static void check_valid(const struct message *message, const char *path) {
    struct buffer text = read_file(path);
    struct json_errors errors;
    const char *once = pass(message, text.data, text.length, &errors);
    if (!once)
        fail_msg("%s is refused: %s %s", path, errors.items[0].pointer, errors.items[0].detail);
    cJSON *original = parse(text.data), *again = parse(once);
    drop_nulls_without_counterpart(original, again);
    if (!cJSON_Compare(original, again, true))
        fail_msg("%s is written as another value: %s", path, once);
    const char *twice = pass_string(message, once, &errors);
    assert_non_null(twice);
    assert_string_equal(twice, once);
}

static void check_invalid(const struct message *message, const char *path) {
    struct buffer text = read_file(path);
    struct json_errors errors;
    if (pass(message, text.data, text.length, &errors))
        fail_msg("%s is taken", path);
    if (errors.count != 1)
        fail_msg("%s: %zu errors", path, errors.count);
}

/* How many .json files stand in a folder of examples. */
static int check_folder(const struct message *message, const char *folder,
    void (*check)(const struct message *message, const char *path)) {
    DIR *directory = opendir(folder);
    if (!directory)
        fail_msg("cannot open %s", folder);
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(directory));) {
        const char *ending = strrchr(entry->d_name, '.');
        if (!ending || strcmp(ending, ".json") != 0)
            continue;
        check(message, arena_format(arena, "%s/%s", folder, entry->d_name));
        count++;
    }
    closedir(directory);
    return count;
}

static void takes_and_gives_valid_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < SCHEMA_COUNT; i++)
        assert_true(check_folder(SCHEMAS[i].message, arena_format(arena, "%s/%s", EXAMPLES, SCHEMAS[i].name),
                        check_valid) >= 2);
}

static void refuses_invalid_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < SCHEMA_COUNT; i++)
        assert_true(check_folder(SCHEMAS[i].message,
                        arena_format(arena, "%s/%s/invalid", EXAMPLES, SCHEMAS[i].name), check_invalid) >= 1);
}

static void knows_every_schema_with_examples(void **state) {
    (void)state;
    DIR *directory = opendir(EXAMPLES);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && !find_schema(entry->d_name))
            fail_msg("%s is missing in this test's table", entry->d_name);
    closedir(directory);
}

#define ENVELOPE                                                                                             \
    "\"request_id\":\"018f3c1e-7a2b-7c3d-8e4f-0123456789ab\",\"tenant\":\"default\",\"lane\":\"low\","       \
    "\"purpose\":\"replay\",\"run\":2,\"origin_id\":null,\"batch_id\":\"ffffffff-ffff-ffff-ffff-"            \
    "ffffffffffff\","                                                                                        \
    "\"line\":7,\"accepted_at\":1e3,\"expires_at\":9007199254740991"
#define REQUEST ENVELOPE ",\"task_type\":\"t\",\"user_input\":\"é\""
#define GENERATION                                                                                           \
    REQUEST                                                                                                  \
    ",\"refined_input\":\"r\",\"output\":\"\",\"prompt_id\":3,\"prompt_version\":-4,\"prompt_hash\":"        \
    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"model\":\"mock\","               \
    "\"latency_ms\":5,\"replaced\":0"

static void fills_the_struct(void **state) {
    (void)state;
    static const char TEXT[] = "{" GENERATION ",\"score\":null,\"passed\":true,\"detail\":{\"a\" : [1.50]}}";
    struct evaluation evaluation;
    struct json_errors errors = {0};
    assert_true(evaluation_decode(arena, TEXT, strlen(TEXT), &evaluation, &errors));
    const struct generation *generation = &evaluation.generation;
    const struct envelope *envelope = &generation->request.envelope;
    assert_string_equal(envelope->request_id, "018f3c1e-7a2b-7c3d-8e4f-0123456789ab");
    assert_int_equal(envelope->lane, LANE_LOW);
    assert_int_equal(envelope->purpose, PURPOSE_REPLAY);
    assert_int_equal(envelope->run, 2);
    assert_null(envelope->origin_id);
    assert_non_null(envelope->batch_id);
    assert_true(envelope->has_line);
    assert_int_equal(envelope->line, 7);
    assert_int_equal(envelope->accepted_at, 1000);
    assert_int_equal(envelope->expires_at, INT64_C(9007199254740991));
    assert_null(envelope->unknown);
    assert_string_equal(generation->request.user_input, "é");
    assert_string_equal(generation->output, "");
    assert_int_equal(generation->prompt_version, -4);
    assert_false(evaluation.has_score);
    assert_true(evaluation.has_passed && evaluation.passed);
    assert_string_equal(evaluation.detail, "{\"a\":[1.50]}");
}

static void fills_arrays_and_inner_structs(void **state) {
    (void)state;
    struct buffer text = read_file("schemas/examples/result-list/first.json");
    struct result_list list;
    struct json_errors errors = {0};
    assert_true(result_list_decode(arena, text.data, text.length, &list, &errors));
    assert_int_equal(list.items_count, 3);
    assert_int_equal(list.items[0].status, RESULT_STATUS_SUCCEEDED);
    assert_true(list.items[0].has_evaluation_score && list.items[0].evaluation_score == 0.874);
    assert_int_equal(list.items[1].status, RESULT_STATUS_QUEUED);
    assert_false(list.items[1].has_prompt_version);
    assert_null(list.items[1].user_input);
    assert_null(list.next_cursor);
    struct reply reply = {.to = "gateway-1", .result = list.items[2]}, read;
    struct buffer encoded = buffer_in(arena);
    reply_encode(&encoded, &reply);
    assert_true(reply_decode(arena, encoded.data, encoded.length, &read, &errors));
    assert_string_equal(read.result.error, list.items[2].error);
}

static void carries_unknown_members_on(void **state) {
    (void)state;
    static const char TEXT[] =
        "{\"new\":{\"id\":12345678901234567890}," REQUEST ",\"output\":\"a later version's\",\"b/c\":[]}";
    struct request request;
    struct json_errors errors = {0};
    assert_true(request_decode(arena, TEXT, strlen(TEXT), &request, &errors));
    struct generation generation = {
        .request = request,
        .refined_input = "r",
        .output = "ours",
        .prompt_hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        .model = "mock",
    };
    struct buffer encoded = buffer_in(arena);
    generation_encode(&encoded, &generation);
    assert_true(generation_decode(arena, encoded.data, encoded.length, &generation, &errors));
    assert_string_equal(generation.output, "ours");
    assert_string_equal(
        generation.request.envelope.unknown, "{\"new\":{\"id\":12345678901234567890},\"b/c\":[]}");
}

static const char *submission_of(const char *character, int count) {
    struct buffer text = buffer_in(arena);
    buffer_string(&text, "{\"task_type\":\"t\",\"user_input\":\"");
    for (int i = 0; i < count; i++)
        buffer_string(&text, character);
    buffer_string(&text, "\"}");
    return text.data;
}

static void counts_lengths_in_code_points(void **state) {
    (void)state;
    struct json_errors errors;
    assert_non_null(pass_string(&SUBMISSION_MESSAGE, submission_of("😀", 100000), &errors));
    assert_non_null(pass_string(&SUBMISSION_MESSAGE, submission_of("\\ud83d\\ude00", 100000), &errors));
    assert_null(pass_string(&SUBMISSION_MESSAGE, submission_of("😀", 100001), &errors));
    assert_string_equal(errors.items[0].pointer, "/user_input");
    assert_string_equal(errors.items[0].detail, "must have at most this many characters: 100000");
    assert_null(pass_string(&SUBMISSION_MESSAGE, submission_of("a", 100001), &errors));
}

static void check_errors(const struct message *message, const char *text, const char *expected) {
    struct json_errors errors;
    assert_null(pass_string(message, text, &errors));
    struct buffer said = buffer_in(arena);
    for (size_t i = 0; i < errors.count; i++)
        buffer_format(&said, "%s %s\n", errors.items[i].pointer, errors.items[i].detail);
    assert_string_equal(buffer_text(&said), expected);
}

static void reports_all_errors(void **state) {
    (void)state;
    check_errors(&SUBMISSION_MESSAGE, "{\"task_type\":5,\"x/y~\":1,\"lane\":\"high\"}",
        "/task_type must be a string\n/x~1y~0 is not known here\n/lane is not known here\n/user_input is "
        "missing\n");
    check_errors(&SUBMISSION_MESSAGE, "[]", " must be an object\n");
    check_errors(&SUBMISSION_MESSAGE, "{\"task_type\":\"a\\u0000\"}",
        "/task_type the character U+0000, which no text may hold, at byte 21\n");
    check_errors(&RESULT_LIST_MESSAGE,
        "{\"items\":[{\"status\":\"on\"},7],\"total\":-1,\"limit\":1.5,\"offset\":1e300,\"next_cursor\":"
        "null}",
        "/items/0/status must be one of queued, running, succeeded, failed\n/items/0/request_id is missing\n"
        "/items/0/task_type is missing\n/items/0/user_input is missing\n/items/0/refined_input is missing\n"
        "/items/0/worker_output is missing\n/items/0/evaluation_score is missing\n"
        "/items/0/evaluation_passed is missing\n/items/0/prompt_version is missing\n/items/0/error is "
        "missing\n"
        "/items/0/detail is missing\n/items/0/created_at is missing\n/items/1 must be an object\n"
        "/total must be at least 0\n/limit must be an integer\n"
        "/offset must be at most 9007199254740991\n");
}

static void refuses_also_when_the_list_of_errors_is_full(void **state) {
    (void)state;
    struct buffer text = buffer_in(arena);
    struct json_errors errors;
    buffer_string(&text, "{\"user_input\":\"u\",\"task_type\":\"t\"");
    for (int i = 0; i < JSON_ERRORS_MAX + 10; i++)
        buffer_format(&text, ",\"n%d\":0", i);
    buffer_byte(&text, '}');
    assert_null(pass(&SUBMISSION_MESSAGE, text.data, text.length, &errors));
    assert_int_equal(errors.count, JSON_ERRORS_MAX);
    struct submission submission;
    assert_false(submission_decode(arena, text.data, text.length, &submission, &errors));
    assert_int_equal(errors.count, JSON_ERRORS_MAX);
}

static void names_and_parses_enums(void **state) {
    (void)state;
    enum lane lane = LANE_NORMAL;
    assert_string_equal(lane_name(LANE_HIGH), "high");
    assert_true(lane_parse("low", &lane));
    assert_int_equal(lane, LANE_LOW);
    assert_false(lane_parse("Low", &lane));
    assert_false(lane_parse("", &lane));
    assert_false(lane_parse(NULL, &lane));
    assert_int_equal(lane, LANE_LOW);
    assert_string_equal(result_status_name(RESULT_STATUS_FAILED), "failed");
}

static void declares_topics(void **state) {
    (void)state;
    int count = 0;
    for (const struct topic *const *topic = TOPICS; *topic; topic++, count++) {
        assert_non_null(find_schema((*topic)->schema));
        assert_true(
            (*topic)->partitions > 0 && (*topic)->retention_ms > 0 && (*topic)->max_message_bytes > 0);
    }
    assert_true(count >= 5);
    assert_string_equal(TOPIC_REQUESTS.kafka_names[LANE_HIGH], "requests.high");
    assert_string_equal(TOPIC_REQUESTS.kafka_names[LANE_LOW], "requests.low");
    assert_false(TOPIC_DEAD_LETTERS.lanes);
    for (int lane = 0; lane < LANE_COUNT; lane++)
        assert_string_equal(TOPIC_DEAD_LETTERS.kafka_names[lane], "dead-letters");
}

/* Every reference of the bundled document leads to something in it. */
static void check_references(const cJSON *document, const cJSON *node) {
    const char *reference = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(node, "$ref"));
    if (reference) {
        const cJSON *target = document;
        assert_int_equal(strncmp(reference, "#/", 2), 0);
        char *path = arena_string(arena, reference + 2), *rest = path;
        for (const char *name; (name = strsep(&rest, "/"));)
            target = cJSON_GetObjectItemCaseSensitive(target, name);
        if (!target)
            fail_msg("%s leads nowhere", reference);
    }
    for (const cJSON *child = node->child; child; child = child->next)
        check_references(document, child);
}

static void bundles_the_api(void **state) {
    (void)state;
    const cJSON *document = parse(OPENAPI_JSON);
    check_references(document, document);
    const cJSON *paths = cJSON_GetObjectItemCaseSensitive(document, "paths");
    int count = 0;
    for (const struct openapi_operation *operation = OPENAPI_OPERATIONS; operation->method;
         operation++, count++) {
        const cJSON *path = cJSON_GetObjectItemCaseSensitive(paths, operation->path);
        assert_non_null(cJSON_GetObjectItem(path, operation->method));
    }
    assert_true(count >= cJSON_GetArraySize(paths));
}

static void numbers_migrations(void **state) {
    (void)state;
    int number = 0;
    for (const struct migration *migration = MIGRATIONS; migration->sql; migration++) {
        assert_int_equal(migration->number, ++number);
        assert_int_equal(strlen(migration->sha256), 64);
        assert_true(strlen(migration->sql) > 0 && strlen(migration->name) > 0);
    }
    assert_true(number >= 2);
}

static void print_answer(const char *encoded, const struct json_errors *errors) {
    struct buffer line = buffer_in(arena);
    buffer_string(&line, "{\"text\":");
    json_write_string(&line, encoded);
    buffer_string(&line, ",\"errors\":[");
    for (size_t i = 0; i < errors->count; i++) {
        buffer_string(&line, i ? ",{\"pointer\":" : "{\"pointer\":");
        json_write_string(&line, errors->items[i].pointer);
        buffer_string(&line, ",\"detail\":");
        json_write_string(&line, errors->items[i].detail);
        buffer_byte(&line, '}');
    }
    buffer_string(&line, "]}");
    puts(buffer_text(&line));
}

/* For each line {"text": what it is when it is written again, null when refused, "errors": [{"pointer",
 * "detail"}]}. */
static int decode_lines(const char *name) {
    const struct message *message = find_schema(name);
    if (!message) {
        fprintf(stderr, "no schema %s in this test's table\n", name);
        return 1;
    }
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t length; (length = getline(&line, &capacity, stdin)) >= 0;) {
        struct json_errors errors;
        arena = arena_create(0);
        print_answer(pass(message, line, (size_t)length, &errors), &errors);
        arena_destroy(&arena);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--decode") == 0)
        return decode_lines(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_and_gives_valid_examples, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(refuses_invalid_examples, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(knows_every_schema_with_examples, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(fills_the_struct, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(fills_arrays_and_inner_structs, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(carries_unknown_members_on, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(counts_lengths_in_code_points, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(reports_all_errors, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(
            refuses_also_when_the_list_of_errors_is_full, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(names_and_parses_enums, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(declares_topics, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(bundles_the_api, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(numbers_migrations, open_arena, close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
