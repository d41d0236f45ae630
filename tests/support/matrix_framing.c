/* matrix_framing.c - groups A and B of matrix.h: bytes, lines, JSON, Unicode.
 */
#include "support/matrix.h"

#include "base/str.h"

#define GOOD \
    TEXT("Once ") TEXT("upon ") TEXT("a ") TEXT("ti") LAST("me.", "STOP")
#define ONCE COMPLETE, .text = "Once upon a time.", .finish = "STOP"

#define LF_TEXT(t) \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" t "\"}]}}]" \
    "}"
#define LF_LAST(t) \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" t \
    "\"}]},\"finishReason\":\"STOP\"}]}"
#define AB COMPLETE, .text = "ab", .finish = "STOP"

#define WITH_NUL LF_TEXT("a") E "data: {\"x\":\"\0\"}" E LF_LAST("b") E
#define GZIP     "\x1f\x8b\x08\x00\x01\x02"

static const struct matrix_case framing[] = {
    { .number = "A1", .dialect = GEMINI, .reply = { .bytes = GOOD, ONCE } },
    { .number = "A2",
      .dialect = GEMINI,
      .reply = { .bytes = GOOD, ONCE } }, /* all cases are cut so */
    { .number = "A3", .dialect = GEMINI, .reply = { .bytes = GOOD, ONCE } },
    { .number = "A4",
      .dialect = GEMINI,
      .reply = { .bytes = LF_TEXT("a") "\n\n" LF_LAST("b") "\n\n", AB } },
    { .number = "A5",
      .dialect = GEMINI,
      .reply = { .bytes = LF_TEXT("a") "\r\r" LF_LAST("b") "\r\r", AB } },
    { .number = "A6", /* every cut in two is among those that are tried */
      .dialect = GEMINI,
      .reply = { .bytes =
                     "data: {\"candidates\":[{\"content\":{\"parts\":\r\n"
                     "data: "
                     "[{\"text\":\"ab\"}]},\"finishReason\":\"STOP\"}]}\r\n"
                     "\r\n",
                 AB } },
    { .number = "A7",
      .dialect = GEMINI,
      .reply = { .bytes = LF_TEXT("a") "\n\r\n" LF_LAST("b") "\r\n\n", AB } },
    { .number = "A8",
      .dialect = GEMINI,
      .reply = { .bytes = "\xef\xbb\xbf" GOOD, ONCE } },
    { .number = "A9",
      .dialect = GEMINI,
      .reply = { .bytes =
                     "data:{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                     "\"a\"}]}}]}\n\n"
                     "data:  "
                     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                     "\"b\"}]},\"finishReason\":\"STOP\"}]}\n\n",
                 AB } },
    { .number = "A10",
      .dialect = GEMINI,
      .reply = { .bytes =
                     "data: {\ndata:   \"candidates\": [\ndata: {\"content\":\n"
                     "data: {\"parts\":[{\"text\":\"ab\"}]},\n"
                     "data: \"finishReason\":\"STOP\"}]\ndata: }\n\n",
                 AB } },
    { .number = "A11",
      .dialect = GEMINI,
      .reply = { .bytes = ":\n\n: ping\n\n" LF_TEXT(
                     "a") "\n:keepalive\n\n:\n" LF_LAST("b") "\n\n",
                 AB },
      .also = "unit/test_model_clocks.c:test_comments_reset_the_idle_clock" },
    { .number = "A11",
      .dialect = GEMINI,
      .reply = { .bytes = ": ping\n\n: ping\n\n",
                 .transport = HTTP_TIMEOUT_FIRST,
                 TIMED_OUT(FAILURE_FIRST_TOKEN_TIMEOUT) },
      .also = "unit/test_model_clocks.c:"
              "test_comments_do_not_stop_the_first_token_clock" },
    { .number = "A12",
      .dialect = GEMINI,
      .reply = { .bytes = "data:\n\n" LF_TEXT(
                     "a") "\n\nevent: ping\n\ndata: \n\n" LF_LAST("b") "\n\n",
                 AB } },
    { .number = "A13",
      .dialect = GEMINI,
      .reply = { .bytes = "id: 7\nretry: 3000\nretry: x\nfoo: bar\n" LF_LAST(
                     "ab") "\n\n",
                 AB } },
    { .number = "A14",
      .dialect = GEMINI,
      .reply = { .bytes = "data\n\n" LF_LAST("ab") "\ndata\n\n", AB } },
    { .number = "A15",
      .dialect = GEMINI,
      .reply = { .bytes = LF_TEXT("a") E LF_LAST("b"), AB } },
    { .number = "A15",
      .dialect = GEMINI,
      .reply = { .bytes = LF_TEXT("a") E LF_LAST("b") "\r\n", AB } },
    { .number = "A16",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") "data: {\"candidates\":[{\"fini",
                 TRUNCATED,
                 .text = "a" } },
    { .number = "A16",
      .dialect = GEMINI,
      .reply = { .bytes =
                     LAST("a", "STOP") COUNTED "data: {\"candidates\":[{\"co",
                 TRUNCATED,
                 .text = "a",
                 .finish = "STOP" } },
    { .number = "A17",
      .dialect = OPENAI,
      .reply = { .bytes = SAY("a") STOP "data: [DONE]",
                 COMPLETE,
                 .text = "a",
                 .finish = "stop" } },
    { .number = "A18",
      .dialect = OPENAI,
      .reply = { .bytes =
                     SAY("a") STOP DONE SAY("b") "data: junk\n\nerror: x\n\n",
                 COMPLETE,
                 .text = "a",
                 .finish = "stop",
                 .marks = "trails" } },
    { .number = "A18", /* a sign of life is no text */
      .dialect = OPENAI,
      .reply = { .bytes = SAY("a") STOP DONE ": bye\n\n\n",
                 COMPLETE,
                 .text = "a",
                 .finish = "stop" } },
    { .number = "A19",
      .dialect = GEMINI,
      .reply = { .bytes = "data: "
                          "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                          "\"ab\"},{\"inlineData\":{\"mimeType\":\"image/png\","
                          "\"data\":\"",
                 AB },
      .fill = "iVBORw0KGgoAAAAN",
      .fill_count = (5u << 20) / 16,
      .twin_count = 20,
      .tail = "\"}}]},\"finishReason\":\"STOP\"}]}" E },
    { .number = "A20",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") "data: {\"x\":\"", MALFORMED, .text = "a" },
      .fill = "iVBORw0KGgoAAAAN",
      .fill_count = (9u << 20) / 16,
      .tail = "\"}" E LF_LAST("b") E,
      .also = "unit/test_sse_stream.c:test_lines_and_events_have_a_maximum" },
    { .number = "A21",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a"), AB },
      .fill = "data: {}\n\n",
      .fill_count = 100000,
      .twin_count = 40,
      .tail = LF_LAST("b") E,
      .also = "unit/test_sse_stream.c:"
              "test_a_hundred_thousand_events_take_linear_time" },
    { .number = "A22",
      .dialect = GEMINI,
      .reply = { .bytes = WITH_NUL,
                 .len = sizeof(WITH_NUL) - 1,
                 MALFORMED,
                 .text = "a" } },
    { .number = "A23",
      .dialect = GEMINI,
      .reply = { .bytes = GOOD, ONCE },
      .also = "unit/test_model.c:test_the_content_type_decides_nothing" },
    { .number = "A24",
      .dialect = GEMINI,
      .reply = { .bytes = GOOD, ONCE },
      .also = "unit/test_model.c:test_the_content_type_decides_nothing" },
    { .number = "A25", .dialect = GEMINI, .reply = { .bytes = "", TRUNCATED } },
    { .number = "A25", .dialect = OPENAI, .reply = { .bytes = "", TRUNCATED } },
    { .number = "A26",
      .dialect = GEMINI,
      .reply = { .bytes = GZIP, .len = sizeof(GZIP) - 1, MALFORMED } },
};

/* ---- B ------------------------------------------------------------------ */

#define FFFD   "\xef\xbf\xbd"
#define SMILEY "\xf0\x9f\x98\x80"
#define CJK    "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c"
#define ACCENT "\xcc\x81"
#define RTL    "\xe2\x80\x8f"
#define LS_PS  "\xe2\x80\xa8\xe2\x80\xa9"
#define FULL   1000000000000 /* where counts are clamped */

static const struct matrix_case unicode[] = {
    { .number = "B1",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a" SMILEY "b", "STOP"),
                 COMPLETE,
                 .text = "a" SMILEY "b",
                 .finish = "STOP" } },
    { .number = "B2",
      .dialect = GEMINI,
      .reply = { .bytes = LAST(CJK, "STOP"),
                 COMPLETE,
                 .text = CJK,
                 .finish = "STOP" } },
    { .number = "B3",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("\\ud83d\\ude00", "STOP"),
                 COMPLETE,
                 .text = SMILEY,
                 .finish = "STOP" } },
    { .number = "B4",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a\\ud83d") LAST("b", "STOP"),
                 COMPLETE,
                 .text = "a" FFFD "b",
                 .finish = "STOP",
                 .marks = "cleaned" } },
    { .number = "B5",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("\\ud83d") LAST("\\ude00", "STOP"),
                 COMPLETE,
                 .text = FFFD FFFD,
                 .finish = "STOP",
                 .marks = "cleaned" } },
    { .number = "B6",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a\xff") LAST("b", "STOP"),
                 COMPLETE,
                 .text = "a" FFFD "b",
                 .finish = "STOP",
                 .marks = "cleaned" } },
    { .number = "B7",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("a\\u0000b", "STOP"),
                 COMPLETE,
                 .text = "a" FFFD "b",
                 .finish = "STOP",
                 .marks = "cleaned" } },
    { .number =
          "B8", /* every text is written as an event of ours and read back */
      .dialect = GEMINI,
      .reply = { .bytes =
                     LAST("a\\nb\\r\\n\\r\\ndata: x\\n\\nevent: done</script>",
                          "STOP"),
                 COMPLETE,
                 .text = "a\nb\r\n\r\ndata: x\n\nevent: done</script>",
                 .finish = "STOP" } },
    { .number = "B9",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("e") LAST(ACCENT RTL LS_PS, "STOP"),
                 COMPLETE,
                 .text = "e" ACCENT RTL LS_PS,
                 .finish = "STOP" } },
    { .number = "B10",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("ab", "STOP") COUNTS(
                     "\"promptTokenCount\":\"12\",\"candidatesTokenCount\":12."
                     "5,"
                     "\"thoughtsTokenCount\":-3,\"totalTokenCount\":12.0"),
                 AB,
                 USAGE(12, 12, 0, 0, 12) } },
    { .number = "B10",
      .dialect = GEMINI,
      .reply = { .bytes = LAST("ab", "STOP")
                     COUNTS("\"promptTokenCount\":9223372036854775808,"
                            "\"totalTokenCount\":99999999999999999999999999"),
                 AB,
                 USAGE(FULL, 0, 0, 0, FULL) } },
    { .number = "B10",
      .dialect = OPENAI,
      .reply = { .bytes = SAY("ab") STOP
                 "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-1e400}}\n"
                 "\n" DONE,
                 MALFORMED, /* no number at all */
                 .text = "ab",
                 .finish = "stop" } },
    { .number = "B11",
      .dialect = GEMINI,
      .reply = { .bytes = TEXT("a") "data: {\"x\":", MALFORMED, .text = "a" },
      .fill = "[",
      .fill_count = 3000,
      .twin_count = 3000,
      .tail = E LF_LAST("b") E },
    { .number = "B12",
      .dialect = GEMINI,
      .reply = { .bytes =
                     PARTS("{\"text\":\"x\",\"text\":\"a\"}") LAST("b", "STOP"),
                 AB } },
    { .number = "B13",
      .dialect = GEMINI,
      .reply = { .bytes =
                     "data: null" E "data: []" E "data: \"x\"" E "data: 42" E,
                 TRUNCATED } },
    { .number = "B13",
      .dialect = GEMINI,
      .reply = { .bytes =
                     "data: null" E TEXT("a") "data: 42" E LAST("b", "STOP"),
                 AB } },
    { .number = "B14",
      .dialect = GEMINI,
      .reply = { .bytes =
                     TEXT("a") "data: {\"candidates\":]}" E LAST("b", "STOP"),
                 MALFORMED,
                 .text = "a" } },
};

const struct matrix_table matrix_framing = { framing, ARRAY_LEN(framing) };
const struct matrix_table matrix_unicode = { unicode, ARRAY_LEN(unicode) };
