/*
 * log - one JSON object per line, one write(2) per line.
 *
 *     {"ts":"2026-01-31T23:59:59.123456Z","level":"info","event":"run_finished",
 *      "pid":77,"role":"stream","slot":3,"generation":1,"run_id":"0197...",
 *      "msg":"run_id=0197... status=ok total_ms=2012"}
 *
 * (on one line).  msg repeats run_id= so that grep run_id=UUID finds a run's
 * life.  Bytes below 0x20, quotes and backslashes are escaped, so no value can
 * forge a line; a line is cut at 4 KiB.  errno is left as it was.
 *
 * A process serves one run at a time, so who it is and which run it serves are
 * process-wide.  Prompts, answers and secrets are never passed to this module.
 */
#ifndef SYS_LOG_H
#define SYS_LOG_H

#include "base/attr.h"
#include "base/err.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR
};

/* Lines go to fd (borrowed; 2 until this is called). */
void log_to_fd(int fd);

/* Opens path for appending and sends lines there; called again with the same
 * path it reopens the file after rotation.  -1 on ERR_SYSTEM. */
int log_to_file(const char *path, struct err *err) ATTR_MUST_CHECK;

void log_set_level(enum log_level level);

/* role is borrowed for ever (a literal); slot -1 leaves slot out. */
void log_set_process(const char *role, int slot, unsigned generation);

/* The run this process serves now; copied.  NULL for none. */
void log_set_run(const char *run_id);

/* event is one of a fixed vocabulary in snake_case; the format gives
 * key=value pairs in words an operator knows. */
void log_write(enum log_level level, const char *event, const char *fmt, ...)
    ATTR_PRINTF(3, 4);

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
