/* moru-setup: creates topics, tables and the first prompt, leaves what is there, and ends; it runs at every
 * start. */
#include <stdlib.h>
#include <time.h>

#include "deploy/setup/setup.h"
#include "shared/log.h"
#include "shared/settings.h"

enum { RETRY_MS = 100, WAITING_LOG_MS = 1000 };

struct setup_config setup_config;

static struct setting settings[] = {
    {"KAFKA_BROKERS", SETTING_STRING, &setup_config.brokers, "localhost:9092", .min = 1,
        .help = "Kafka's bootstrap servers, host:port with commas between."},
    {"DATABASE_URL", SETTING_SECRET, &setup_config.database_url, NULL, .min = 1,
        .help = "Postgres, as postgresql://user:password@host:port/database."},
    {"TOPIC_REPLICATION", SETTING_INTEGER, &setup_config.replication, "0", 0, 100,
        .help = "Replicas of each partition of a new topic; 0: as the topic declares."},
    {"TOPIC_MIN_INSYNC_REPLICAS", SETTING_INTEGER, &setup_config.min_insync_replicas, "0", 0, 100,
        .help = "min.insync.replicas of a new topic; 0: as the topic declares."},
    {"SETUP_TIMEOUT_MS", SETTING_INTEGER, &setup_config.timeout_ms, "60000", 100, 3600000,
        .help = "How long to wait for Kafka and Postgres, in milliseconds."},
    {0},
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t setup_remaining_ms(void) {
    static int64_t started_ms;
    if (started_ms == 0)
        started_ms = now_ms();
    int64_t remaining = started_ms + setup_config.timeout_ms - now_ms();
    return remaining > 0 ? remaining : 0;
}

bool setup_wait(const char *event, const char *reason) {
    static uint64_t logged_ms;
    if (setup_remaining_ms() == 0) {
        log_error("setup_timed_out", log_string("waiting", event), log_string("reason", reason),
            log_integer("timeout_ms", setup_config.timeout_ms));
        return false;
    }
    if (reason != NULL && log_due(&logged_ms, WAITING_LOG_MS))
        log_warn(event, log_string("reason", reason));
    nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000L}, NULL);
    return true;
}

static bool database_ensure(void) {
    PGconn *database = database_connect();
    if (database == NULL)
        return false;
    bool done = migrations_apply(database) && partitions_maintain(database) && prompts_seed(database);
    PQfinish(database);
    return done;
}

int main(int argc, char **argv) {
    static struct setting *const tables[] = {settings, NULL};
    static const struct program program = {"moru-setup", "setup",
        "Creates moru's topics, tables and first prompts; leaves what is there.", tables};
    settings_load(&program, argc, argv);
    int64_t remaining_ms = setup_remaining_ms();
    if (!database_ensure() || !topics_ensure())
        return EXIT_FAILURE;
    log_info("setup_done", log_integer("milliseconds", remaining_ms - setup_remaining_ms()));
    return EXIT_SUCCESS;
}
