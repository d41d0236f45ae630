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


def plain(text):
    """roff without its escapes and fonts."""
    text = re.sub(r"\\f.|\\&", "", text)
    return text.replace("\\-", "-").replace("\\(em", "-")


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
    options = sample_options()
    told = re.findall(r"^\.(?:B|TP|SS|BR|IP|It|BI) *\"?([A-Z][A-Z0-9_]{3,})"
                      r"(?:\b|=)", page, re.M)
    assert set(options) <= set(told), set(options) - set(told)
    for name, default in options.items():
        at = re.search(rf"^\.\w+ *\"?{name}\b", page, re.M).start()
        following = re.search(r"^\.TP|^\.SS|^\.SH",
                              page[at + 4:], re.M)
        text = page[at:at + 4 + (following.start() if following else 4000)]
        bare = default.strip('"')
        assert bare == "" or bare in text, f"{name}={default}: {text}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_manual_has_every_flag_of_help_and_no_other(program):
    helped = set(re.findall(r"--[a-z][a-z-]*", output_of(program, "--help")))
    told = set(re.findall(r"--[a-z][a-z-]*", manual(program)))
    assert helped == told


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_is_one_line(program):
    assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n",
                        output_of(program, "--version"))


def test_tandemctls_manual_has_every_command():
    page = manual("tandemctl")
    for command in ("runs", "show", "verify"):
        assert command in page
        assert command in output_of("tandemctl", "--help")


def test_the_dump_can_be_read_back(tmp_path):
    env = {"GEMINI_API_KEY": "k" * 20, "PATH": "/usr/bin:/bin"}
    dump = subprocess.run([BUILD / "tandemd", "--dump-config"], env=env,
                          capture_output=True, text=True, timeout=20,
                          check=True).stdout
    assert "k" * 20 not in dump
    path = tmp_path / "tandem.conf"
    path.write_text(dump)
    again = subprocess.run([BUILD / "tandemd", "-t", "-c", path],
                           env={"PATH": env["PATH"]}, capture_output=True,
                           text=True, timeout=20, check=False)
    assert again.returncode == 0, again


@pytest.mark.parametrize("text, reason", [
    ("FLASH_TIMEOUT_S=0", "conf:1: FLASH_TIMEOUT_S"),
    ("\nHEARTBEAT_MS=fast", "conf:2: HEARTBEAT_MS"),
    ("FLASH_TIMOUT_S=5", "FLASH_TIMEOUT_S"),
    ("ENABLE_AUTH=true", "API_KEY"),
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
