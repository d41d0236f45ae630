"""The files for web servers and systemd are right as they are shipped."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from tandem import MODULES, ROOT, program

CONF = ROOT / "conf"


def run(*command):
    return subprocess.run([str(part) for part in command],
                          capture_output=True, text=True, timeout=30,
                          check=False)


def test_lighttpd_takes_the_snippet_within_debians_own_configuration(
        tmp_path):
    debian = pathlib.Path("/etc/lighttpd/lighttpd.conf")
    enabled = 'include "/etc/lighttpd/conf-enabled/*.conf"'
    text = debian.read_text()
    assert enabled in text
    path = tmp_path / "lighttpd.conf"
    path.write_text(text.replace(
        enabled, 'include "/etc/lighttpd/conf-available/10-fastcgi.conf"\n'
                 f'include "{CONF}/lighttpd/tandem.conf"'))
    result = run(program("lighttpd"), "-tt", "-f", path)
    assert result.returncode == 0, result
    printed = run(program("lighttpd"), "-p", "-f", path).stdout
    assert re.search(r'"server.graceful-shutdown-timeout"\s*=> 60', printed)
    places = [printed.index(place) for place in (
        '"/api/reasoning/runs/"', "/control.sock", '"/api/reasoning/"',
        "/stream.sock")]
    assert places == sorted(places) and \
        places[3] < printed.rindex("/control.sock")


def test_apache_takes_the_snippet(tmp_path):
    path = tmp_path / "apache2.conf"
    path.write_text(
        f"ServerRoot {tmp_path}\nServerName localhost\n"
        f"Listen 127.0.0.1:1\nErrorLog {tmp_path}/error.log\n" + "".join(
            f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
            for name in ("mpm_event", "authz_core", "env", "proxy",
                         "proxy_fcgi")) +
        f"Include {CONF}/apache/tandem.conf\n")
    result = run(program("apache2"), "-t", "-f", path)
    assert result.returncode == 0, result
    assert "Syntax OK" in result.stderr


def test_apache_never_keeps_connections_to_workers():
    text = (CONF / "apache/tandem.conf").read_text()
    used = [line for line in text.splitlines()
            if line.startswith("ProxyPass ")]
    assert len(used) == 3
    assert all("flushpackets=on" in line for line in used)
    assert not any("enablereuse" in line for line in used)
    assert "/api/reasoning/" in used[0], "the first that fits wins"


def test_systemd_takes_the_units(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("tandem.service", "tandem.socket"):
        text = (CONF / "systemd" / name).read_text()
        (tmp_path / name).write_text(
            text.replace("/usr/local/sbin/tandemd", "/bin/true"))
    result = run("systemd-analyze", "verify", "--man=no",
                 tmp_path / "tandem.service", tmp_path / "tandem.socket")
    assert (result.returncode, result.stderr) == (0, "")
    exposure = run("systemd-analyze", "security", "--offline=true",
                   tmp_path / "tandem.service").stdout
    found = re.search(r"exposure level for \S+: ([\d.]+)", exposure)
    assert float(found.group(1)) <= 2.0


def test_systemd_passes_the_stream_socket_first():
    text = (CONF / "systemd/tandem.socket").read_text()
    assert re.findall(r"^ListenStream=.*/(\w+).sock$", text, re.M) == \
        ["stream", "control"]


def test_tandemd_can_write_beside_the_sockets_and_they_survive_a_stop():
    text = (CONF / "systemd/tandem.service").read_text()
    assert "\nRuntimeDirectory=tandem\n" in text
    assert "\nRuntimeDirectoryPreserve=yes\n" in text


@pytest.mark.parametrize("name", ["dev/run.sh", "dev/deps.sh"])
def test_scripts_are_posix_sh(name):
    path = CONF / name
    assert path.read_text().startswith("#!/bin/sh\n")
    assert os.access(path, os.X_OK)
    result = run("dash" if shutil.which("dash") else "sh", "-n", path)
    assert result.returncode == 0, result
