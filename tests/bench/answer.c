/* answer.c - see answer.h. */
#include "bench/answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"
#include "base/str.h"

#define STAMP     "sent_mono_us="
#define COMMITTED "\"state\":\"committed\""

static const char *const event_names[ANSWER_EVENT_COUNT] = {
    [ANSWER_PRELIMINARY] = "preliminary",
    [ANSWER_FINAL] = "final",
    [ANSWER_DONE] = "done",
    [ANSWER_ERROR] = "error",
};

const char *
answer_event_name(enum answer_event event)
{
    return event_names[event];
}

/* All but the two long arrays. */
void
answer_begin(struct answer *answer)
{
    memset(answer, 0, offsetof(struct answer, head));
    answer->event = ANSWER_EVENT_COUNT;
}

bool
answer_is_whole(const struct answer *answer)
{
    return answer->stage == ANSWER_WHOLE;
}

bool
answer_is_bad(const struct answer *answer)
{
    return answer->stage == ANSWER_BAD;
}

/* ---- events -------------------------------------------------------------- */

static enum answer_event
event_named(const char *name, size_t len)
{
    for (int i = 0; i < ANSWER_EVENT_COUNT; i++)
        if (strlen(event_names[i]) == len &&
            memcmp(event_names[i], name, len) == 0)
            return (enum answer_event)i;
    return ANSWER_EVENT_COUNT;
}

static void
look_at_data(struct answer *answer, int64_t now_mono_us)
{
    const char *stamp;

    if (answer->event == ANSWER_EVENT_COUNT)
        return;
    answer->at_us[answer->event] = now_mono_us;
    stamp = memmem(answer->line, answer->line_len, STAMP, strlen(STAMP));
    if (stamp != NULL)
        answer->sent_us[answer->event] =
            strtoll(stamp + strlen(STAMP), NULL, 10);
    if (answer->event == ANSWER_DONE)
        answer->is_committed = memmem(answer->line, answer->line_len, COMMITTED,
                                      strlen(COMMITTED)) != NULL;
}

static void
look_at_line(struct answer *answer, int64_t now_mono_us)
{
    static const char event[] = "event: ";
    const size_t skip = strlen(event);

    answer->line[answer->line_len] = '\0';
    if (str_starts_with(answer->line, event))
        answer->event =
            event_named(answer->line + skip, answer->line_len - skip);
    else if (str_starts_with(answer->line, "data: "))
        look_at_data(answer, now_mono_us);
}

static void
keep(struct answer *answer, const char *bytes, size_t len)
{
    const size_t room = sizeof(answer->line) - 1 - answer->line_len;

    if (len > room)
        len = room;
    memcpy(answer->line + answer->line_len, bytes, len);
    answer->line_len += len;
}

static void
take_body(struct answer *answer, const char *bytes, size_t len,
          int64_t now_mono_us)
{
    const char *const end = bytes + len;
    const char *newline;

    answer->body_bytes += len;
    while ((newline = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL) {
        keep(answer, bytes, (size_t)(newline - bytes));
        look_at_line(answer, now_mono_us);
        answer->line_len = 0;
        bytes = newline + 1;
    }
    keep(answer, bytes, (size_t)(end - bytes));
}

/* ---- HTTP ---------------------------------------------------------------- */

/* Collects up to the end of a line.  Returns how much it used. */
static size_t
collect(struct answer *answer, const char *bytes, size_t len)
{
    const char *newline = memchr(bytes, '\n', len);
    const size_t used = newline != NULL ? (size_t)(newline + 1 - bytes) : len;

    if (used >= sizeof(answer->head) - answer->head_len) {
        answer->stage = ANSWER_BAD;
        return used;
    }
    memcpy(answer->head + answer->head_len, bytes, used);
    answer->head_len += used;
    answer->head[answer->head_len] = '\0';
    return used;
}

static bool
ends_in(const struct answer *answer, const char *end)
{
    const size_t len = strlen(end);

    return answer->head_len >= len &&
           memcmp(answer->head + answer->head_len - len, end, len) == 0;
}

static void
end_head(struct answer *answer)
{
    const char *length = strcasestr(answer->head, "\r\ncontent-length:");

    if (!str_starts_with(answer->head, "HTTP/1.1 ")) {
        answer->stage = ANSWER_BAD;
        return;
    }
    answer->status = atoi(answer->head + strlen("HTTP/1.1 "));
    answer->is_last = strcasestr(answer->head, "\r\nconnection: close") != NULL;
    answer->left =
        length != NULL
            ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10)
            : 0;
    answer->head_len = 0;
    if (length == NULL)
        answer->stage = ANSWER_CHUNK_SIZE;
    else
        answer->stage = answer->left > 0 ? ANSWER_LENGTH : ANSWER_WHOLE;
}

/* The chunk of size 0 has no bytes: its CR LF ends the answer. */
static void
end_chunk_size(struct answer *answer)
{
    answer->left = strtoul(answer->head, NULL, 16);
    answer->stage = answer->left > 0 ? ANSWER_CHUNK : ANSWER_CHUNK_END;
}

static void
end_chunk(struct answer *answer)
{
    const bool was_last = strtoul(answer->head, NULL, 16) == 0;

    answer->head_len = 0;
    answer->stage = was_last ? ANSWER_WHOLE : ANSWER_CHUNK_SIZE;
}

static size_t
take_left(struct answer *answer, const char *bytes, size_t len,
          int64_t now_mono_us)
{
    const size_t used = len < answer->left ? len : answer->left;

    take_body(answer, bytes, used, now_mono_us);
    answer->left -= used;
    if (answer->left == 0)
        answer->stage =
            answer->stage == ANSWER_LENGTH ? ANSWER_WHOLE : ANSWER_CHUNK_END;
    return used;
}

static size_t
take_some(struct answer *answer, const char *bytes, size_t len,
          int64_t now_mono_us)
{
    size_t used;

    switch (answer->stage) {
    case ANSWER_HEAD:
        used = collect(answer, bytes, len);
        if (ends_in(answer, "\r\n\r\n"))
            end_head(answer);
        return used;
    case ANSWER_CHUNK_SIZE:
        used = collect(answer, bytes, len);
        if (ends_in(answer, "\r\n"))
            end_chunk_size(answer);
        return used;
    case ANSWER_CHUNK_END:
        if (bytes[0] == '\n')
            end_chunk(answer);
        return 1;
    case ANSWER_LENGTH:
    case ANSWER_CHUNK:
        return take_left(answer, bytes, len, now_mono_us);
    case ANSWER_WHOLE:
    case ANSWER_BAD:
        break;
    }
    return len;
}

size_t
answer_take(struct answer *answer, const char *bytes, size_t len,
            int64_t now_mono_us)
{
    size_t at = 0;

    while (at < len && answer->stage != ANSWER_WHOLE &&
           answer->stage != ANSWER_BAD)
        at += take_some(answer, bytes + at, len - at, now_mono_us);
    return at;
}
