/* A seqpacket socket is the log here: each write(2) arrives as one packet. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "sys/log.h"

#define RUN_ID "01970000-1111-7222-8333-444455556666"

static int ends[2];
static char line[8192];
static size_t line_len;

static int
set_up(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_INFO);
    log_set_process(NULL, -1, 0);
    log_set_run(NULL);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == -1)
        return -1;
    log_to_fd(ends[0]);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    log_to_fd(STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static bool
next_line(void)
{
    const ssize_t len = recv(ends[1], line, sizeof(line) - 1, 0);

    if (len <= 0)
        return false;
    line_len = (size_t)len;
    line[line_len] = '\0';
    return true;
}

/* The next line as an object; Jansson refuses invalid UTF-8. */
static json_t *
next_object(void)
{
    json_error_t error;
    json_t *object;

    assert_true(next_line());
    assert_int_equal(line[line_len - 1], '\n');
    assert_ptr_equal(memchr(line, '\n', line_len), line + line_len - 1);
    object = json_loadb(line, line_len, JSON_ALLOW_NUL, &error);
    if (object == NULL)
        fail_msg("%s: %s", error.text, line);
    assert_true(json_is_object(object));
    return object;
}

static const char *
text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void
assert_next_message(const char *expected)
{
    json_t *object = next_object();

    assert_string_equal(text_of(object, "msg"), expected);
    json_decref(object);
}

static void
test_a_line_says_when_who_and_what(void **state)
{
    json_t *object;

    (void)state;
    log_set_process("stream", 3, 2);
    log_warn("run_finished", "status=%s total_ms=%d", "ok", 2012);
    object = next_object();
    assert_int_equal(strlen(text_of(object, "ts")), 27);
    assert_string_equal(text_of(object, "level"), "warning");
    assert_string_equal(text_of(object, "event"), "run_finished");
    assert_string_equal(text_of(object, "role"), "stream");
    assert_string_equal(text_of(object, "msg"), "status=ok total_ms=2012");
    assert_int_equal(json_integer_value(json_object_get(object, "pid")),
                     getpid());
    assert_int_equal(json_integer_value(json_object_get(object, "slot")), 3);
    assert_int_equal(json_integer_value(json_object_get(object, "generation")),
                     2);
    assert_null(json_object_get(object, "run_id"));
    json_decref(object);
}

static void
test_what_is_not_known_is_left_out(void **state)
{
    json_t *object;

    (void)state;
    log_set_process("master", -1, 1);
    log_info("started", "x");
    object = next_object();
    assert_null(json_object_get(object, "slot"));
    assert_non_null(json_object_get(object, "generation"));
    json_decref(object);
}

static void
test_a_run_stands_in_its_member_and_in_front_of_the_message(void **state)
{
    char id[] = RUN_ID;
    json_t *object;

    (void)state;
    log_set_run(id);
    memset(id, 'x', sizeof(id) - 1); /* it was copied */
    log_info("run_begun", "a=%d", 1);
    object = next_object();
    assert_string_equal(text_of(object, "run_id"), RUN_ID);
    assert_string_equal(text_of(object, "msg"), "run_id=" RUN_ID " a=1");
    json_decref(object);
    log_set_run(NULL);
    log_info("idle", "a=2");
    assert_next_message("a=2");
}

static void
test_no_value_can_forge_a_line(void **state)
{
    (void)state;
    log_info("x", "path=%s", "\"}\n{\"level\":\"error\\\"\r\t\x1b[0m\x7f");
    assert_next_message("path=\"}\n{\"level\":\"error\\\"\r\t\x1b[0m\x7f");
    assert_null(strchr(line, '\x1b'));
    assert_null(strchr(line, '\x7f'));
    assert_false(next_line());
}

static void
test_good_utf8_is_kept_and_bad_bytes_are_escaped(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        { "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xed\x9f\xbf",
          "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xed\x9f\xbf\"" },
        { "a\x80z", "\"a\\u0080z\"" },
        { "a\xff", "\"a\\u00ff\"" },
        { "\xc0\xaf", "\"\\u00c0\\u00af\"" },
        { "\xe0\x80\xaf", "\"\\u00e0\\u0080\\u00af\"" },
        { "\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\"" },
        { "\xf4\x90\x80\x80", "\"\\u00f4\\u0090\\u0080\\u0080\"" },
        { "cut \xe2\x82", "\"cut \\u00e2\\u0082\"" },
        { "cut \xe2", "\"cut \\u00e2\"" },
        { "\xe2\x82z", "\"\\u00e2\\u0082z\"" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        log_info("x", "%s", cases[i].text);
        json_decref(next_object());
        assert_non_null(strstr(line, cases[i].shown));
    }
}

/* Every length around the limit, so that a cut falls on every byte. */
static void
assert_cut_well(const char *unit)
{
    static char text[8192];
    size_t longest = 0;

    for (size_t len = 3000; len < 4300; len++) {
        const size_t unit_len = strlen(unit);
        const size_t offset = len % unit_len;

        memset(text, 'a', offset);
        for (size_t i = offset; i < len; i += unit_len)
            memcpy(text + i, unit, unit_len + 1);
        log_info("x", "%s", text);
        json_decref(next_object());
        assert_in_range(line_len, 3000, 4096);
        assert_null(strstr(line, "\\u00e2"));
        assert_null(strstr(line, "\\u00f0"));
        longest = line_len > longest ? line_len : longest;
    }
    assert_in_range(longest, 4096 - 6, 4096);
}

static void
test_a_line_too_long_is_cut_between_characters(void **state)
{
    (void)state;
    log_set_run(RUN_ID);
    assert_cut_well("a");
    assert_cut_well("\"");
    assert_cut_well("\x01");
    assert_cut_well("\xe2\x82\xac");
    assert_cut_well("\xf0\x9f\x98\x80");
}

static void
test_an_endless_event_or_role_cannot_break_the_line(void **state)
{
    static char name[6000];

    (void)state;
    memset(name, '\x02', sizeof(name) - 1);
    log_set_process(name, 1, 1);
    log_set_run(name);
    log_info(name, "%s", name);
    json_decref(next_object());
    assert_in_range(line_len, 1, 4096);
}

static void
test_lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    log_debug("x", "no");
    log_info("x", "yes");
    log_set_level(LOG_LEVEL_ERROR);
    log_warn("x", "no");
    log_error("x", "yes");
    assert_next_message("yes");
    assert_next_message("yes");
    assert_false(next_line());
}

static void
test_errno_is_left_as_it_was(void **state)
{
    (void)state;
    log_to_fd(-1);
    errno = EDOM;
    log_info("x", "to nowhere");
    assert_int_equal(errno, EDOM);
}

static off_t
size_of(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? info.st_size : -1;
}

static void
test_a_log_file_is_appended_to_and_reopened_after_rotation(void **state)
{
    char folder[] = "/tmp/test_log.XXXXXX";
    char path[64];
    char rotated[64];
    struct err err = { 0 };
    off_t size;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(rotated, sizeof(rotated), "%s/log.1", folder);
    assert_int_equal(log_to_file(path, &err), 0);
    log_info("x", "one");
    size = size_of(path);
    assert_in_range(size, 1, 4096);
    assert_int_equal(log_to_file(path, &err), 0);
    log_info("x", "two");
    assert_int_equal(size_of(path), 2 * size);

    assert_int_equal(rename(path, rotated), 0);
    assert_int_equal(log_to_file(path, &err), 0);
    log_info("x", "new");
    assert_int_equal(size_of(path), size);
    assert_int_equal(size_of(rotated), 2 * size);

    unlink(path);
    unlink(rotated);
    rmdir(folder);
}

static void
test_a_log_file_that_cannot_be_opened_changes_nothing(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(log_to_file("/nonexistent/folder/log", &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    log_info("x", "still here");
    assert_next_message("still here");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_line_says_when_who_and_what),
        TEST(test_what_is_not_known_is_left_out),
        TEST(test_a_run_stands_in_its_member_and_in_front_of_the_message),
        TEST(test_no_value_can_forge_a_line),
        TEST(test_good_utf8_is_kept_and_bad_bytes_are_escaped),
        TEST(test_a_line_too_long_is_cut_between_characters),
        TEST(test_an_endless_event_or_role_cannot_break_the_line),
        TEST(test_lines_below_the_level_are_not_written),
        TEST(test_errno_is_left_as_it_was),
        TEST(test_a_log_file_is_appended_to_and_reopened_after_rotation),
        TEST(test_a_log_file_that_cannot_be_opened_changes_nothing),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
