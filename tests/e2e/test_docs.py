"""What the documents say of options is what the programs do."""

import re
import subprocess

import pytest

from tandem import BUILD, ROOT

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
