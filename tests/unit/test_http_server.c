/* The HTTP server as its clients see it: routes, bodies and their limits, errors, answers now and later,
 * clients that leave. */
#include "tests/unit/http_exchange.h"

#include <sys/resource.h>

#include "shared/arena.h"
#include "shared/json.h"

enum { BODY_MAX = 65536 };

static void echo(struct http_request *request, void *context) {
    size_t length;
    const char *body = http_body(request, &length);
    (void)context;
    http_respond(request, 200, "application/json", body, length);
}

static void hello(struct http_request *request, void *context) {
    http_add_header(request, "X-One", "first");
    http_add_header(request, "X-Two", "second");
    http_respond(request, 200, "text/plain", context, strlen(context));
}

static void thing(struct http_request *request, void *context) {
    const char *id = http_parameter(request, "id"), *query = http_query(request, "q");
    char *text = arena_format(http_arena(request), "%s [%s] [%s] %s [%s]", http_method(request),
        id ? id : "none", query ? query : "none", http_path(request), http_header(request, "x-asked"));
    (void)context;
    http_respond(request, 200, "text/plain", text, strlen(text));
}

static void broken(struct http_request *request, void *context) {
    struct json_errors errors = {0};
    (void)context;
    json_error_add(&errors, http_arena(request), "/a", "must be there");
    json_error_add(&errors, http_arena(request), "/b", "must not");
    http_problem(request, 422, "Correct \"it\".", "0192", &errors);
}

static void split(struct http_request *request, void *context) {
    (void)context;
    http_add_header(request, "X-Split", "1\r\nX-Injected: 1");
    http_respond(request, 200, "text/plain", "", 0);
}

static const struct http_route routes[] = {{"GET", "/hello", hello}, {"POST", "/echo", echo},
    {"GET", "/things/{id}", thing}, {"POST", "/things/{id}", thing}, {"GET", "/split", split},
    {"GET", "/broken", broken}, {0}};

static int set_up(void **state) {
    static char context[] = "hello";
    (void)state;
    http_settings = (struct http_settings){.address = "127.0.0.1",
        .body_bytes_max = BODY_MAX,
        .connections_max = 1000,
        .idle_timeout_ms = 60000};
    start_server(routes, context);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    stop_server();
    return 0;
}

static void answers_on_one_connection(void **state) {
    (void)state;
    struct client client = client_open();
    for (int i = 0; i < 3; i++) {
        client_send(&client, "GET /hello HTTP/1.1\r\n\r\n");
        char *answer = client_answer(&client);
        assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(answer, "\r\nContent-Type: text/plain\r\n"));
        assert_non_null(strstr(answer, "\r\nX-One: first\r\n"));
        assert_non_null(strstr(answer, "\r\n\r\nhello"));
        assert_non_null(strstr(answer, "\r\nX-Two: second\r\n"));
        assert_null(strstr(answer, "Connection: close"));
        free(answer);
    }
    client_close(&client);
}

static void headers_cannot_be_split(void **state) {
    (void)state;
    char *answer = ask("GET /split HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    assert_null(strstr(answer, "X-Injected"));
    free(answer);
}

static void head_is_get_without_body(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(&client, "HEAD /hello HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n\r\n");
    char *head = client_answer_of(&client, true), *get = client_answer(&client);
    assert_non_null(strstr(head, "Content-Length: 5\r\n"));
    assert_non_null(strstr(get, "\r\n\r\nhello"));
    free(head);
    free(get);
    client_close(&client);
}

static void path_and_query_are_decoded(void **state) {
    (void)state;
    expect("GET /things/a%20b%2Fc?x=1&q=1+%2B%202&q=3 HTTP/1.1\r\nX-Asked: yes\r\n\r\n", "200",
        "GET [a b/c] [1 + 2] /things/a%20b%2Fc [yes]");
    expect("GET /things/a%00b?q=%ff HTTP/1.1\r\nX-ASKED: no\r\n\r\n", "200",
        "GET [none] [none] /things/a%00b [no]");
    expect("GET http://moru/things/1?q= HTTP/1.1\r\nX-Asked: x\r\n\r\n", "200", "GET [1] [] /things/1 [x]");
}

static void unknown_paths_are_404(void **state) {
    (void)state;
    expect("GET / HTTP/1.1\r\n\r\n", "404",
        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":\"There is nothing at "
        "this "
        "path.\",\"instance\":\"/\"}");
    expect("GET /hello%00 HTTP/1.1\r\n\r\n", "404", "\r\nContent-Type: application/problem+json\r\n");
    expect("GET /things/ HTTP/1.1\r\n\r\n", "404", "\"/things/\"");
    expect("GET /things/1/2 HTTP/1.1\r\n\r\n", "404", "\"/things/1/2\"");
    expect("POST /a\"b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "404", "\"/a\\\"b\"");
}

static void wrong_methods_are_405(void **state) {
    (void)state;
    expect("DELETE /hello HTTP/1.1\r\n\r\n", "405", "\r\nAllow: GET, HEAD\r\n");
    expect("GET /echo HTTP/1.1\r\n\r\n", "405", "\r\nAllow: POST\r\n");
    expect("PUT /things/1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "405", "\r\nAllow: GET, HEAD, POST\r\n");
}

static void problem_says_what_is_wrong(void **state) {
    (void)state;
    expect("GET /broken HTTP/1.1\r\n\r\n", "422",
        "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,\"detail\":\"Correct "
        "\\\"it\\\".\",\"instance\":\"/broken\",\"request_id\":\"0192\",\"errors\":[{\"pointer\":\"/"
        "a\",\"detail\":\"must "
        "be there\"},{\"pointer\":\"/b\",\"detail\":\"must not\"}]}");
}

static void posts_are_json(void **state) {
    (void)state;
    expect("POST /things/7 HTTP/1.1\r\n\r\n", "200", "POST [7]");
    expect("POST /things/7 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "200", "POST [7]");
    expect("POST /things/7 HTTP/1.1\r\nOrigin: http://elsewhere\r\nContent-Length: 0\r\n\r\n", "415", "415");
    expect("POST /things/7 HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n", "415", "415");
    expect("POST /things/7 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "415", "415");
    expect("POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "415", "\"status\":415");
    expect("POST /echo HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", "415",
        "\"status\":415");
    expect("POST /echo HTTP/1.1\r\nContent-Type: application/json5\r\nContent-Length: 2\r\n\r\n{}", "415",
        "415");
    expect("POST /echo HTTP/1.1\r\nContent-Type: APPLICATION/Json ; charset=utf-8\r\nContent-Length: "
           "2\r\n\r\n[]",
        "200", "\r\n\r\n[]");
}

/* Sends a POST to /echo with a body of length bytes; false when the server does not take all of it. */
static bool post(struct client *client, size_t length) {
    char head[128], *body = malloc(length + 1);
    assert_non_null(body);
    memset(body, 'x', length);
    snprintf(head, sizeof head,
        "POST /echo HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", length);
    client_send(client, head);
    bool sent = client_send_bytes(client, body, length);
    free(body);
    return sent;
}

static void longest_body_is_taken(void **state) {
    (void)state;
    struct client client = client_open();
    assert_true(post(&client, BODY_MAX));
    char *answer = client_answer(&client), *body = strstr(answer, "\r\n\r\n") + 4;
    assert_int_equal(strspn(body, "x"), BODY_MAX);
    free(answer);
    client_close(&client);
}

static void long_body_is_413_before_it_comes(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(
        &client, "POST /echo HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 65537\r\n\r\n");
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "HTTP/1.1 413 "));
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(answer, "\"status\":413"));
    free(answer);
    client_wait_end(&client);
    client_close(&client);
}

static void sender_of_a_long_body_sees_413(void **state) {
    (void)state;
    struct client client = client_open();
    assert_true(post(&client, 8 << 20));
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "HTTP/1.1 413 "));
    free(answer);
    client_close(&client);
}

static void chunked_bodies_have_the_same_limit(void **state) {
    (void)state;
    static const char HEAD[] =
        "POST /echo HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct client client = client_open();
    client_send(&client, HEAD);
    client_send(&client, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "\r\n\r\nabcde"));
    free(answer);
    client_send(&client, HEAD);
    for (int i = 0; i <= BODY_MAX / 16; i++)
        client_send(&client, "10\r\n0123456789abcdef\r\n");
    client_send(&client, "0\r\n\r\n");
    answer = client_answer(&client);
    assert_non_null(strstr(answer, "HTTP/1.1 413 "));
    free(answer);
    client_close(&client);
}

static void expectation_is_met(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(&client,
        "POST /echo HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 4\r\nExpect: "
        "100-continue\r\n\r\n");
    char *answer = client_answer(&client);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    free(answer);
    client_send(&client, "true");
    answer = client_answer(&client);
    assert_non_null(strstr(answer, "\r\n\r\ntrue"));
    free(answer);
    client_close(&client);
    expect(
        "POST /echo HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        "415", "Connection: close");
}

static char answered_last[200];

static void on_answered(void *context, const char *method, const char *route, int status, double seconds) {
    assert_ptr_equal(context, answered_last);
    assert_true(seconds >= 0);
    snprintf(answered_last, sizeof answered_last, "%s %s %d", method, route, status);
}

static void answers_are_told(void **state) {
    (void)state;
    http_server_on_answer(server, on_answered, answered_last);
    expect("GET /things/7 HTTP/1.1\r\nX-Asked: 1\r\n\r\n", "200", "7");
    assert_string_equal(answered_last, "GET /things/{id} 200");
    expect("GET /nothing HTTP/1.1\r\n\r\n", "404", "404");
    assert_string_equal(answered_last, "GET  404");
    expect("INVENTED /hello HTTP/1.1\r\n\r\n", "405", "405");
    assert_string_equal(answered_last, "other  405");
}

static void malformed_requests_do_no_harm(void **state) {
    (void)state;
    static const char *const REQUESTS[] = {"\r\n\r\n\r\nGARBAGE\r\n\r\n", "GET\r\n\r\n",
        "GET /hello HTTP/9.9\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /hello"};
    for (size_t i = 0; i < sizeof REQUESTS / sizeof *REQUESTS; i++) {
        struct client client = client_open();
        client_send(&client, REQUESTS[i]);
        assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
        client_wait_end(&client);
        client_close(&client);
    }
    expect("GET /hello HTTP/1.1\r\n\r\n", "200", "hello");
    assert_int_equal(http_server_pending(server), 0);
}

static void heads_are_bounded(void **state) {
    (void)state;
    struct client client = client_open();
    bool taken = client_send_bytes(&client, "GET /hello HTTP/1.1\r\n", 21);
    for (int i = 0; i < 10000 && taken; i++)
        taken = client_send_bytes(&client, "X-Long: 0123456789\r\n", 20);
    client_wait_end(&client);
    assert_null(strstr(client.text, "200 OK"));
    client_close(&client);
    expect("GET /hello HTTP/1.1\r\n\r\n", "200", "hello");
}

static void idle_connections_are_closed(void **state) {
    (void)state;
    stop_server();
    http_settings.idle_timeout_ms = 1000;
    start_server(routes, "hello");
    struct client client = client_open();
    client_send(&client, "GET /hello HTTP/1.1\r\n\r\n");
    free(client_answer(&client));
    client_wait_end(&client);
    client_close(&client);
}

static void used_port_is_an_error(void **state) {
    (void)state;
    http_settings.port = http_server_port(server);
    assert_null(http_server_open(&loop, routes, NULL));
    http_settings.address = "not an address";
    assert_null(http_server_open(&loop, routes, NULL));
}

static void open_files_are_raised(void **state) {
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max / 2;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(http_raise_open_files(), limit.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

int main(void) {
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(answers_on_one_connection),
        SERVER_TEST(headers_cannot_be_split),
        SERVER_TEST(head_is_get_without_body),
        SERVER_TEST(path_and_query_are_decoded),
        SERVER_TEST(unknown_paths_are_404),
        SERVER_TEST(wrong_methods_are_405),
        SERVER_TEST(problem_says_what_is_wrong),
        SERVER_TEST(posts_are_json),
        SERVER_TEST(longest_body_is_taken),
        SERVER_TEST(long_body_is_413_before_it_comes),
        SERVER_TEST(sender_of_a_long_body_sees_413),
        SERVER_TEST(chunked_bodies_have_the_same_limit),
        SERVER_TEST(expectation_is_met),
        SERVER_TEST(answers_are_told),
        SERVER_TEST(malformed_requests_do_no_harm),
        SERVER_TEST(heads_are_bounded),
        SERVER_TEST(idle_connections_are_closed),
        SERVER_TEST(used_port_is_an_error),
        cmocka_unit_test(open_files_are_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
