WRAP_test_crypto := -Wl,--wrap=malloc -Wl,--wrap=realloc
WRAP_test_fd := -Wl,--wrap=write
WRAP_test_confine := -Wl,--wrap=syscall
WRAP_test_counters := -Wl,--wrap=malloc
WRAP_test_file := -Wl,--wrap=fsync -Wl,--wrap=rename
WRAP_test_fcgi := -Wl,--wrap=calloc -Wl,--wrap=realloc
WRAP_test_utf8 := -Wl,--wrap=realloc
WRAP_test_json := -Wl,--wrap=realloc,--wrap=calloc
WRAP_test_http := -Wl,--wrap=calloc
WRAP_test_sse_stream := -Wl,--wrap=realloc
WRAP_test_uri := -Wl,--wrap=calloc
WRAP_test_prom := -Wl,--wrap=realloc
WRAP_test_sock := -Wl,--wrap=chmod
WRAP_test_base := -Wl,--wrap=calloc,--wrap=realloc
WRAP_test_conf := -Wl,--wrap=calloc -Wl,--wrap=realloc
WRAP_test_scribe := -Wl,--wrap=send,--wrap=lite_commit,--wrap=spool_file_read
WRAP_test_redact := -Wl,--wrap=calloc -Wl,--wrap=realloc
WRAP_test_master := -Wl,--wrap=fork
WITH_test_turn_run := tests/support/run_world.c \
	tests/support/run_world_peers.c
WRAP_test_turn_run := -Wl,--wrap=models_start,--wrap=models_turn \
	-Wl,--wrap=model_call_is_done,--wrap=model_call_answer \
	-Wl,--wrap=model_call_cancel,--wrap=model_call_free \
	-Wl,--wrap=poll,--wrap=__poll_chk
WITH_test_turn_run_broken := $(WITH_test_turn_run)
WRAP_test_turn_run_broken := $(WRAP_test_turn_run)
WRAP_test_spool := -Wl,--wrap=fsync
WRAP_test_vault := -Wl,--wrap=clock_mono_ms
WRAP_test_pg := -Wl,--wrap=calloc,--wrap=realloc
WRAP_test_resolve := -Wl,--wrap=gai_error,--wrap=gai_suspend
# Not a double: a program's own modules are in no archive.
WITH_test_selftest_stream := app/tandemctl/selftest_stream.c \
	app/tandemctl/selftest_patience.c
