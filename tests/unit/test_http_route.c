/* Paths, routes and URL decoding, without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/http_route.h"

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_create(0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static void assert_target(const char *target, const char *path, const char *query) {
    const char *found;
    assert_string_equal(http_target_path(arena, target, &found), path);
    assert_string_equal(found, query);
}

static void targets_have_path_and_query(void **state) {
    (void)state;
    assert_target("/a/b", "/a/b", "");
    assert_target("/a?b=c?d", "/a", "b=c?d");
    assert_target("/a?", "/a", "");
    assert_target("", "/", "");
    assert_target("*", "*", "");
    assert_target("HTTP://host:80/a?b", "/a", "b");
    assert_target("https://host?b", "/", "b");
    assert_target("/http://host/a", "/http://host/a", "");
}

static void patterns_match_whole_paths(void **state) {
    (void)state;
    assert_true(http_route_matches("/a", "/a"));
    assert_false(http_route_matches("/a", "/a/"));
    assert_false(http_route_matches("/a/", "/a"));
    assert_false(http_route_matches("/a", "/ab"));
    assert_false(http_route_matches("/ab", "/a"));
    assert_true(http_route_matches("/a/{id}", "/a/1"));
    assert_true(http_route_matches("/a/{id}", "/a/%2F"));
    assert_false(http_route_matches("/a/{id}", "/a/"));
    assert_false(http_route_matches("/a/{id}", "/a/1/"));
    assert_true(http_route_matches("/a/{id}/c", "/a/1/c"));
    assert_false(http_route_matches("/a/{id}/c", "/a/1"));
    assert_false(http_route_matches("/a/{id}/c", "/a//c"));
}

static const char *parameter(const char *pattern, const char *path, const char *name) {
    return http_route_parameter(arena, pattern, path, name);
}

static void parameters_are_decoded_segments(void **state) {
    (void)state;
    assert_string_equal(parameter("/a/{id}/{kind}", "/a/1/x%2Fy", "kind"), "x/y");
    assert_string_equal(parameter("/a/{id}/{kind}", "/a/1+2/x", "id"), "1+2");
    assert_null(parameter("/a/{id}", "/a/1", "i"));
    assert_null(parameter("/a/{id}", "/a/1", "idx"));
    assert_null(parameter("/a/{id}", "/a/%00", "id"));
}

static void query_values_are_found_by_name(void **state) {
    (void)state;
    assert_string_equal(http_query_value(arena, "a=1&b=2&b=3", "b"), "2");
    assert_string_equal(http_query_value(arena, "x%5Fy=a+b%3D%26", "x_y"), "a b=&");
    assert_string_equal(http_query_value(arena, "a&b=", "a"), "");
    assert_string_equal(http_query_value(arena, "a&b=", "b"), "");
    assert_string_equal(http_query_value(arena, "a=b=c", "a"), "b=c");
    assert_string_equal(http_query_value(arena, "%zz=1&&a=2", "a"), "2");
    assert_null(http_query_value(arena, "ab=1", "a"));
    assert_null(http_query_value(arena, "", "a"));
    assert_null(http_query_value(arena, "a=%00", "a"));
}

static const char *decode(const char *text) {
    return http_url_decode(arena, text, strlen(text), false);
}

static void decoding_refuses_what_is_no_text(void **state) {
    (void)state;
    assert_string_equal(decode("%41%c3%A9z"), "A\xc3\xa9z");
    assert_string_equal(decode("%25"), "%");
    assert_string_equal(decode("\xc3\xa9"), "\xc3\xa9");
    assert_null(decode("%"));
    assert_null(decode("%4"));
    assert_null(decode("%4g"));
    assert_null(decode("a%00"));
    assert_null(decode("%ff"));
    assert_null(decode("%ed%a0%80"));
    /* The length counts, not what stands after it. */
    assert_null(http_url_decode(arena, "%41", 2, false));
}

static void json_is_known_by_its_type(void **state) {
    (void)state;
    assert_true(http_is_type("application/json", "application/json"));
    assert_true(http_is_type("Application/JSON;charset=utf-8", "application/json"));
    assert_true(http_is_type("application/json ; x=y", "application/json"));
    assert_false(http_is_type("application/jsonp", "application/json"));
    assert_false(http_is_type("application/json, text/plain", "application/json"));
    assert_false(http_is_type("text/json", "application/json"));
    assert_false(http_is_type("", "application/json"));
    assert_false(http_is_type(NULL, "application/json"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_have_path_and_query),
        cmocka_unit_test(patterns_match_whole_paths),
        cmocka_unit_test(parameters_are_decoded_segments),
        cmocka_unit_test(query_values_are_found_by_name),
        cmocka_unit_test(decoding_refuses_what_is_no_text),
        cmocka_unit_test(json_is_known_by_its_type),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
