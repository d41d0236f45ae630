/* log.c - see log.h.  A line is built in a buffer of fixed size, with room
 * for its end kept back, so that a line that is cut is still a whole object. */
#include "sys/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "sys/fd.h"

#define LINE_BYTES  4096 /* PIPE_BUF: larger writes to a pipe may interleave */
#define NAME_BYTES  256  /* an event or role, escaped */
#define RUN_ID_SIZE 64
#define END_OF_LINE "\"}\n"

struct line {
    char bytes[LINE_BYTES];
    size_t len;
};

static struct {
    int fd;
    int file_fd; /* owned; -1 when fd was given by the caller */
    enum log_level level;
    const char *role;
    int slot;
    unsigned generation;
    char run_id[RUN_ID_SIZE]; /* "" for none */
} state = {
    .fd = STDERR_FILENO, .file_fd = -1, .level = LOG_LEVEL_INFO, .slot = -1
};

void
log_to_fd(int fd)
{
    state.fd = fd;
    fd_close(&state.file_fd);
}

int
log_to_file(const char *path, struct err *err)
{
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    if (fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot open log %s", path);
    log_to_fd(fd);
    state.file_fd = fd;
    return 0;
}

void
log_set_level(enum log_level level)
{
    state.level = level;
}

void
log_set_process(const char *role, int slot, unsigned generation)
{
    state.role = role;
    state.slot = slot;
    state.generation = generation;
}

void
log_set_run(const char *run_id)
{
    snprintf(state.run_id, sizeof(state.run_id), "%s",
             run_id != NULL ? run_id : "");
}

/* Length of the valid UTF-8 sequence at text, 0 when it is none. */
static size_t
utf8_sequence_len(const unsigned char *text, size_t len)
{
    static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned code;
    size_t need;

    if (text[0] < 0x80)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    need = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (need > len)
        return 0;
    code = text[0] & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    if (code < least[need] || code > 0x10ffff ||
        (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return need;
}

/* One character, or one byte that is none, as it stands in a JSON string.
 * Returns how much of text that was. */
static size_t
escape_one(const unsigned char *text, size_t len, char escaped[8])
{
    const size_t sequence_len = utf8_sequence_len(text, len);

    if (sequence_len == 0 || text[0] < 0x20 || text[0] == 0x7f)
        snprintf(escaped, 8, "\\u%04x", text[0]);
    else if (text[0] == '"' || text[0] == '\\')
        snprintf(escaped, 8, "\\%c", text[0]);
    else
        snprintf(escaped, 8, "%.*s", (int)sequence_len, (const char *)text);
    return sequence_len == 0 ? 1 : sequence_len;
}

/* How much of text stands in a JSON string as it is. */
static size_t
plain_len(const unsigned char *text, size_t len)
{
    size_t i = 0;

    while (i < len && text[i] >= 0x20 && text[i] < 0x7f && text[i] != '"' &&
           text[i] != '\\')
        i++;
    return i;
}

static void
add_bytes(struct line *line, const void *bytes, size_t len)
{
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

/* Appends whole characters while the line stays within max_len. */
static void
add_escaped(struct line *line, const char *text, size_t max_len)
{
    const unsigned char *next = (const unsigned char *)text;
    size_t left = strlen(text);

    while (left > 0) {
        const size_t room = max_len - line->len;
        size_t used = plain_len(next, left < room ? left : room);

        if (used > 0) {
            add_bytes(line, next, used);
        } else {
            char escaped[8];

            used = escape_one(next, left, escaped);
            if (strlen(escaped) > room)
                return;
            add_bytes(line, escaped, strlen(escaped));
        }
        next += used;
        left -= used;
    }
}

/* For what is short by construction. */
static void
add(struct line *line, const char *text)
{
    add_bytes(line, text, strlen(text));
}

static void
add_name(struct line *line, const char *key, const char *name)
{
    add(line, ",\"");
    add(line, key);
    add(line, "\":\"");
    add_escaped(line, name, line->len + NAME_BYTES);
    add(line, "\"");
}

static void
add_number(struct line *line, const char *key, int64_t value)
{
    char text[STR_INT_SIZE];

    str_from_int(value, text);
    add(line, ",\"");
    add(line, key);
    add(line, "\":");
    add(line, text);
}

static void
add_who(struct line *line)
{
    add_number(line, "pid", getpid());
    if (state.role != NULL)
        add_name(line, "role", state.role);
    if (state.slot != -1)
        add_number(line, "slot", state.slot);
    if (state.role != NULL)
        add_number(line, "generation", state.generation);
    if (state.run_id[0] != '\0')
        add_name(line, "run_id", state.run_id);
}

static void
add_message(struct line *line, const char *message)
{
    const size_t max_len = sizeof(line->bytes) - strlen(END_OF_LINE);

    add(line, ",\"msg\":\"");
    if (state.run_id[0] != '\0') {
        add(line, "run_id=");
        add_escaped(line, state.run_id, max_len);
        add(line, " ");
    }
    add_escaped(line, message, max_len);
    add_bytes(line, END_OF_LINE, strlen(END_OF_LINE));
}

static const char *
level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_DEBUG:
        return "debug";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_ERROR:
        break;
    }
    return "error";
}

void
log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    const int saved = errno;
    char message[LINE_BYTES] = ""; /* so that only the line cuts it */
    char now[CLOCK_UTC_LEN];
    struct line line = { .len = 0 };
    va_list args;

    if (level < state.level)
        return;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);

    clock_format_utc(clock_unix_us(), now);
    add(&line, "{\"ts\":\"");
    add(&line, now);
    add(&line, "\"");
    add_name(&line, "level", level_name(level));
    add_name(&line, "event", event);
    add_who(&line);
    add_message(&line, message);
    while (write(state.fd, line.bytes, line.len) == -1 && errno == EINTR)
        continue;
    errno = saved;
}
