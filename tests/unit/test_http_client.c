/* The HTTP client against a real server: answers, failures, limits, reuse of connections, giving up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <uv.h>

#include "shared/http_client.h"
#include "tests/unit/stub_server.h"

static uv_loop_t loop;
static struct stub_server server;
static struct http_client *client;
static char url[64];

struct heard {
    int count, status;
    enum http_call_end end;
    bool timed_out;
    char error[300];
    char *body;
    int64_t retry_after_ms;
    char requests_left[50]; /* of the answer's header X-RateLimit-Remaining-Requests; "none" */
    char *streamed;         /* what data was given, in one */
    size_t most_streamed;   /* past it data says stop; 0: never */
};

static void hear(void *context, const struct http_call_answer *answer) {
    struct heard *heard = context;
    heard->count++;
    uv_stop(&loop); /* a turn that began with timers would wait for more events */
    heard->status = answer->status;
    heard->end = answer->end;
    heard->timed_out = answer->timed_out;
    heard->retry_after_ms = answer->retry_after_ms;
    assert_int_equal(answer->length, strlen(answer->body));
    assert_true(answer->seconds >= 0);
    assert_true((answer->error == NULL) == (answer->status != 0));
    assert_true((answer->end == HTTP_CALL_ANSWERED) == (answer->status != 0));
    const char *header = http_call_header(answer, "x-ratelimit-remaining-requests");
    snprintf(heard->requests_left, sizeof heard->requests_left, "%s", header ? header : "none");
    snprintf(heard->error, sizeof heard->error, "%s", answer->error ? answer->error : "");
    free(heard->body);
    heard->body = strdup(answer->body);
}

static int set_up(void **state) {
    (void)state;
    uv_loop_init(&loop);
    stub_open(&server, &loop);
    client = http_client_open(&loop);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/path", server.port);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    if (client)
        http_client_close(&client);
    uv_close((uv_handle_t *)&server.listener, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    free(server.request);
    return uv_loop_close(&loop);
}

static struct http_call *post(const char *to, int64_t timeout_ms, size_t most, struct heard *heard) {
    static const char *const headers[] = {"Content-Type: application/json", "X-Secret: sesame", NULL};
    struct http_call_request request = {.url = to,
        .headers = headers,
        .body = "{\"a\":1}",
        .length = 7,
        .connect_timeout_ms = timeout_ms,
        .timeout_ms = timeout_ms,
        .answer_bytes_max = most};
    struct http_call *call = http_client_post(client, &request, hear, heard);
    assert_int_equal(heard->count, 0);
    return call;
}

/* Runs the loop until all of the calls have been told. */
static void await(struct heard *heard, size_t count) {
    for (size_t i = 0; i < count; i++)
        while (!heard[i].count)
            uv_run(&loop, UV_RUN_ONCE);
}

static struct heard post_and_await(const char *to, int64_t timeout_ms, size_t most) {
    struct heard heard = {0};
    post(to, timeout_ms, most, &heard);
    await(&heard, 1);
    assert_int_equal(heard.count, 1);
    return heard;
}

static void posts_and_brings_the_answer(void **state) {
    (void)state;
    char *answer = stub_format(201, "", "made");
    server.answer = answer;
    struct heard heard = post_and_await(url, 5000, 100);
    assert_int_equal(heard.status, 201);
    assert_string_equal(heard.body, "made");
    assert_int_equal(heard.retry_after_ms, -1);
    assert_memory_equal(server.request, "POST /path HTTP/1.1\r\n", 21);
    assert_non_null(strstr(server.request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(server.request, "\r\nX-Secret: sesame\r\n"));
    assert_non_null(strstr(server.request, "\r\n\r\n{\"a\":1}"));
    free(heard.body);
    free(answer);
}

static void reuses_connections(void **state) {
    (void)state;
    char *answer = stub_format(200, "", "x");
    server.answer = answer;
    for (int i = 0; i < 5; i++)
        free(post_and_await(url, 5000, 100).body);
    assert_int_equal(server.requests, 5);
    assert_int_equal(server.connections, 1);
    free(answer);
}

static void serves_many_at_once_by_name(void **state) {
    (void)state;
    enum { CALLS = 50 };
    struct heard heard[CALLS] = {0};
    char *answer = stub_format(200, "", "x"), named[64];
    server.answer = answer;
    snprintf(named, sizeof named, "http://localhost:%d/", server.port);
    for (int i = 0; i < CALLS; i++)
        post(named, 10000, 100, &heard[i]);
    await(heard, CALLS);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(heard[i].status, 200);
        free(heard[i].body);
    }
    free(post_and_await(named, 5000, 100).body);
    assert_int_equal(server.requests, CALLS + 1);
    free(answer);
}

static void times_out(void **state) {
    (void)state;
    struct heard heard = post_and_await(url, 30, 100);
    assert_int_equal(heard.status, 0);
    assert_true(heard.timed_out);
    free(heard.body);
}

static void says_why_nothing_came(void **state) {
    (void)state;
    static const char *const urls[] = {"http://127.0.0.1:1/", "file:///etc/hostname", "not a url", "",
        "http://name.invalid/", "ftp://127.0.0.1/"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct heard heard = post_and_await(urls[i], 20000, 100);
        assert_int_equal(heard.status, 0);
        assert_true(strlen(heard.error) > 5);
        assert_null(strstr(heard.error, "sesame"));
        assert_string_equal(heard.body, "");
        free(heard.body);
    }
}

static void tells_the_timeouts_apart(void **state) {
    (void)state;
    static const char *const headers[] = {"A: b", NULL};
    char tls[64];
    snprintf(tls, sizeof tls, "https://127.0.0.1:%d/", server.port);
    struct {
        const char *url, *answer;
        int64_t connect_ms, first_byte_ms, whole_ms;
        enum http_call_end end;
        const char *error;
    } cases[] = {
        /* The server never says a word of TLS. */
        {tls, NULL, 30, 5000, 10000, HTTP_CALL_CONNECT_TIMEOUT, "no connection within 30 ms"},
        {url, NULL, 5000, 30, 10000, HTTP_CALL_FIRST_BYTE_TIMEOUT, "no first byte of an answer within 30 ms"},
        {url, NULL, 5000, 0, 40, HTTP_CALL_WHOLE_TIMEOUT, "no whole answer within 40 ms"},
        {url, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 5000, 300, 400, HTTP_CALL_WHOLE_TIMEOUT,
            "no whole answer within 400 ms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct heard heard = {0};
        server.answer = cases[i].answer;
        struct http_call_request request = {.url = cases[i].url,
            .headers = headers,
            .body = "x",
            .length = 1,
            .connect_timeout_ms = cases[i].connect_ms,
            .first_byte_timeout_ms = cases[i].first_byte_ms,
            .timeout_ms = cases[i].whole_ms,
            .answer_bytes_max = 100};
        http_client_post(client, &request, hear, &heard);
        await(&heard, 1);
        assert_int_equal(heard.end, cases[i].end);
        assert_string_equal(heard.error, cases[i].error);
        assert_true(heard.timed_out);
        free(heard.body);
    }
}

static void tells_how_it_failed(void **state) {
    (void)state;
    struct heard heard = post_and_await("http://127.0.0.1:1/", 5000, 100);
    assert_int_equal(heard.end, HTTP_CALL_UNREACHABLE);
    free(heard.body);
    heard = post_and_await("http://name.invalid/", 20000, 100);
    assert_int_equal(heard.end, HTTP_CALL_UNREACHABLE);
    free(heard.body);
    heard = post_and_await("not a url", 5000, 100);
    assert_int_equal(heard.end, HTTP_CALL_OTHER);
    free(heard.body);
    server.cuts = true;
    server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    heard = post_and_await(url, 5000, 1000);
    assert_int_equal(heard.end, HTTP_CALL_CUT);
    free(heard.body);
    heard = post_and_await(url, 5000, 3);
    assert_int_equal(heard.end, HTTP_CALL_TOO_LONG);
    free(heard.body);
}

static bool stream(void *context, const char *bytes, size_t length) {
    struct heard *heard = context;
    size_t before = strlen(heard->streamed);
    heard->streamed = realloc(heard->streamed, before + length + 1);
    memcpy(heard->streamed + before, bytes, length);
    heard->streamed[before + length] = '\0';
    return !heard->most_streamed || before + length <= heard->most_streamed;
}

static struct heard stream_and_await(const char *answer, size_t most, size_t most_streamed) {
    struct heard heard = {.streamed = strdup(""), .most_streamed = most_streamed};
    struct http_call_request request = {.url = url,
        .body = "x",
        .length = 1,
        .connect_timeout_ms = 5000,
        .timeout_ms = 5000,
        .answer_bytes_max = most,
        .data = stream};
    server.answer = answer;
    http_client_post(client, &request, hear, &heard);
    await(&heard, 1);
    return heard;
}

static void forget(struct heard *heard) {
    free(heard->body);
    free(heard->streamed);
}

static void a_streamed_answer_comes_as_it_comes(void **state) {
    (void)state;
    static const char PIECES[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n";
    char whole[200];
    snprintf(whole, sizeof whole, "%s0\r\n\r\n", PIECES);
    struct heard heard = stream_and_await(whole, 11, 0);
    assert_int_equal(heard.status, 200);
    assert_string_equal(heard.streamed, "hello world");
    assert_string_equal(heard.body, "");
    forget(&heard);
    heard = stream_and_await(whole, 10, 0);
    assert_int_equal(heard.end, HTTP_CALL_TOO_LONG);
    forget(&heard);
    heard = stream_and_await(whole, 100, 3);
    assert_int_equal(heard.end, HTTP_CALL_STOPPED);
    assert_int_equal(heard.status, 0);
    forget(&heard);
    server.cuts = true;
    heard = stream_and_await(PIECES, 100, 0);
    assert_int_equal(heard.end, HTTP_CALL_CUT);
    assert_string_equal(heard.streamed, "hello world");
    forget(&heard);
}

static void the_body_of_an_error_is_not_streamed(void **state) {
    (void)state;
    char *answer = stub_format(429, "X-RateLimit-Remaining-Requests: 0\r\n", "slow down");
    struct heard heard = stream_and_await(answer, 100, 0);
    assert_int_equal(heard.status, 429);
    assert_string_equal(heard.body, "slow down");
    assert_string_equal(heard.streamed, "");
    assert_string_equal(heard.requests_left, "0");
    forget(&heard);
    free(answer);
}

static void headers_are_those_of_the_answer(void **state) {
    (void)state;
    char *with = stub_format(200, "x-ratelimit-REMAINING-requests: 59\r\n", ""),
         *without = stub_format(200, "", "");
    server.answer = with;
    struct heard heard = post_and_await(url, 5000, 100);
    assert_string_equal(heard.requests_left, "59");
    free(heard.body);
    server.answer = without;
    heard = post_and_await(url, 5000, 100);
    assert_string_equal(heard.requests_left, "none");
    free(heard.body);
    free(with);
    free(without);
}

static void a_cut_answer_is_none(void **state) {
    (void)state;
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "nonsense\r\n\r\n", ""};
    server.cuts = true;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        server.answer = answers[i];
        struct heard heard = post_and_await(url, 5000, 1000);
        assert_int_equal(heard.status, 0);
        assert_false(heard.timed_out);
        assert_true(strlen(heard.error) > 5);
        free(heard.body);
    }
}

static void a_long_answer_is_an_error(void **state) {
    (void)state;
    char *answer = stub_format(200, "", "0123456789");
    server.answer = answer;
    struct heard heard = post_and_await(url, 5000, 9);
    assert_int_equal(heard.status, 0);
    assert_string_equal(heard.error, "the answer is longer than 9 bytes");
    free(heard.body);
    heard = post_and_await(url, 5000, 10);
    assert_int_equal(heard.status, 200);
    free(heard.body);
    free(answer);
}

static int64_t retry_after(const char *value) {
    char header[128];
    snprintf(header, sizeof header, "Retry-After%s%s\r\n", value[0] == '-' ? "" : ": ", value);
    char *answer = stub_format(429, header, "");
    server.answer = answer;
    struct heard heard = post_and_await(url, 5000, 10);
    assert_int_equal(heard.status, 429);
    free(heard.body);
    free(answer);
    return heard.retry_after_ms;
}

static void reads_retry_after(void **state) {
    (void)state;
    char date[64];
    time_t later = time(NULL) + 100;
    struct tm parts;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&later, &parts));
    assert_int_equal(retry_after("7"), 7000);
    assert_int_equal(retry_after("0"), 0);
    assert_int_equal(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), 0);
    assert_in_range(retry_after(date), 1000, 100000);
    assert_int_equal(retry_after("soon"), -1);
    assert_int_equal(retry_after("-Ms: 1500"), 1500);
    assert_int_equal(retry_after("-Ms: 1500\r\nRetry-After: 2"), 1500);
    assert_int_equal(retry_after("99999999999999999999"), 7LL * 24 * 3600 * 1000);
}

static void a_cancelled_call_is_not_told(void **state) {
    (void)state;
    struct heard by_name = {0}, by_address = {0}, other = {0};
    char *answer = stub_format(200, "", "x"), named[64];
    snprintf(named, sizeof named, "http://localhost:%d/", server.port);
    struct http_call *first = post(named, 5000, 100, &by_name), *second = post(url, 5000, 100, &by_address);
    http_client_cancel(&first);
    assert_null(first);
    http_client_cancel(&first);
    while (server.requests == 0)
        uv_run(&loop, UV_RUN_ONCE);
    http_client_cancel(&second);
    server.answer = answer;
    post(url, 5000, 100, &other);
    await(&other, 1);
    assert_int_equal(other.status, 200);
    assert_int_equal(by_name.count + by_address.count, 0);
    free(other.body);
    free(answer);
}

static void calls_under_way_end_with_the_client(void **state) {
    (void)state;
    struct heard heard[3] = {0};
    post(url, 5000, 100, &heard[0]);
    while (server.requests == 0)
        uv_run(&loop, UV_RUN_ONCE);
    /* Ends are told from the loop only: neither of these two can end before it runs again. */
    post("http://name.invalid/", 5000, 100, &heard[1]);
    post(url, 5000, 100, &heard[2]);
    http_client_close(&client);
    assert_null(client);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(heard[0].count + heard[1].count + heard[2].count, 0);
}

static void close_client(void *context, const struct http_call_answer *answer) {
    (void)answer;
    ++*(int *)context;
    uv_stop(&loop);
    http_client_close(&client);
}

static void done_may_close_the_client(void **state) {
    (void)state;
    char *answer = stub_format(200, "", "x");
    server.answer = answer;
    int count = 0;
    struct heard other = {0};
    struct http_call_request request = {
        .url = url, .body = "", .connect_timeout_ms = 5000, .timeout_ms = 5000, .answer_bytes_max = 10};
    http_client_post(client, &request, close_client, &count);
    server.cuts = false;
    while (!count)
        uv_run(&loop, UV_RUN_ONCE);
    assert_null(client);
    assert_int_equal(other.count, 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    free(answer);
}

struct chain {
    int left;
};

static void post_next(void *context, const struct http_call_answer *answer) {
    struct chain *chain = context;
    uv_stop(&loop);
    assert_int_equal(answer->status, 0);
    if (--chain->left == 0)
        return;
    struct http_call_request request = {.url = "http://name.invalid/",
        .body = "",
        .connect_timeout_ms = 20000,
        .timeout_ms = 20000,
        .answer_bytes_max = 10};
    int before = chain->left;
    http_client_post(client, &request, post_next, chain);
    assert_int_equal(chain->left, before);
}

static void done_may_post_again_after_a_failed_lookup(void **state) {
    (void)state;
    struct chain chain = {4};
    post_next(&chain, &(struct http_call_answer){0});
    while (chain.left)
        uv_run(&loop, UV_RUN_ONCE);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(posts_and_brings_the_answer),
        TEST(reuses_connections),
        TEST(serves_many_at_once_by_name),
        TEST(times_out),
        TEST(tells_the_timeouts_apart),
        TEST(tells_how_it_failed),
        TEST(a_streamed_answer_comes_as_it_comes),
        TEST(the_body_of_an_error_is_not_streamed),
        TEST(headers_are_those_of_the_answer),
        TEST(says_why_nothing_came),
        TEST(a_cut_answer_is_none),
        TEST(a_long_answer_is_an_error),
        TEST(reads_retry_after),
        TEST(a_cancelled_call_is_not_told),
        TEST(calls_under_way_end_with_the_client),
        TEST(done_may_close_the_client),
        TEST(done_may_post_again_after_a_failed_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
