/* options.c - see options.h. */
#include "modelsim/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define SETTING_BYTES 256

const char options_help[] =
    "usage: modelsim [option ...]\n"
    "\n"
    "A simulated provider that speaks Gemini (Vertex AI and Developer API)\n"
    "and OpenAI chat completions.\n"
    "\n"
    "  --listen ADDRESS      IPv4 address to listen on (127.0.0.1)\n"
    "  --port NUMBER         TCP port; 0 lets the kernel choose (0)\n"
    "  --flash-delay-ms N    time to the first byte of Flash (300)\n"
    "  --pro-delay-ms N      time to the first byte of Pro (2000)\n"
    "  --chunk-ms N          time from chunk to chunk (40)\n"
    "  --chunks N            chunks of a streamed answer (8)\n"
    "  --flash-fault FAULT   how Flash fails (none)\n"
    "  --pro-fault FAULT     how Pro fails (none)\n"
    "  --set KEY=VALUE       any other setting; may be repeated\n"
    "  --api-key KEY         take this key and no other\n"
    "  --no-auth             take requests without credentials\n"
    "  --help                show this text\n"
    "  --version             show the version\n"
    "\n"
    "Settings, faults and the control path: modelsim(1).\n";

enum flag {
    FLAG_LISTEN = 256,
    FLAG_PORT,
    FLAG_FLASH_DELAY,
    FLAG_PRO_DELAY,
    FLAG_CHUNK_MS,
    FLAG_CHUNKS,
    FLAG_FLASH_FAULT,
    FLAG_PRO_FAULT,
    FLAG_SET,
    FLAG_API_KEY,
    FLAG_NO_AUTH,
    FLAG_HELP,
    FLAG_VERSION,
};

static const struct option flags[] = {
    { "listen", required_argument, NULL, FLAG_LISTEN },
    { "port", required_argument, NULL, FLAG_PORT },
    { "flash-delay-ms", required_argument, NULL, FLAG_FLASH_DELAY },
    { "pro-delay-ms", required_argument, NULL, FLAG_PRO_DELAY },
    { "chunk-ms", required_argument, NULL, FLAG_CHUNK_MS },
    { "chunks", required_argument, NULL, FLAG_CHUNKS },
    { "flash-fault", required_argument, NULL, FLAG_FLASH_FAULT },
    { "pro-fault", required_argument, NULL, FLAG_PRO_FAULT },
    { "set", required_argument, NULL, FLAG_SET },
    { "api-key", required_argument, NULL, FLAG_API_KEY },
    { "no-auth", no_argument, NULL, FLAG_NO_AUTH },
    { "help", no_argument, NULL, FLAG_HELP },
    { "version", no_argument, NULL, FLAG_VERSION },
    { NULL, 0, NULL, 0 },
};

static int
take_port(struct options *options, const char *value, struct err *err)
{
    int64_t port;

    if (str_to_int(value, 0, UINT16_MAX, &port) == -1)
        return err_set(err, ERR_INVALID, "--port is a number from 0 to %d",
                       UINT16_MAX);
    options->server.port = (uint16_t)port;
    return 0;
}

static int
take_setting(struct options *options, const char *pair, struct err *err)
{
    const char *value = strchr(pair, '=');
    char key[SETTING_BYTES];

    if (value == NULL || (size_t)(value - pair) >= sizeof(key))
        return err_set(err, ERR_INVALID, "--set takes KEY=VALUE");
    memcpy(key, pair, (size_t)(value - pair));
    key[value - pair] = '\0';
    return settings_apply(&options->provider.settings, key, value + 1, err);
}

static int
take_flag(struct options *options, int flag, const char *value, struct err *err)
{
    struct settings_all *settings = &options->provider.settings;

    switch (flag) {
    case FLAG_LISTEN:
        options->server.address = value;
        return 0;
    case FLAG_PORT:
        return take_port(options, value, err);
    case FLAG_FLASH_DELAY:
        return settings_apply(settings, "flash.delay_ms", value, err);
    case FLAG_PRO_DELAY:
        return settings_apply(settings, "pro.delay_ms", value, err);
    case FLAG_CHUNK_MS:
        return settings_apply(settings, "chunk_ms", value, err);
    case FLAG_CHUNKS:
        return settings_apply(settings, "chunks", value, err);
    case FLAG_FLASH_FAULT:
        return settings_apply(settings, "flash.fault", value, err);
    case FLAG_PRO_FAULT:
        return settings_apply(settings, "pro.fault", value, err);
    case FLAG_SET:
        return take_setting(options, value, err);
    case FLAG_API_KEY:
        options->provider.api_key = value;
        return 0;
    case FLAG_NO_AUTH:
        options->provider.needs_auth = false;
        return 0;
    case FLAG_HELP:
        options->wish = OPTIONS_HELP;
        return 0;
    case FLAG_VERSION:
        options->wish = OPTIONS_VERSION;
        return 0;
    default:
        return -1;
    }
}

int
options_parse(struct options *options, int argc, char **argv, struct err *err)
{
    int flag;

    *options = (struct options){
        .server = { .address = "127.0.0.1" },
        .provider = { .needs_auth = true },
    };
    settings_init(&options->provider.settings);
    opterr = 0;
    while ((flag = getopt_long(argc, argv, ":", flags, NULL)) != -1) {
        if (flag == ':')
            return err_set(err, ERR_INVALID, "%s needs a value",
                           argv[optind - 1]);
        if (flag == '?')
            return err_set(err, ERR_INVALID, "there is no option %s",
                           argv[optind - 1]);
        if (take_flag(options, flag, optarg, err) == -1)
            return -1;
    }
    if (optind < argc)
        return err_set(err, ERR_INVALID, "unexpected argument \"%.60s\"",
                       argv[optind]);
    return 0;
}
