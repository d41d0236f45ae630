/* Tests for lib/gate/fcgi_wire.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "gate/fcgi_wire.h"

#define MAX_BYTES (1 << 20)

static const struct fcgi_wire_param short_params[] = {
    { "A", "bc" },
    { "LEFT_OUT", NULL },
};

static int
request(struct buf *out, size_t max_bytes, size_t body_len, struct err *err)
{
    static char body[200000];

    memset(body, 'b', sizeof(body));
    buf_init(out, max_bytes);
    return fcgi_wire_request(
        out,
        &(struct fcgi_wire_request){ .params = short_params,
                                     .param_count = ARRAY_LEN(short_params),
                                     .body = body,
                                     .body_len = body_len },
        err);
}

static void
test_a_short_request_is_these_bytes(void **state)
{
    static const char whole[] = "\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0"
                                "\1\4\0\1\0\5\0\0\1\2Abc\1\4\0\1\0\0\0\0"
                                "\1\5\0\1\0\1\0\0b\1\5\0\1\0\0\0\0";
    struct buf out;

    (void)state;
    assert_int_equal(request(&out, MAX_BYTES, 1, NULL), 0);
    assert_int_equal(out.len, sizeof(whole) - 1);
    assert_memory_equal(out.bytes, whole, out.len);
    buf_close(&out);
}

static void
test_a_long_body_is_cut_into_records(void **state)
{
    static const size_t lens[] = { 8, 5, 0 }; /* what is before it */
    struct fcgi_wire_record record;
    size_t left = 200000;
    struct buf out;

    (void)state;
    assert_int_equal(request(&out, MAX_BYTES, left, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        assert_int_equal(fcgi_wire_look(&out, &record), FCGI_WIRE_RECORD);
        assert_int_equal(record.len, lens[i]);
        fcgi_wire_pass(&out, &record);
    }
    do {
        assert_int_equal(fcgi_wire_look(&out, &record), FCGI_WIRE_RECORD);
        assert_true(record.len <= left);
        left -= record.len;
        fcgi_wire_pass(&out, &record);
    } while (record.len > 0);
    assert_int_equal(left, 0);
    assert_int_equal(out.len, 0);
    buf_close(&out);
}

static void
test_what_is_too_long_is_told(void **state)
{
    static char value[FCGI_WIRE_MAX_PARAMS_BYTES + 1];
    const struct fcgi_wire_param param = { "A", value };
    struct err err = { 0 };
    struct buf out;

    (void)state;
    assert_int_equal(request(&out, 1000, 1000, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    buf_close(&out);

    memset(value, 'v', sizeof(value) - 1);
    err = (struct err){ 0 };
    buf_init(&out, MAX_BYTES);
    assert_int_equal(fcgi_wire_request(&out,
                                       &(struct fcgi_wire_request){
                                           .params = &param, .param_count = 1 },
                                       &err),
                     -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    buf_close(&out);
}

static void
test_an_answer_is_read_record_by_record_however_it_comes(void **state)
{
    static const char said[] = "\1\6\0\1\0\3\5\0abc....." /* padding */
                               "\1\7\0\1\0\2\0\0no"
                               "\1\3\0\1\0\10\0\0\0\0\0\0\0\0\0\0";
    static const enum fcgi_wire_kind kinds[] = { FCGI_WIRE_OUTPUT,
                                                 FCGI_WIRE_OTHER,
                                                 FCGI_WIRE_END };
    struct fcgi_wire_record record;
    size_t count = 0;
    struct buf in;

    (void)state;
    buf_init(&in, MAX_BYTES);
    for (size_t i = 0; i < sizeof(said) - 1; i++) {
        assert_int_equal(fcgi_wire_look(&in, &record), FCGI_WIRE_MORE);
        assert_int_equal(buf_append(&in, said + i, 1), BUF_OK);
        if (fcgi_wire_look(&in, &record) != FCGI_WIRE_RECORD)
            continue;
        assert_int_equal(record.kind, kinds[count++]);
        if (record.kind == FCGI_WIRE_OUTPUT)
            assert_memory_equal(record.bytes, "abc", record.len);
        fcgi_wire_pass(&in, &record);
    }
    assert_int_equal(count, ARRAY_LEN(kinds));
    buf_close(&in);
}

static void
test_another_language_is_bad(void **state)
{
    struct fcgi_wire_record record;
    struct buf in;

    (void)state;
    buf_init(&in, MAX_BYTES);
    assert_int_equal(buf_append_str(&in, "HTTP/1.1 200 OK"), BUF_OK);
    assert_int_equal(fcgi_wire_look(&in, &record), FCGI_WIRE_BAD);
    buf_close(&in);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_short_request_is_these_bytes),
        cmocka_unit_test(test_a_long_body_is_cut_into_records),
        cmocka_unit_test(test_what_is_too_long_is_told),
        cmocka_unit_test(
            test_an_answer_is_read_record_by_record_however_it_comes),
        cmocka_unit_test(test_another_language_is_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
