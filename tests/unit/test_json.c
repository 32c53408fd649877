/* What the JSON parser takes and refuses, and what the writers write. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"

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

/* A copy without NUL behind it, so that the sanitizer sees a read past the end. */
static cJSON *parse_bytes(const char *bytes, size_t length, struct json_errors *errors) {
    char *exact = malloc(length ? length : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, length);
    *errors = (struct json_errors){0};
    cJSON *json = json_parse(arena, exact, length, errors);
    free(exact);
    assert_int_equal(errors->count, json ? 0 : 1);
    return json;
}

/* document, and how it is printed again. */
static const char *const GOOD[][2] = {
    {"null", "null"},
    {"true", "true"},
    {"false", "false"},
    {" \t\r\n0 ", "0"},
    {"-0", "-0"},
    {"-12.50e+3", "-12.50e+3"},
    {"1E400", "1E400"},
    {"0.1e-7", "0.1e-7"},
    {"12345678901234567890123", "12345678901234567890123"},
    {"9007199254740993", "9007199254740993"},
    {"\"\"", "\"\""},
    {"[\"\\\\\",\"\\\\\\\"\",\"\\\"\\\"\",\"\"]", "[\"\\\\\",\"\\\\\\\"\",\"\\\"\\\"\",\"\"]"},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\"\\u0041\\u00e9\\u20AC\"", "\"Aé€\""},
    {"\"\\ud83d\\uDE00\"", "\"😀\""},
    {"\"\\u0001\\u001f\\u007f\"", "\"\\u0001\\u001f\x7f\""},
    {"\"\\uffff\\u0080\\u07ff\\u0800\"", "\"\xEF\xBF\xBF\xC2\x80\xDF\xBF\xE0\xA0\x80\""},
    {"\"\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"",
        "\"\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""},
    {"[]", "[]"},
    {"[ ]", "[]"},
    {"{ }", "{}"},
    {"[1 , [ 2,{} ] ,\"x\"]", "[1,[2,{}],\"x\"]"},
    {"{\"a\" : 1, \"b\":{\"a\":null} ,\"A\":true}", "{\"a\":1,\"b\":{\"a\":null},\"A\":true}"},
    {"{\"\":0}", "{\"\":0}"},
    {"[{\"a\":1},{\"a\":2}]", "[{\"a\":1},{\"a\":2}]"},
};

static void takes_and_prints_good_documents(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        struct json_errors errors;
        cJSON *json = parse_bytes(GOOD[i][0], strlen(GOOD[i][0]), &errors);
        if (!json)
            fail_msg("%s: %s", GOOD[i][0], errors.items[0].detail);
        assert_string_equal(json_print(arena, json), GOOD[i][1]);
    }
}

struct bad {
    const char *document, *pointer, *detail;
};

/* detail is how the error begins. */
static const struct bad BAD[] = {
    {"", "", "no JSON value at byte 0"},
    {"  ", "", "no JSON value at byte 2"},
    {"nul", "", "no JSON value"},
    {"Null", "", "no JSON value"},
    {"truefalse", "", "more after"},
    {"NaN", "", "no JSON value"},
    {"-Infinity", "", "a number that"},
    {"\xEF\xBB\xBF{}", "", "no JSON value"},
    {"{} {}", "", "more after the JSON value at byte 3"},
    {"1 2", "", "more after"},
    {"01", "", "more after"},
    {"+1", "", "no JSON value"},
    {".5", "", "no JSON value"},
    {"1.", "", "a number that"},
    {"1.e5", "", "a number that"},
    {"-", "", "a number that"},
    {"1e", "", "a number that"},
    {"1e+", "", "a number that"},
    {"0x10", "", "more after"},
    {"'a'", "", "no JSON value"},
    {"\"", "", "a string without"},
    {"\"\\\"", "", "a string without"},
    {"\"\\", "", "a string without"},
    {"\"a\nb\"", "", "a control character"},
    {"\"\t\"", "", "a control character"},
    {"\"\\x41\"", "", "an escape"},
    {"\"\\u12g4\"", "", "\\u without"},
    {"\"\\u12\"", "", "\\u without"},
    {"\"\\u-123\"", "", "\\u without"},
    {"\"\\u00", "", "a string without"},
    {"\"a\\u0000b\"", "", "the character U+0000"},
    {"\"\\ud83d\"", "", "half of a surrogate pair"},
    {"\"\\ud83dx\"", "", "half of a surrogate pair"},
    {"\"\\ud83d\\n\"", "", "half of a surrogate pair"},
    {"\"\\ud83d\\ud83d\"", "", "half of a surrogate pair"},
    {"\"\\ud83d\\u0041\"", "", "half of a surrogate pair"},
    {"\"\\ude00\"", "", "half of a surrogate pair"},
    {"\"\\ude00\\ud83d\"", "", "half of a surrogate pair"},
    {"\"\x80\"", "", "bytes that are not UTF-8"},
    {"\"\xC0\xAF\"", "", "bytes that are not UTF-8"},
    {"\"\xC1\xBF\"", "", "bytes that are not UTF-8"},
    {"\"\xC3\"", "", "bytes that are not UTF-8"},
    {"\"\xE0\x9F\xBF\"", "", "bytes that are not UTF-8"},
    {"\"\xE2\x82\"", "", "bytes that are not UTF-8"},
    {"\"\xED\xA0\x80\"", "", "bytes that are not UTF-8"},
    {"\"\xF0\x8F\xBF\xBF\"", "", "bytes that are not UTF-8"},
    {"\"\xF4\x90\x80\x80\"", "", "bytes that are not UTF-8"},
    {"\"\xF8\x88\x80\x80\x80\"", "", "bytes that are not UTF-8"},
    {"\"\xFF\"", "", "bytes that are not UTF-8"},
    {"[", "/0", "no JSON value"},
    {"[1", "", "neither , nor ]"},
    {"[1,", "/1", "no JSON value"},
    {"[1,]", "/1", "no JSON value"},
    {"[,1]", "/0", "no JSON value"},
    {"[1 2]", "", "neither , nor ]"},
    {"[1}", "", "neither , nor ]"},
    {"{", "", "no name of a member"},
    {"{\"a\"", "", "no : after"},
    {"{\"a\" 1}", "", "no : after"},
    {"{\"a\":", "/a", "no JSON value"},
    {"{\"a\":}", "/a", "no JSON value"},
    {"{\"a\":1", "", "neither , nor }"},
    {"{\"a\":1,}", "", "no name of a member"},
    {"{a:1}", "", "no name of a member"},
    {"{1:1}", "", "no name of a member"},
    {"{\"a\":1]", "", "neither , nor }"},
    {"{\"a\":1 \"b\":2}", "", "neither , nor }"},
    {"[1] // note", "", "more after"},
    {"{\"a\":[0,{\"b\":\"\\u0000\"}]}", "/a/1/b", "the character U+0000"},
    {"{\"a/b~c\":[1,2,tru]}", "/a~1b~0c/2", "no JSON value"},
    {"{\"a\":1,\"a\":1}", "/a", "stands twice"},
    {"{\"a\":1,\"b\":2,\"\\u0061\":3}", "/a", "stands twice"},
    {"{\"x\":[{\"\":1,\"\":2}]}", "/x/0/", "stands twice"},
    {"{\"a\\u0000\":1}", "", "the character U+0000"},
};

static void refuses_bad_documents(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct json_errors errors;
        if (parse_bytes(BAD[i].document, strlen(BAD[i].document), &errors))
            fail_msg("%s was taken", BAD[i].document);
        if (strcmp(errors.items[0].pointer, BAD[i].pointer) != 0 ||
            strncmp(errors.items[0].detail, BAD[i].detail, strlen(BAD[i].detail)) != 0)
            fail_msg("%s: '%s' %s", BAD[i].document, errors.items[0].pointer, errors.items[0].detail);
    }
}

static void says_what_is_wrong_first(void **state) {
    (void)state;
    struct json_errors errors;
    assert_null(parse_bytes("nul", 3, &errors));
    assert_string_equal(
        json_first_error(arena, "not a request", &errors), "not a request: no JSON value at byte 0");
    assert_null(parse_bytes("[1,]", 4, &errors));
    assert_string_equal(
        json_first_error(arena, "not a request", &errors), "not a request: /1: no JSON value at byte 3");
    errors.count = 0;
    assert_string_equal(json_first_error(arena, "not a request", &errors), "not a request");
}

static void refuses_raw_nul(void **state) {
    (void)state;
    struct json_errors errors;
    assert_null(parse_bytes("\"a\0b\"", 5, &errors));
    assert_null(parse_bytes("{}\0", 3, &errors));
    assert_null(parse_bytes("\0", 1, &errors));
    assert_null(parse_bytes("{\"a\\\0\":1}", 9, &errors));
}

static void refuses_every_beginning_of_a_document(void **state) {
    (void)state;
    static const char DOCUMENT[] = "{\"a\":[1.5e1,\"\\ud83d\\ude00é\",true,null,{\"b\":{}}]}";
    struct json_errors errors;
    for (size_t length = 0; length < strlen(DOCUMENT); length++)
        assert_null(parse_bytes(DOCUMENT, length, &errors));
    assert_non_null(parse_bytes(DOCUMENT, strlen(DOCUMENT), &errors));
}

static cJSON *parse_nested(int depth) {
    struct buffer text = buffer_in(arena);
    struct json_errors errors;
    for (int i = 0; i < depth; i++)
        buffer_string(&text, i % 2 ? "{\"a\":" : "[");
    buffer_byte(&text, '0');
    for (int i = depth; i-- > 0;)
        buffer_byte(&text, i % 2 ? '}' : ']');
    return parse_bytes(text.data, text.length, &errors);
}

static void limits_the_depth(void **state) {
    (void)state;
    assert_non_null(parse_nested(JSON_DEPTH_MAX));
    assert_null(parse_nested(JSON_DEPTH_MAX + 1));
    assert_null(parse_nested(1000000));
}

static cJSON *parse_elements(int count) {
    struct buffer text = buffer_in(arena);
    struct json_errors errors;
    for (int i = 0; i < count; i++)
        buffer_string(&text, i ? ",0" : "[0");
    buffer_byte(&text, ']');
    return parse_bytes(text.data, text.length, &errors);
}

static void limits_the_number_of_values(void **state) {
    (void)state;
    cJSON *json = parse_elements(JSON_VALUES_MAX - 1);
    assert_non_null(json);
    assert_int_equal(cJSON_GetArraySize(json), JSON_VALUES_MAX - 1);
    assert_null(parse_elements(JSON_VALUES_MAX));
}

static void finds_a_name_that_stands_twice_among_many(void **state) {
    (void)state;
    struct json_errors errors;
    for (int again = 0; again < 2; again++) {
        struct buffer text = buffer_in(arena);
        for (int i = 0; i < 50000; i++)
            buffer_format(&text, "%s\"name%d\":0", i ? "," : "{", i * 7919 % 50000);
        buffer_string(&text, again ? ",\"name777\":0}" : "}");
        assert_int_equal(parse_bytes(text.data, text.length, &errors) != NULL, !again);
    }
    assert_string_equal(errors.items[0].pointer, "/name777");
}

static void cuts_long_pointers(void **state) {
    (void)state;
    struct buffer text = buffer_in(arena);
    struct json_errors errors;
    buffer_string(&text, "{\"");
    for (int i = 0; i < 1000; i++)
        buffer_string(&text, "é");
    buffer_string(&text, "\":x}");
    assert_null(parse_bytes(text.data, text.length, &errors));
    size_t replaced;
    json_clean_text(arena, errors.items[0].pointer, strlen(errors.items[0].pointer), &replaced);
    assert_int_equal(replaced, 0);
    assert_true(strlen(errors.items[0].pointer) < 300);
}

static void reads_values(void **state) {
    (void)state;
    struct json_errors errors;
    static const char TEXT[] = "{\"n\":-2.5,\"big\":1e99,\"s\":\"x\",\"t\":true,\"a\":[1,2,3]}";
    cJSON *json = parse_bytes(TEXT, strlen(TEXT), &errors);
    assert_non_null(json);
    assert_true(cJSON_GetObjectItemCaseSensitive(json, "n")->valuedouble == -2.5);
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(json, "n")->valueint, -2);
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(json, "big")->valueint, INT32_MAX);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "s")), "x");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "t")));
    static const char *const NUMBERS[] = {
        "0", "-0", "7", "123456789012345", "1234567890123456", "9007199254740993", "12.5", "2E3"};
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        assert_true(
            parse_bytes(NUMBERS[i], strlen(NUMBERS[i]), &errors)->valuedouble == strtod(NUMBERS[i], NULL));
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, "a");
    assert_int_equal(cJSON_GetArraySize(array), 3);
    assert_int_equal(cJSON_GetArrayItem(array, 2)->valueint, 3);
    assert_null(cJSON_GetObjectItemCaseSensitive(json, "N"));
}

static void prints_a_tree_that_cjson_made(void **state) {
    (void)state;
    cJSON *json = cJSON_CreateObject();
    assert_non_null(cJSON_AddNumberToObject(json, "n", 0.5));
    assert_non_null(cJSON_AddStringToObject(json, "s", "a\"b"));
    assert_string_equal(json_print(arena, json), "{\"n\":0.5,\"s\":\"a\\\"b\"}");
    cJSON_Delete(json);
}

static void writes_strings(void **state) {
    (void)state;
    static const char *const CASES[][2] = {
        {NULL, "null"},
        {"", "\"\""},
        {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
        {"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
        {"é€😀", "\"é€😀\""},
        {"a\xFF\xC3", "\"a\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct buffer text = buffer_in(arena);
        json_write_string(&text, CASES[i][0]);
        assert_string_equal(buffer_text(&text), CASES[i][1]);
    }
}

static const char *written_double(double value) {
    struct buffer text = buffer_in(arena);
    json_write_double(&text, value);
    return buffer_text(&text);
}

static void writes_numbers(void **state) {
    (void)state;
    assert_string_equal(written_double(0.874), "0.874");
    assert_string_equal(written_double(0.1), "0.1");
    assert_string_equal(written_double(0.1 + 0.2), "0.30000000000000004");
    assert_string_equal(written_double(0), "0");
    assert_string_equal(written_double(1), "1");
    assert_string_equal(written_double(1.0 / 3), "0.3333333333333333");
    assert_string_equal(written_double(1e22), "1e+22");
    assert_string_equal(written_double(5e-324), "5e-324");
    assert_true(strtod(written_double(DBL_MAX), NULL) == DBL_MAX);
    assert_string_equal(written_double(NAN), "null");
    assert_string_equal(written_double(INFINITY), "null");
    assert_string_equal(written_double(-INFINITY), "null");
    struct buffer text = buffer_in(arena);
    json_write_integer(&text, INT64_MIN);
    json_write_integer(&text, INT64_MAX);
    assert_string_equal(buffer_text(&text), "-92233720368547758089223372036854775807");
}

static void cleans_text(void **state) {
    (void)state;
    size_t replaced = 99;
    assert_string_equal(json_clean_text(arena, "a\0b\xFF\xC3\xA9\xE2\x82", 8, &replaced),
        "a\xEF\xBF\xBD"
        "b\xEF\xBF\xBDé\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_int_equal(replaced, 4);
    assert_string_equal(json_clean_text(arena, "é😀", 6, &replaced), "é😀");
    assert_int_equal(replaced, 0);
    assert_string_equal(json_clean_text(arena, NULL, 0, NULL), "");
}

static void counts_code_points(void **state) {
    (void)state;
    assert_int_equal(json_code_points(""), 0);
    assert_int_equal(json_code_points("aé€😀"), 4);
}

static void keeps_the_first_errors(void **state) {
    (void)state;
    struct json_errors errors = {0};
    for (int i = 0; i < JSON_ERRORS_MAX + 5; i++)
        json_error_add(&errors, arena, "/x", "number %d", i);
    assert_int_equal(errors.count, JSON_ERRORS_MAX);
    assert_string_equal(errors.items[JSON_ERRORS_MAX - 1].detail, "number 15");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_and_prints_good_documents, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(refuses_bad_documents, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(says_what_is_wrong_first, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(refuses_raw_nul, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(refuses_every_beginning_of_a_document, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(limits_the_depth, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(limits_the_number_of_values, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(finds_a_name_that_stands_twice_among_many, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(cuts_long_pointers, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(reads_values, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(prints_a_tree_that_cjson_made, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(writes_strings, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(writes_numbers, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(cleans_text, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(counts_code_points, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(keeps_the_first_errors, open_arena, close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
