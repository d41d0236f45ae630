/* test_guard.c - keys, the providers' state, and the metrics' own table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guard/key.h"
#include "guard/provider.h"
#include "metrics.h"
#include "model/model.h"

static void
test_only_the_whole_key_matches(void **state)
{
    (void)state;
    assert_true(key_matches("0123456789abcdef", "0123456789abcdef"));
    assert_false(key_matches("0123456789abcdef", "0123456789abcdeX"));
    assert_false(key_matches("0123456789abcdef", "0123456789abcde"));
    assert_false(key_matches("0123456789abcdef", "0123456789abcdef0"));
    assert_false(key_matches("0123456789abcdef", ""));
    assert_false(key_matches("0123456789abcdef", NULL));
}

static void
test_failures_count_until_a_success(void **state)
{
    struct provider_view view;

    (void)state;
    assert_int_equal(provider_init(NULL), 0);
    assert_true(provider_look(MODEL_PRO).initialized);
    provider_note(MODEL_PRO, "IdleTimeout");
    provider_note(MODEL_PRO, "HttpError503");
    view = provider_look(MODEL_PRO);
    assert_int_equal(view.failure_count, 2);
    assert_string_equal(view.last_error, "HttpError503");
    assert_true(view.initialized);
    assert_true(view.last_attempt_unix_us > 0);
    assert_int_equal(provider_look(MODEL_FLASH).failure_count, 0);
    provider_note(MODEL_PRO, "");
    view = provider_look(MODEL_PRO);
    assert_int_equal(view.failure_count, 0);
    assert_string_equal(view.last_error, "");
}

static void
test_a_provider_that_does_not_let_us_in_is_not_initialized(void **state)
{
    (void)state;
    assert_int_equal(provider_init(NULL), 0);
    provider_note(MODEL_FLASH, "AuthError");
    assert_false(provider_look(MODEL_FLASH).initialized);
    provider_note(MODEL_FLASH, "");
    assert_true(provider_look(MODEL_FLASH).initialized);
}

static void
test_only_a_change_is_news(void **state)
{
    (void)state;
    assert_int_equal(provider_init(NULL), 0);
    assert_false(provider_note(MODEL_FLASH, ""));
    assert_true(provider_note(MODEL_FLASH, "ModelNotFound"));
    assert_false(provider_note(MODEL_FLASH, "ModelNotFound"));
    assert_true(provider_note(MODEL_PRO, "ModelNotFound"));
    assert_true(provider_note(MODEL_FLASH, "AuthError"));
    assert_true(provider_note(MODEL_FLASH, ""));
}

static void
test_what_somebody_can_mend_has_a_hint(void **state)
{
    (void)state;
    assert_non_null(strstr(provider_hint("ModelNotFound"), "LOCATION"));
    assert_non_null(strstr(provider_hint("AuthError"), "API key"));
    assert_null(provider_hint("HttpError503"));
    assert_null(provider_hint(""));
}

static void
test_a_long_class_is_cut_and_harmless(void **state)
{
    (void)state;
    assert_int_equal(provider_init(NULL), 0);
    provider_note(MODEL_FLASH,
                  "AClassNameThatIsMuchLongerThanThirtyTwoBytesCanHold");
    assert_int_equal(strlen(provider_look(MODEL_FLASH).last_error),
                     PROVIDER_CLASS_LEN - 1);
}

static void
test_every_error_class_has_its_own_series(void **state)
{
    const struct counters_family *errors = &metrics_families[METRICS_ERRORS];

    (void)state;
    assert_int_equal(errors->label_count, MODEL_ERROR_CLASS_COUNT + 1);
    for (size_t i = 0; i < MODEL_ERROR_CLASS_COUNT; i++) {
        char label[64];

        snprintf(label, sizeof(label), "class=\"%s\"", model_error_classes[i]);
        assert_string_equal(errors->labels[i], label);
    }
}

static void
test_metrics_land_in_the_right_series(void **state)
{
    struct counters *set;

    (void)state;
    metrics_count(METRICS_REQUESTS, METRICS_OUTCOME_OK); /* before: nothing */
    assert_int_equal(metrics_init(NULL), 0);
    set = metrics_counters();
    metrics_error(model_error_classes[3]);
    metrics_error("NoSuchClass");
    metrics_error("");
    assert_int_equal(counters_get(set, METRICS_ERRORS, 3), 1);
    assert_int_equal(counters_get(set, METRICS_ERRORS, MODEL_ERROR_CLASS_COUNT),
                     2);
    metrics_tokens(MODEL_PRO, METRICS_TOKENS_THOUGHT, 20);
    metrics_tokens(MODEL_PRO, METRICS_TOKENS_THOUGHT, -1);
    assert_int_equal(counters_get(set, METRICS_TOKENS, 5), 20);
    metrics_http(METRICS_ROUTE_HEALTH, 503, 100);
    metrics_http(METRICS_ROUTE_HEALTH, 418, 100);
    assert_int_equal(counters_get(set, METRICS_HTTP_REQUESTS, 15 + 14), 1);
    assert_int_equal(counters_get(set, METRICS_HTTP_REQUESTS, 15 + 13), 1);
    assert_non_null(
        strstr(metrics_families[METRICS_HTTP_REQUESTS].labels[15 + 14],
               "path=\"/health\",status=\"503\""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_whole_key_matches),
        cmocka_unit_test(test_failures_count_until_a_success),
        cmocka_unit_test(
            test_a_provider_that_does_not_let_us_in_is_not_initialized),
        cmocka_unit_test(test_only_a_change_is_news),
        cmocka_unit_test(test_what_somebody_can_mend_has_a_hint),
        cmocka_unit_test(test_a_long_class_is_cut_and_harmless),
        cmocka_unit_test(test_every_error_class_has_its_own_series),
        cmocka_unit_test(test_metrics_land_in_the_right_series),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
