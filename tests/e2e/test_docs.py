"""What the documents say is what the programs do."""

import re
import subprocess

import pytest

from tandem import BUILD, ROOT

STACK = {"web": None}
DOCS = ROOT / "docs"
PROGRAMS = ["tandemd", "tandemctl", "modelsim"]


def output_of(program, *arguments):
    result = subprocess.run([BUILD / program, *arguments], text=True,
                            capture_output=True, timeout=20, check=False)
    assert result.returncode == 0, result
    return result.stdout


def manual(program):
    pages = sorted(DOCS.glob(f"{program}.[1-9]"))
    assert len(pages) == 1, f"one manual page for {program}: {pages}"
    return plain(pages[0].read_text())


def plain(mdoc):
    """Without the escapes that do not show."""
    return mdoc.replace("\\-", "-").replace("\\&", "")


def flags_of(page):
    """Long options; mdoc's Fl writes the first of two hyphens."""
    return {"-" + flag for line in page.splitlines()
            if re.match(r"\.(?:.* )?Fl\b", line)
            for flag in re.findall(r"(?<= )-[a-z][a-z-]+", line)}


def sample_options():
    """{name: default} as `tandemd --sample-config` prints them."""
    found = dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$",
                            output_of("tandemd", "--sample-config"), re.M))
    assert len(found) > 50
    return found


def test_the_shipped_file_is_the_sample():
    assert (ROOT / "conf/tandem.conf").read_text() == \
        output_of("tandemd", "--sample-config")


def test_the_manual_has_every_option_with_its_default_and_no_other():
    page = plain((DOCS / "tandem.conf.5").read_text())
    told = dict(re.findall(r"^\.It Ev ([A-Z0-9_]+) Ns = ?(?:Ns )?(.*)$", page,
                           re.M))
    assert told == sample_options()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_manual_has_every_flag_of_help_and_no_other(program):
    helped = set(re.findall(r"--[a-z][a-z-]*", output_of(program, "--help")))
    assert helped == flags_of(manual(program))


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_is_one_line(program):
    assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n",
                        output_of(program, "--version"))


def test_tandemctls_manual_has_every_command():
    page = manual("tandemctl")
    for command in ("runs", "show", "verify"):
        assert command in page
        assert command in output_of("tandemctl", "--help")


def test_the_dump_can_be_read_back_once_the_secrets_are_put_in(tmp_path):
    env = {"GEMINI_API_KEY": "k" * 20, "PATH": "/usr/bin:/bin"}
    dump = subprocess.run([BUILD / "tandemd", "--dump-config"], env=env,
                          capture_output=True, text=True, timeout=20,
                          check=True).stdout
    assert "k" * 20 not in dump
    path = tmp_path / "tandem.conf"

    def check(text):
        path.write_text(text)
        return subprocess.run([BUILD / "tandemd", "-t", "-c", path],
                              env={"PATH": env["PATH"]}, capture_output=True,
                              text=True, timeout=20, check=False)
    hidden = check(dump)
    assert hidden.returncode == 78 and "API_KEY=***" in hidden.stderr, hidden
    whole = check(dump.replace("=***", "=" + "k" * 20))
    assert whole.returncode == 0, whole


@pytest.mark.parametrize("text, said", [
    ("SOCKET_USERS=root,wwwdata", "SOCKET_USERS names wwwdata,"),
    ("PRO_TIMEOUT_S=60", "PRO_TIMEOUT_S and AUDIT_SHARE_S"),
    ("DRAIN_S=10", "DRAIN_S is less"),
    ("SOCKET_USERS=root", ""),
])
def test_the_check_warns_of_what_is_hardly_meant(tmp_path, text, said):
    path = tmp_path / "tandem.conf"
    path.write_text(text + "\n")
    result = subprocess.run(
        [BUILD / "tandemd", "-t", "-c", path], capture_output=True, text=True,
        env={"GEMINI_API_KEY": "k" * 20, "PATH": "/usr/bin:/bin"}, timeout=20,
        check=False)
    assert result.returncode == 0, result
    warnings = result.stderr.splitlines()
    assert len(warnings) == (said != ""), result
    assert all(line.startswith(f"tandemd: warning: {said}")
               for line in warnings), result


@pytest.mark.parametrize("text, reason", [
    ("FLASH_TIMEOUT_S=0", "conf:1: FLASH_TIMEOUT_S"),
    ("\nHEARTBEAT_MS=fast", "conf:2: HEARTBEAT_MS"),
    ("FLASH_TIMOUT_S=5", "FLASH_TIMEOUT_S"),
    ("ENABLE_AUTH=true", "API_KEY"),
    ("API_KEY=0123456789abcdef", "ENABLE_AUTH=true"),
    ("", "GEMINI_API_KEY"),
])
def test_a_bad_value_stops_the_start_with_file_line_and_reason(tmp_path, text,
                                                               reason):
    path = tmp_path / "tandem.conf"
    path.write_text(text + "\n")
    env = {"PATH": "/usr/bin:/bin"}
    if text:
        env["GEMINI_API_KEY"] = "k" * 20
    for task in (["-t"], []):
        result = subprocess.run([BUILD / "tandemd", *task, "-c", path],
                                env=env, capture_output=True, text=True,
                                timeout=20, check=False)
        assert result.returncode == 78, result
        assert reason in result.stderr


# ---- OPERATIONS.md: metrics and events ----

def rows_of(section):
    """The cells of the rows of the tables of a section of OPERATIONS.md."""
    page = (DOCS / "OPERATIONS.md").read_text()
    text = re.search(rf"^## \d+\. {section}\n(.*?)(?=^## |\Z)", page,
                     re.M | re.S).group(1)
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    return rows


def names_in(cell):
    return re.findall(r"`([a-z_]+)`", cell)


def told_metrics():
    """{family: (type, {label: its values, or None where none are named})}"""
    told = {}
    for families, kind, labels, _ in rows_of("Metrics"):
        values = {label: set(named.split(", ")) if named else None
                  for label, named in
                  re.findall(r"`(\w+)`(?: ([\w, ]+\w))?", labels)}
        for family in names_in(families):
            assert family not in told
            told[family] = (kind.split(",")[0], values)
    return told


def real_metrics(page):
    """The same of a page, where each label has its values."""
    real = {family: (kind, {}) for family, kind in
            re.findall(r"^# TYPE (\w+) (\w+)$", page, re.M)}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} \S+$", page, re.M):
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        _, values = real.get(name) or real[family]
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            if label != "le":
                values.setdefault(label, set()).add(value)
    return real


def test_the_runbook_has_every_metric_with_its_labels_and_no_other(stack):
    told = told_metrics()
    real = real_metrics(stack.control("/metrics").body.decode())
    assert set(told) == set(real)
    for family, (kind, labels) in real.items():
        named = {label: values if told[family][1].get(label) else None
                 for label, values in labels.items()}
        assert told[family] == (kind, named), family
    classes = len(real["errors_total"][1]["class"])
    assert ["`class`, %d names" % classes] == \
        [row[2] for row in rows_of("Metrics") if row[0] == "`errors_total`"]


def arguments_of(call):
    """The arguments of a call in C; call begins behind its parenthesis."""
    arguments, depth = [""], 0
    for token in re.findall(r'"(?:\\.|[^"\\])*"|[^"]', call):
        if token == ")" and depth == 0:
            return arguments
        depth += (token == "(") - (token == ")")
        if token == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += token
    raise AssertionError(call)


def places_of_events(source):
    """{function: which of its arguments is the name of an event}"""
    places, functions = {}, []
    if '#include "sys/log.h"' in source:
        places = {"log_debug": 0, "log_info": 0, "log_warn": 0,
                  "log_error": 0, "log_write": 1}
        functions = re.findall(r"^(\w+)(\([^{};]*\))\n\{", source, re.M)
    callbacks = re.findall(  # what reaches the log by way of a caller
        r"\(\*(\w+)\)(\(const char \*event, const char \*text\))", source)
    for name, text in functions + callbacks:
        parameters = [" ".join(one.split()) for one in arguments_of(text[1:])]
        if "const char *event" in parameters:
            places[name] = parameters.index("const char *event")
    return places


def events_of(source):
    """The events that a file in C logs, by whatever function of its own, or by
    one that it was handed."""
    events = set()
    places = places_of_events(source)
    if not places:
        return events
    for call in re.finditer(rf"[ (]({'|'.join(places)})\(", source):
        event = arguments_of(source[call.end():])[places[call.group(1)]]
        words = re.findall(r'"([a-z_]+)"', event)
        assert words or event.strip() == "event", call.group()
        events.update(words)
    return events


def test_the_runbook_has_every_event_of_the_log_and_no_other():
    told = [name for row in rows_of("Log") for name in names_in(row[0])]
    assert len(told) == len(set(told))
    assert set(told) == {event for folder in ("app", "lib")
                         for path in (ROOT / folder).rglob("*.c")
                         for event in events_of(path.read_text())}
