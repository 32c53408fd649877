/* Tests the Postgres module against a real server: a private cluster in a temporary folder, stopped and
 * started at will. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/pg.h"

enum { DEADLINE_MS = 60000, BIG_BYTES = 8 << 20 };

/* The cluster. */

static char folder[] = P_tmpdir "/moru-test-pg-XXXXXX";
static char data_folder[sizeof folder + 8];
static char bin_folder[256];
static int port;
static pid_t server;

static int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* Postgres refuses root. */
static void become_postgres(void) {
    if (geteuid() != 0)
        return;
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL || initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        _exit(126);
}

/* arguments[0] becomes the program's whole path: initdb looks for its companions beside itself. */
static pid_t run(const char *program, char **arguments) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    char path[512];
    snprintf(path, sizeof path, "%s%s", bin_folder, program);
    become_postgres();
    /* A test that crashes leaves no server behind. */
    if (prctl(PR_SET_PDEATHSIG, SIGINT) != 0 || chdir(folder) != 0 || freopen("log", "a", stdout) == NULL ||
        dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
        _exit(126);
    arguments[0] = path;
    execv(path, arguments);
    _exit(127);
}

static void server_start(void) {
    char port_text[16];
    snprintf(port_text, sizeof port_text, "%d", port);
    char *arguments[] = {
        NULL, "-D", data_folder, "-k", folder, "-p", port_text, "-c", "listen_addresses=127.0.0.1", NULL};
    server = run("postgres", arguments);
}

static void server_stop(void) {
    kill(server, SIGINT);
    assert_int_equal(waitpid(server, NULL, 0), server);
    server = 0;
}

static int cluster_create(void **state) {
    (void)state;
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0)
        snprintf(bin_folder, sizeof bin_folder, "%.*s", (int)(strlen(found.gl_pathv[found.gl_pathc - 1]) - 6),
            found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    assert_non_null(mkdtemp(folder));
    if (geteuid() == 0)
        assert_int_equal(chown(folder, getpwnam("postgres")->pw_uid, getpwnam("postgres")->pw_gid), 0);
    snprintf(data_folder, sizeof data_folder, "%s/data", folder);
    char *arguments[] = {
        NULL, "-D", data_folder, "-A", "trust", "-U", "moru", "-E", "UTF8", "--locale=C", "--no-sync", NULL};
    int status;
    assert_int_equal(waitpid(run("initdb", arguments), &status, 0) > 0 && status == 0, 1);
    port = free_port();
    server_start();
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static int cluster_remove(void **state) {
    (void)state;
    if (server != 0)
        server_stop();
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The client. */

static uv_loop_t loop;
static struct pg *pg;
static bool ready;
static int came, went;
static int64_t query_timeout_ms = 30000;
static bool inside_query; /* no callback may come while this is set */

struct answer {
    int calls;
    enum pg_status status;
    char sqlstate[6];
    char message[400];
    int rows;
    long affected;
    char *value; /* of the first row and column; NULL for SQL NULL too */
};

static void on_change(void *context, bool is_ready) {
    assert_ptr_equal(context, &ready);
    assert_false(inside_query);
    ready = is_ready;
    *(is_ready ? &came : &went) += 1;
}

static void on_answer(void *context, const struct pg_result *result) {
    struct answer *answer = context;
    assert_false(inside_query);
    answer->calls++;
    answer->status = pg_status(result);
    snprintf(answer->sqlstate, sizeof answer->sqlstate, "%s", pg_sqlstate(result));
    snprintf(answer->message, sizeof answer->message, "%s", pg_message(result));
    answer->rows = pg_rows(result);
    answer->affected = pg_affected(result);
    free(answer->value);
    const char *value = answer->rows > 0 ? pg_value(result, 0, 0) : NULL;
    answer->value = value != NULL ? strdup(value) : NULL;
}

static void on_deadline(uv_timer_t *timer) {
    *(bool *)timer->data = true;
}

/* Turns the loop until *value is at least wanted. */
static void wait_for(const int *value, int wanted) {
    bool late = false;
    uv_timer_t timer;
    timer.data = &late;
    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, on_deadline, DEADLINE_MS, 0), 0);
    while (*value < wanted && !late)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_false(late);
}

static void set(const char *name, const char *text, int64_t number) {
    for (const struct setting *row = pg_settings; row->name != NULL; row++)
        if (strcmp(row->name, name) == 0 && text != NULL)
            *(const char **)row->value = text;
        else if (strcmp(row->name, name) == 0)
            *(int64_t *)row->value = number;
}

static void open_at(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void open_at(const char *format, ...) {
    static char url[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(url, sizeof url, format, arguments);
    va_end(arguments);
    assert_int_equal(uv_loop_init(&loop), 0);
    came = went = 0;
    ready = false;
    set("DATABASE_URL", url, 0);
    set("PG_CONNECT_TIMEOUT_MS", NULL, 5000);
    set("PG_QUERY_TIMEOUT_MS", NULL, query_timeout_ms);
    pg = pg_open(&loop, on_change, &ready);
    assert_false(pg_ready(pg));
}

static int setup(void **state) {
    (void)state;
    open_at("postgresql://moru@127.0.0.1:%d/postgres", port);
    wait_for(&came, 1);
    assert_true(pg_ready(pg));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    pg_close(&pg);
    assert_null(pg);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static void send_one(
    const struct pg_statement *statement, int count, const char *const *values, struct answer *answer) {
    inside_query = true;
    pg_query(pg, statement, count, values, on_answer, answer);
    inside_query = false;
}

static void send_steps(const struct pg_step *steps, int count, struct answer *answer) {
    inside_query = true;
    pg_transaction(pg, steps, count, on_answer, answer);
    inside_query = false;
}

/* Sends and waits; free(answer.value) where there is one. */
static struct answer ask(const struct pg_statement *statement, int count, const char *const *values) {
    struct answer answer = {0};
    send_one(statement, count, values, &answer);
    wait_for(&answer.calls, 1);
    return answer;
}

/* For statements that only prepare the ground. */
static void execute(const struct pg_statement *statement) {
    struct answer answer = ask(statement, 0, NULL);
    assert_string_equal(answer.message, "");
    assert_int_equal(answer.status, PG_OK);
    free(answer.value);
}

static void expect_answer(const struct pg_statement *statement, const char *value) {
    struct answer answer = ask(statement, 0, NULL);
    assert_int_equal(answer.status, PG_OK);
    assert_int_equal(answer.rows, 1);
    assert_string_equal(answer.value, value);
    free(answer.value);
}

static const struct pg_statement echo = {"echo", "SELECT $1::text"};
static const struct pg_statement divide = {"divide", "SELECT 1 / $1::int"};
static const struct pg_statement sleep_long = {"sleep_long", "SELECT pg_sleep(600)"};

/* Tests. */

static void on_rows(void *context, const struct pg_result *result) {
    assert_int_equal(pg_status(result), PG_OK);
    assert_int_equal(pg_rows(result), 3);
    assert_string_equal(pg_value(result, 0, 0), "1");
    assert_string_equal(pg_value(result, 0, 1), "a");
    assert_string_equal(pg_value(result, 1, 1), "");
    assert_null(pg_value(result, 2, 1));
    assert_string_equal(pg_sqlstate(result), "");
    ++*(int *)context;
}

static void rows_and_nulls_come_back(void **state) {
    (void)state;
    static const struct pg_statement rows = {
        "rows", "SELECT * FROM (VALUES (1, $1::text), (2, ''), (3, NULL)) v"};
    int calls = 0;
    pg_query(pg, &rows, 1, (const char *const[]){"a"}, on_rows, &calls);
    assert_int_equal(calls, 0);
    wait_for(&calls, 1);
    struct answer answer = ask(&echo, 1, (const char *const[]){NULL});
    assert_int_equal(answer.rows, 1);
    assert_null(answer.value);
}

static void affected_rows_are_counted(void **state) {
    (void)state;
    static const struct pg_statement create = {"create", "CREATE TABLE counted (a int)"};
    execute(&create);
    static const struct pg_statement insert = {
        "insert", "INSERT INTO counted SELECT generate_series(1, $1::int)"};
    static const struct pg_statement update = {"update", "UPDATE counted SET a = 0 WHERE a > $1::int"};
    assert_int_equal(ask(&insert, 1, (const char *const[]){"7"}).affected, 7);
    assert_int_equal(ask(&update, 1, (const char *const[]){"5"}).affected, 2);
    assert_int_equal(ask(&update, 1, (const char *const[]){"5"}).affected, 0);
}

static void failing_query_leaves_its_neighbours_alone(void **state) {
    (void)state;
    struct answer answers[3] = {0};
    send_one(&echo, 1, (const char *const[]){"before"}, &answers[0]);
    send_one(&divide, 1, (const char *const[]){"0"}, &answers[1]);
    send_one(&echo, 1, (const char *const[]){"after"}, &answers[2]);
    wait_for(&answers[2].calls, 1);
    assert_string_equal(answers[0].value, "before");
    assert_int_equal(answers[1].status, PG_FAILED);
    assert_string_equal(answers[1].sqlstate, "22012");
    assert_string_equal(answers[1].message, "division by zero");
    assert_int_equal(answers[1].rows, 0);
    assert_string_equal(answers[2].value, "after");
    assert_int_equal(went, 0);
    free(answers[0].value);
    free(answers[2].value);
}

static void statement_that_does_not_parse_fails_and_is_prepared_again(void **state) {
    (void)state;
    static const struct pg_statement wrong = {"wrong", "SELEC 1"};
    static const struct pg_statement early = {"early", "SELECT count(*) FROM comes_later"};
    struct answer answers[4] = {0};
    send_one(&wrong, 0, NULL, &answers[0]);
    send_one(&wrong, 0, NULL, &answers[1]);
    send_steps((const struct pg_step[]){{&early, 0, NULL}}, 1, &answers[2]);
    send_one(&echo, 1, (const char *const[]){"in step"}, &answers[3]);
    wait_for(&answers[3].calls, 1);
    assert_string_equal(answers[0].sqlstate, "42601");
    assert_string_equal(answers[1].sqlstate, "42601");
    assert_string_equal(answers[2].sqlstate, "42P01");
    assert_string_equal(answers[3].value, "in step");
    free(answers[3].value);
    static const struct pg_statement create = {"create", "CREATE TABLE comes_later (a int)"};
    execute(&create);
    expect_answer(&early, "0");
    assert_int_equal(went, 0);
}

static void transaction_is_all_or_nothing(void **state) {
    (void)state;
    static const struct pg_statement create = {"create", "CREATE TABLE kept (a int)"};
    execute(&create);
    static const struct pg_statement insert = {"insert", "INSERT INTO kept VALUES ($1::int)"};
    static const struct pg_statement count = {"count", "SELECT count(*) FROM kept"};
    const char *const one[] = {"1"}, *const zero[] = {"0"};
    struct answer failed = {0}, good = {0};
    send_steps(
        (const struct pg_step[]){{&insert, 1, one}, {&divide, 1, zero}, {&insert, 1, one}}, 3, &failed);
    send_steps((const struct pg_step[]){{&insert, 1, one}, {&insert, 1, zero}, {&count, 0, NULL}}, 3, &good);
    wait_for(&good.calls, 1);
    assert_int_equal(failed.calls, 1);
    assert_int_equal(failed.status, PG_FAILED);
    assert_string_equal(failed.sqlstate, "22012");
    assert_int_equal(good.status, PG_OK);
    assert_string_equal(good.value, "2");
    free(good.value);
    expect_answer(&count, "2");
}

static void failure_at_commit_is_a_failure(void **state) {
    (void)state;
    static const struct pg_statement create = {"create",
        "CREATE TABLE pair (a int PRIMARY KEY, b int REFERENCES pair (a) DEFERRABLE INITIALLY DEFERRED)"};
    execute(&create);
    static const struct pg_statement insert = {"insert", "INSERT INTO pair VALUES (1, 2)"};
    struct answer failed = {0}, next = {0};
    send_one(&insert, 0, NULL, &failed);
    send_one(&echo, 1, (const char *const[]){"in step"}, &next);
    wait_for(&next.calls, 1);
    assert_int_equal(failed.calls, 1);
    assert_int_equal(failed.status, PG_FAILED);
    assert_string_equal(failed.sqlstate, "23503");
    assert_string_equal(next.value, "in step");
    free(next.value);
}

static void killed_connection_loses_what_is_pending_and_comes_back(void **state) {
    (void)state;
    static const struct pg_statement own_pid = {"own_pid", "SELECT pg_backend_pid()"};
    static const struct pg_statement terminate = {"terminate", "SELECT pg_terminate_backend($1::int)"};
    struct answer pid = ask(&own_pid, 0, NULL);
    struct pg *killer = pg_open(&loop, NULL, NULL);
    struct answer pending[2] = {0}, killed = {0};
    send_one(&sleep_long, 0, NULL, &pending[0]);
    send_one(&echo, 1, (const char *const[]){"never"}, &pending[1]);
    while (!pg_ready(killer))
        uv_run(&loop, UV_RUN_ONCE);
    pg_query(killer, &terminate, 1, (const char *const[]){pid.value}, on_answer, &killed);
    wait_for(&pending[1].calls, 1);
    wait_for(&killed.calls, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pending[i].calls, 1);
        assert_int_equal(pending[i].status, PG_LOST);
        assert_string_equal(pending[i].sqlstate, "");
        assert_int_equal(pending[i].rows, 0);
    }
    assert_int_equal(went, 1);
    wait_for(&came, 2);
    struct answer again = ask(&echo, 1, (const char *const[]){"again"});
    assert_string_equal(again.value, "again");
    free(again.value);
    free(killed.value);
    free(pid.value);
    pg_close(&killer);
}

static void overdue_answer_drops_the_connection(void **state) {
    query_timeout_ms = 1000;
    setup(state);
    query_timeout_ms = 30000;
    struct answer overdue = ask(&sleep_long, 0, NULL);
    assert_int_equal(overdue.status, PG_LOST);
    assert_non_null(strstr(overdue.message, "PG_QUERY_TIMEOUT_MS"));
    wait_for(&came, 2);
    static const struct pg_statement timeout = {"timeout", "SHOW statement_timeout"};
    expect_answer(&timeout, "2s");
    teardown(state);
}

static void ddl_between_two_uses_is_not_seen_by_the_caller(void **state) {
    (void)state;
    static const struct pg_statement create = {"create", "CREATE TABLE changing AS SELECT 1 AS a"};
    execute(&create);
    static const struct pg_statement select = {"select_all", "SELECT * FROM changing"};
    static const struct pg_statement widen = {
        "widen", "ALTER TABLE changing ALTER a TYPE text USING 'now text'"};
    static const struct pg_statement forget = {"forget", "DEALLOCATE ALL"};
    expect_answer(&select, "1");
    execute(&widen);
    struct answer answers[2] = {0};
    send_one(&select, 0, NULL, &answers[0]);
    send_one(&select, 0, NULL, &answers[1]);
    wait_for(&answers[1].calls, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].status, PG_OK);
        assert_string_equal(answers[i].value, "now text");
        free(answers[i].value);
    }
    execute(&forget);
    expect_answer(&select, "now text");
}

static void stale_transaction_fails_once_only(void **state) {
    (void)state;
    static const struct pg_statement forget = {"forget", "DEALLOCATE ALL"};
    const struct pg_step step = {&echo, 1, (const char *const[]){"x"}};
    struct answer answers[3] = {0};
    send_steps(&step, 1, &answers[0]);
    wait_for(&answers[0].calls, 1);
    execute(&forget);
    send_steps(&step, 1, &answers[1]);
    wait_for(&answers[1].calls, 1);
    assert_string_equal(answers[1].sqlstate, "26000");
    send_steps(&step, 1, &answers[2]);
    wait_for(&answers[2].calls, 1);
    assert_int_equal(answers[2].status, PG_OK);
    free(answers[0].value);
    free(answers[2].value);
}

static void on_array(void *context, const struct pg_result *result) {
    const char *const *expected = *(const char *const **)context;
    assert_int_equal(pg_status(result), PG_OK);
    assert_int_equal(pg_rows(result), 9);
    for (int i = 0; i < 9; i++)
        if (expected[i] == NULL)
            assert_null(pg_value(result, i, 0));
        else
            assert_string_equal(pg_value(result, i, 0), expected[i]);
    *(const char *const **)context = NULL;
}

static void array_elements_arrive_as_they_were(void **state) {
    (void)state;
    static const struct pg_statement unnest = {"unnest", "SELECT unnest($1::text[])"};
    static const char *const values[9] = {"plain", "", NULL, "NULL", "it's \"quoted\"", "back\\slash\\",
        "{a,b}", "모루 \xf0\x9f\x94\xa8", "line\n\ttab"};
    struct arena *arena = arena_create(0);
    struct buffer text = buffer_in(arena);
    pg_array_begin(&text);
    for (int i = 0; i < 9; i++)
        pg_array_add(&text, values[i]);
    pg_array_end(&text);
    const char *const *waiting = values;
    pg_query(pg, &unnest, 1, (const char *const[]){buffer_text(&text)}, on_array, &waiting);
    struct answer behind = ask(&echo, 1, (const char *const[]){"behind"});
    assert_null(waiting);
    free(behind.value);
    struct buffer none = buffer_in(arena);
    pg_array_begin(&none);
    pg_array_end(&none);
    assert_string_equal(buffer_text(&none), "{}");
    arena_destroy(&arena);
}

static void big_values_go_both_ways(void **state) {
    (void)state;
    char *big = malloc(BIG_BYTES + 1);
    for (int i = 0; i < BIG_BYTES; i++)
        big[i] = (char)('a' + i % 26);
    big[BIG_BYTES] = '\0';
    struct answer answers[3] = {0};
    for (int i = 0; i < 3; i++)
        send_one(&echo, 1, (const char *const[]){big}, &answers[i]);
    wait_for(&answers[2].calls, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answers[i].status, PG_OK);
        assert_int_equal(strcmp(answers[i].value, big), 0);
        free(answers[i].value);
    }
    free(big);
}

static void on_numbered(void *context, const struct pg_result *result) {
    int *next = context;
    assert_int_equal(pg_status(result), PG_OK);
    assert_int_equal(atoi(pg_value(result, 0, 0)), *next);
    ++*next;
}

static void many_queries_are_answered_in_order(void **state) {
    (void)state;
    int next = 0;
    for (int i = 0; i < 5000; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        pg_query(pg, &echo, 1, (const char *const[]){number}, on_numbered, &next);
    }
    wait_for(&next, 5000);
}

static void on_answer_close(void *context, const struct pg_result *result) {
    on_answer(context, result);
    pg_close(&pg);
}

static void closing_from_a_callback_loses_the_rest(void **state) {
    (void)state;
    struct answer first = {0}, second = {0};
    pg_query(pg, &echo, 1, (const char *const[]){"first"}, on_answer_close, &first);
    pg_query(pg, &echo, 1, (const char *const[]){"second"}, on_answer, &second);
    wait_for(&second.calls, 1);
    assert_null(pg);
    assert_int_equal(first.status, PG_OK);
    assert_int_equal(second.status, PG_LOST);
    free(first.value);
}

static void server_that_is_away_is_waited_for(void **state) {
    (void)state;
    server_stop();
    wait_for(&went, 1);
    teardown(state);
    open_at("postgresql://moru@127.0.0.1:%d/postgres", port);
    struct answer lost = ask(&echo, 1, (const char *const[]){"x"});
    assert_int_equal(lost.status, PG_LOST);
    assert_int_equal(came, 0);
    server_start();
    wait_for(&came, 1);
    struct answer answer = ask(&echo, 1, (const char *const[]){"x"});
    assert_string_equal(answer.value, "x");
    free(answer.value);
}

static void connect_and_ask(void **state) {
    wait_for(&came, 1);
    struct answer answer = ask(&echo, 1, (const char *const[]){"x"});
    assert_int_equal(answer.status, PG_OK);
    free(answer.value);
    teardown(state);
}

static void several_hosts_names_and_sockets(void **state) {
    /* Nobody listens on port 1, and no server has a name under .invalid. */
    open_at("postgresql://moru@127.0.0.1:1,nowhere.invalid:5432,localhost:%d/postgres", port);
    connect_and_ask(state);
    open_at("postgresql://moru@localhost,localhost:%d/postgres?target_session_attrs=any", port);
    teardown(state);
    open_at("host='%s' port=%d user=moru dbname=postgres", folder, port);
    connect_and_ask(state);
    open_at("host=db.invalid hostaddr=127.0.0.1 port=%d user=moru dbname=postgres", port);
    connect_and_ask(state);
    open_at("postgresql://moru@nowhere.invalid/postgres");
    struct answer lost = ask(&echo, 1, (const char *const[]){"x"});
    assert_int_equal(lost.status, PG_LOST);
    teardown(state);
}

/* What a process that opens url says before it exits with 2. */
static void read_refusal(const char *url, char *said, size_t size) {
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        uv_loop_init(&loop);
        set("DATABASE_URL", url, 0);
        pg_open(&loop, NULL, NULL);
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], said + length, size - 1 - length)) > 0;)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);
}

static void wrong_url_is_refused_without_showing_it(void **state) {
    (void)state;
    static const char *const urls[] = {"postgresql://moru:s3cret%zz@localhost/x",
        "postgresql://moru:s3cret@[::1/x", "postgresql://moru:s3cret@a,b,c:1,2/x?unknown=1",
        "postgresql://moru:s3cret@a,b,c/x?port=1,2", "s3cret"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char said[1000];
        read_refusal(urls[i], said, sizeof said);
        assert_non_null(strstr(said, "DATABASE_URL"));
        assert_null(strstr(said, "s3cret"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        /* First: it forks, and libuv's threads do not go along. */
        cmocka_unit_test(wrong_url_is_refused_without_showing_it),
        cmocka_unit_test_setup_teardown(rows_and_nulls_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(affected_rows_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(failing_query_leaves_its_neighbours_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(
            statement_that_does_not_parse_fails_and_is_prepared_again, setup, teardown),
        cmocka_unit_test_setup_teardown(transaction_is_all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(failure_at_commit_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(
            killed_connection_loses_what_is_pending_and_comes_back, setup, teardown),
        cmocka_unit_test(overdue_answer_drops_the_connection),
        cmocka_unit_test_setup_teardown(ddl_between_two_uses_is_not_seen_by_the_caller, setup, teardown),
        cmocka_unit_test_setup_teardown(stale_transaction_fails_once_only, setup, teardown),
        cmocka_unit_test_setup_teardown(array_elements_arrive_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(big_values_go_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(many_queries_are_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_from_a_callback_loses_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(server_that_is_away_is_waited_for, setup, teardown),
        cmocka_unit_test(several_hosts_names_and_sockets),
    };
    return cmocka_run_group_tests_name("pg", tests, cluster_create, cluster_remove);
}
