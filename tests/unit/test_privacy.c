/* test_privacy.c - what a first redaction pass takes out, and what it leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guard/privacy.h"

struct sample {
    const char *in;
    const char *out;
};

static const struct sample samples[] = {
    /* e-mail */
    { "write jane.doe+news@example.co.uk.", "write [EMAIL]." },
    { "<a@b.co>", "<[EMAIL]>" },
    { "g\xc3\xb6k\xc3\xa7"
      "e@\xc3\xb6rnek.com.tr",
      "[EMAIL]" },
    { "user @ home, 5@6, @name", "user @ home, 5@6, @name" },
    /* phone */
    { "call me on +90 533 123 45 67 please", "call me on [PHONE] please" },
    { "+905331234567", "[PHONE]" },
    { "0533 123 45 67", "[PHONE]" },
    { "0(533) 123 45 67", "[PHONE]" },
    { "(212) 555-0187", "[PHONE]" },
    { "1-212-555-0187 ext. 42", "[PHONE]" },
    { "+44 (0)20 7946 0958", "[PHONE]" },
    { "020 7946 0958", "[PHONE]" },
    { "phone 555-1234", "phone [PHONE]" },
    { "Tel: 444 1 444", "Tel: [PHONE]" },
    { "555-1234", "555-1234" },
    { "444 1 444", "444 1 444" },
    { "meeting 10:30-11:45 tomorrow", "meeting 10:30-11:45 tomorrow" },
    { "born 02.11.1985", "born 02.11.1985" },
    { "on 2026-11-21 at 05:22", "on 2026-11-21 at 05:22" },
    { "3.14159265358979", "3.14159265358979" },
    { "1000000000000", "1000000000000" },
    /* social security number */
    { "SSN 123-45-6789", "SSN [SSN]" },
    { "social security number: 123456789", "social security number: [SSN]" },
    { "078-05-1120", "[SSN]" },
    { "000-12-3456", "000-12-3456" },
    /* record number */
    { "MRN: 00482913", "MRN: [MRN]" },
    { "Patient ID A-48291377 admitted", "Patient ID [MRN] admitted" },
    { "for the record no one came", "for the record no one came" },
    /* credentials */
    { "password=hunter2", "password=[CREDENTIAL]" },
    { "my password is hunter2.", "my password is [CREDENTIAL]" },
    { "API key: \"abc def\" ok", "API key: [CREDENTIAL] ok" },
    { "Authorization: Bearer abc.def-123_x",
      "Authorization: Bearer [CREDENTIAL]" },
    { "https://bob:s3cret@host.example/p",
      "https://[CREDENTIAL]@host.example/p" },
    { "passwords are hard", "passwords are hard" },
    { "the secret of success", "the secret of success" },
    { "the secret is out", "the secret is out" },
    { "my password is forgotten", "my password is forgotten" },
    /* nothing at all */
    { "", "" },
    { "why is the sky blue?", "why is the sky blue?" },
};

static struct privacy *privacy;

static int
set_up(void **state)
{
    (void)state;
    privacy = privacy_new(NULL);
    return privacy != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    privacy_free(privacy);
    return 0;
}

static void
test_every_sample_becomes_what_it_should(void **state)
{
    struct privacy_counts counts = { { 0 } };
    int wrong = 0;
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        assert_int_equal(privacy_redact_text(privacy, samples[i].in,
                                             strlen(samples[i].in), &out,
                                             &counts, NULL),
                         0);
        if (strcmp(buf_cstr(&out), samples[i].out) == 0)
            continue;
        print_error("'%s': want '%s', have '%s'\n", samples[i].in,
                    samples[i].out, buf_cstr(&out));
        wrong++;
    }
    assert_int_equal(wrong, 0);
    buf_close(&out);
}

static void
test_finds_are_counted_by_kind(void **state)
{
    static const char text[] = "a@b.co, c@d.co, SSN 123-45-6789, "
                               "+905331234567, MRN 00482913, pwd=12345";
    struct privacy_counts counts = { { 0 } };
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(
        privacy_redact_text(privacy, text, strlen(text), &out, &counts, NULL),
        0);
    assert_int_equal(counts.of[PRIVACY_EMAIL], 2);
    assert_int_equal(counts.of[PRIVACY_SSN], 1);
    assert_int_equal(counts.of[PRIVACY_PHONE], 1);
    assert_int_equal(counts.of[PRIVACY_MRN], 1);
    assert_int_equal(counts.of[PRIVACY_CREDENTIAL], 1);
    buf_close(&out);
}

static void
test_json_keeps_its_shape_and_loses_its_secrets(void **state)
{
    struct privacy_counts counts = { { 0 } };
    json_t *value = json_loads(
        "{\"mail\":\"a@b.co\",\"list\":[\"+905331234567\",7,null,true],"
        "\"login\":{\"Password\":\"x\",\"token\":[\"y\"],\"user\":\"bob\","
        "\"pin\":4711,\"db_password\":12345678},"
        "\"credentials\":{\"value\":\"hunter2\"},\"ssn\":123456789,"
        "\"phone\":5551234,\"year\":2026,\"ratio\":0.25,"
        "\"alice@example.com\":\"x\",\"my_secret\":null,"
        "\"note\":\"password=hunter2\"}",
        0, NULL);
    json_t *want =
        json_loads("{\"mail\":\"[EMAIL]\",\"list\":[\"[PHONE]\",7,null,true],"
                   "\"login\":{\"Password\":\"[CREDENTIAL]\","
                   "\"token\":\"[CREDENTIAL]\",\"user\":\"bob\","
                   "\"pin\":\"[CREDENTIAL]\",\"db_password\":\"[CREDENTIAL]\"},"
                   "\"credentials\":\"[CREDENTIAL]\",\"ssn\":\"[SSN]\","
                   "\"phone\":\"[PHONE]\",\"year\":2026,\"ratio\":0.25,"
                   "\"[EMAIL]\":\"x\",\"my_secret\":null,"
                   "\"note\":\"password=[CREDENTIAL]\"}",
                   0, NULL);
    json_t *redacted;

    (void)state;
    redacted = privacy_redact_json(privacy, value, &counts, NULL);
    if (!json_equal(redacted, want))
        fail_msg("%s", json_dumps(redacted, 0));
    assert_int_equal(counts.of[PRIVACY_CREDENTIAL], 6);
    json_decref(redacted);
    json_decref(value);
    json_decref(want);
}

static void
test_no_member_is_lost_because_its_name_is_redacted(void **state)
{
    struct privacy_counts counts = { { 0 } };
    json_t *value =
        json_loads("{\"alice@example.com\":\"a\",\"[EMAIL] 2\":\"b\","
                   "\"bob@example.com\":\"c\",\"[EMAIL]\":\"d\","
                   "\"deep\":{\"x@example.com\":1,\"y@example.com\":2}}",
                   0, NULL);
    json_t *want = json_loads(
        "{\"[EMAIL]\":\"a\",\"[EMAIL] 2\":\"b\",\"[EMAIL] 3\":\"c\","
        "\"[EMAIL] 4\":\"d\",\"deep\":{\"[EMAIL]\":1,\"[EMAIL] 2\":2}}",
        0, NULL);
    json_t *redacted;

    (void)state;
    redacted = privacy_redact_json(privacy, value, &counts, NULL);
    if (!json_equal(redacted, want))
        fail_msg("%s", json_dumps(redacted, 0));
    assert_int_equal(counts.of[PRIVACY_EMAIL], 4);
    json_decref(redacted);
    json_decref(value);
    json_decref(want);
}

/* A hostile text may be refused, but it must not hang or half pass. */
static void
test_a_long_hostile_text_is_done_or_refused_quickly(void **state)
{
    static const char *const pieces[] = { "a.", "1 ",   "a@", "password ",
                                          "0",  "+1 (", "x:/" };
    struct privacy_counts counts = { { 0 } };
    struct buf text;
    struct buf out;

    (void)state;
    buf_init(&text, 1000000);
    buf_init(&out, 10000000);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        buf_clear(&text);
        while (text.len < 200000)
            assert_int_equal(buf_append_str(&text, pieces[i]), BUF_OK);
        if (privacy_redact_text(privacy, text.bytes, text.len, &out, &counts,
                                NULL) == -1)
            assert_int_equal(out.len, 0);
    }
    buf_close(&text);
    buf_close(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sample_becomes_what_it_should),
        cmocka_unit_test(test_finds_are_counted_by_kind),
        cmocka_unit_test(test_json_keeps_its_shape_and_loses_its_secrets),
        cmocka_unit_test(test_no_member_is_lost_because_its_name_is_redacted),
        cmocka_unit_test(test_a_long_hostile_text_is_done_or_refused_quickly),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
