/* test_config.c - the option table as users meet it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"

static struct config *
load(char **environment, struct err *err)
{
    return config_load(NULL, environment, err);
}

static void
test_a_key_is_enough_and_the_rest_has_the_known_defaults(void **state)
{
    char key[] = "GEMINI_API_KEY=k";
    char *environment[] = { key, NULL };
    struct err err = { 0 };
    struct config *config = load(environment, &err);

    (void)state;
    assert_non_null(config);
    assert_int_equal(config->flash.timeout_ms, 5000);
    assert_int_equal(config->pro.timeout_ms, 45000);
    assert_int_equal(config->run_deadline_ms, 50000);
    assert_int_equal(config->heartbeat_ms, 1000);
    assert_string_equal(config->flash.model, "gemini-2.5-flash");
    assert_string_equal(config->pro.model, "gemini-2.5-pro");
    assert_int_equal(config->flash.provider, CONFIG_PROVIDER_GEMINI);
    assert_string_equal(config->pro.api_key, "k");
    config_free(config);
}

static void
test_without_any_provider_the_message_names_the_three_ways(void **state)
{
    char *environment[] = { NULL };
    struct err err = { 0 };

    (void)state;
    assert_null(load(environment, &err));
    assert_non_null(strstr(err.text, "PROJECT_ID"));
    assert_non_null(strstr(err.text, "GEMINI_API_KEY"));
    assert_non_null(strstr(err.text, "OPENAI_BASE_URL"));
}

static void
test_each_role_may_have_its_own_provider(void **state)
{
    char project[] = "PROJECT_ID=p";
    char pro[] = "PRO_PROVIDER=openai";
    char url[] = "OPENAI_BASE_URL=http://127.0.0.1:1/v1";
    char model[] = "PRO_MODEL=big";
    char own[] = "PRO_API_KEY=mine";
    char shared[] = "OPENAI_API_KEY=ours";
    char *environment[] = { project, pro, url, model, own, shared, NULL };
    struct err err = { 0 };
    struct config *config = load(environment, &err);

    (void)state;
    assert_non_null(config);
    assert_int_equal(config->flash.provider, CONFIG_PROVIDER_VERTEX);
    assert_int_equal(config->pro.provider, CONFIG_PROVIDER_OPENAI);
    assert_string_equal(config->pro.model, "big");
    assert_string_equal(config->pro.base_url, "http://127.0.0.1:1/v1");
    assert_string_equal(config->pro.api_key, "mine");
    assert_string_equal(config->flash.api_key, "");
    config_free(config);
}

struct mistake {
    const char *setting;
    const char *said; /* part of the message */
};

static void
test_settings_that_do_not_fit_together_are_refused(void **state)
{
    static const struct mistake mistakes[] = {
        { "ENABLE_AUTH=true", "API_KEY" },
        { "API_KEY=0123456789abcdef", "ENABLE_AUTH=true" },
        { "STREAM_WORKERS_MAX=2", "STREAM_WORKERS_MIN" },
        { "RUN_DEADLINE_S=3", "AUDIT_SHARE_S" },
        { "FLASH_TIMEOUT_MIN_S=11", "FLASH_TIMEOUT_MIN_S" },
        { "PRO_TIMEOUT_MAX_S=19", "PRO_TIMEOUT_MIN_S" },
        { "MODEL_RETRIES=6", "MODEL_RETRIES=6" },
        { "FLASH_TIMEOUT_S=nan", "FLASH_TIMEOUT_S=nan" },
        { "FLASH_TIMEOUT_S=-1", "FLASH_TIMEOUT_S=-1" },
        { "SSE_DEFAULT_EVENTS=all", "classic" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        char key[] = "GEMINI_API_KEY=k";
        char setting[64];
        char *environment[] = { key, setting, NULL };
        struct err err = { 0 };

        strcpy(setting, mistakes[i].setting);
        assert_null(load(environment, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        if (strstr(err.text, mistakes[i].said) == NULL)
            fail_msg("%s: %s", mistakes[i].setting, err.text);
    }
}

static void
test_a_dump_never_shows_a_secret(void **state)
{
    char key[] = "GEMINI_API_KEY=very-secret";
    char *environment[] = { key, NULL };
    struct config *config = load(environment, NULL);
    struct buf text;

    (void)state;
    assert_non_null(config);
    buf_init(&text, 100000);
    assert_int_equal(conf_dump(&config_table, config, &text, NULL), 0);
    assert_null(strstr(buf_cstr(&text), "very-secret"));
    assert_non_null(strstr(buf_cstr(&text), "GEMINI_API_KEY=***"));
    buf_close(&text);
    config_free(config);
}

static void
test_urls_of_databases_are_checked_and_never_quoted(void **state)
{
    static const struct {
        const char *writer;
        const char *reader;
        const char *said; /* NULL: they are fine */
    } cases[] = {
        { "DATABASE_URL=postgresql://joe:hunter2@db/x", "X=", NULL },
        { "DATABASE_URL=host=db password=hunter2",
          "DATABASE_READER_URL=postgresql://ann:hunter2@a,b:5433/x", NULL },
        { "DATABASE_URL=postgresql://joe:hunter2@[", "X=", "DATABASE_URL" },
        { "DATABASE_URL=mysql://joe:hunter2@db/x", "X=", "DATABASE_URL" },
        { "DATABASE_URL=postgresql://db/x",
          "DATABASE_READER_URL=postgresql://ann:hunter2@db/x?no=1",
          "DATABASE_READER_URL" },
        { "X=", "DATABASE_READER_URL=postgresql://db/x",
          "DATABASE_URL is not" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char key[] = "GEMINI_API_KEY=k";
        char *environment[] = { key, strdup(cases[i].writer),
                                strdup(cases[i].reader), NULL };
        struct err err = { 0 };
        struct config *config = load(environment, &err);

        assert_int_equal(config != NULL, cases[i].said == NULL);
        if (cases[i].said != NULL)
            assert_non_null(strstr(err.text, cases[i].said));
        else
            assert_string_equal(config_reader_url(config),
                                strchr(environment[i == 0 ? 1 : 2], '=') + 1);
        assert_null(strstr(err.text, "hunter2"));
        config_free(config);
        free(environment[1]);
        free(environment[2]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_a_key_is_enough_and_the_rest_has_the_known_defaults),
        cmocka_unit_test(
            test_without_any_provider_the_message_names_the_three_ways),
        cmocka_unit_test(test_each_role_may_have_its_own_provider),
        cmocka_unit_test(test_settings_that_do_not_fit_together_are_refused),
        cmocka_unit_test(test_a_dump_never_shows_a_secret),
        cmocka_unit_test(test_urls_of_databases_are_checked_and_never_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
