/* retry.c - see retry.h. */
#include "model/retry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"
#include "base/str.h"

#define MAX_DELAY_MS (INT64_C(1000) * 86400 * 365) /* more is a mistake */
#define MAX_DOUBLED  10

/* ---- what the provider asks for ------------------------------------------ */

static bool
has_type(const json_t *detail, const char *type)
{
    const char *name = json_string_value(json_object_get(detail, "@type"));

    return name != NULL && strstr(name, type) != NULL;
}

/* "36.429760048s" */
static int64_t
delay_of_text(const char *text)
{
    char seconds[32];
    int64_t ms;
    size_t len;

    if (text == NULL || (len = strlen(text)) < 2 || len > sizeof(seconds) ||
        text[len - 1] != 's')
        return RETRY_NOT_SAID;
    snprintf(seconds, sizeof(seconds), "%.*s", (int)(len - 1), text);
    return str_to_ms(seconds, 0, MAX_DELAY_MS, &ms) == 0 ? ms : RETRY_NOT_SAID;
}

static bool
is_of_the_day(const json_t *failure)
{
    const json_t *violations = json_object_get(failure, "violations");

    for (size_t i = 0; i < json_array_size(violations); i++) {
        const char *quota = json_string_value(
            json_object_get(json_array_get(violations, i), "quotaId"));

        if (quota != NULL && strstr(quota, "PerDay") != NULL)
            return true;
    }
    return false;
}

static bool
is_paid_up(const json_t *error, const char *member)
{
    const char *word = json_string_value(json_object_get(error, member));

    return word == NULL || strcmp(word, "insufficient_quota") != 0;
}

int64_t
retry_delay_of_error(const json_t *error)
{
    const json_t *details = json_object_get(error, "details");
    int64_t delay_ms = RETRY_NOT_SAID;

    if (!is_paid_up(error, "code") || !is_paid_up(error, "type"))
        return RETRY_NEVER;
    for (size_t i = 0; i < json_array_size(details); i++) {
        const json_t *detail = json_array_get(details, i);

        if (has_type(detail, "google.rpc.QuotaFailure") &&
            is_of_the_day(detail))
            return RETRY_NEVER;
        if (has_type(detail, "google.rpc.RetryInfo"))
            delay_ms = delay_of_text(
                json_string_value(json_object_get(detail, "retryDelay")));
    }
    return delay_ms;
}

static int64_t
delay_until(const char *date, int64_t now_unix_us)
{
    int64_t unix_s, delay_ms;

    if (str_to_unix_s(date, &unix_s) == -1)
        return RETRY_NOT_SAID;
    delay_ms = unix_s * 1000 - now_unix_us / 1000;
    return delay_ms > 0 ? delay_ms : 0;
}

int64_t
retry_delay_of_header(const char *line, size_t len, int64_t now_unix_us)
{
    static const char name[] = "retry-after:";
    char value[64];
    int64_t ms;

    if (len < strlen(name) || strncasecmp(line, name, strlen(name)) != 0)
        return RETRY_NOT_SAID;
    line += strlen(name);
    len -= strlen(name);
    for (; len > 0 && (*line == ' ' || *line == '\t'); len--)
        line++;
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    if (len >= sizeof(value))
        return RETRY_NOT_SAID;
    memcpy(value, line, len);
    value[len] = '\0';
    if (str_to_ms(value, 0, MAX_DELAY_MS, &ms) == 0)
        return ms;
    return delay_until(value, now_unix_us);
}

/* ---- whether and when ---------------------------------------------------- */

/* Causes that may be gone a moment later, and have cost nothing. */
static bool
may_pass(enum failure failure)
{
    return failure == FAILURE_RATE_LIMITED || failure == FAILURE_HTTP_503 ||
           failure == FAILURE_CONNECT || failure == FAILURE_CONNECTION_LOST;
}

/* Ours doubles and is spread; what the provider asks for is the least. */
static int64_t
pause_ms(const struct retry_policy *policy, const struct retry_facts *facts)
{
    const int64_t doubled =
        facts->retries_done < MAX_DOUBLED ? facts->retries_done : MAX_DOUBLED;
    int64_t wait_ms = policy->pause_ms << doubled;

    if (facts->failure == FAILURE_CONNECTION_LOST &&
        facts->was_kept_connection && facts->retries_done == 0)
        return 0;
    if (facts->asked_delay_ms != RETRY_NOT_SAID)
        wait_ms = facts->asked_delay_ms;
    return wait_ms + wait_ms * (facts->chance % 64) / 256;
}

int64_t
retry_wait_ms(const struct retry_policy *policy,
              const struct retry_facts *facts)
{
    int64_t wait_ms;

    if (facts->had_substance || !may_pass(facts->failure) ||
        facts->retries_done >= policy->retries ||
        facts->asked_delay_ms > MAX_DELAY_MS)
        return -1;
    wait_ms = pause_ms(policy, facts);
    return wait_ms < facts->left_ms ? wait_ms : -1;
}

bool
retry_may_fall_back(enum failure failure)
{
    return may_pass(failure) || failure == FAILURE_MODEL_NOT_FOUND ||
           failure == FAILURE_HTTP_5XX || failure == FAILURE_CONNECT_TIMEOUT ||
           failure == FAILURE_CIRCUIT_OPEN;
}
