"""HTTP/1.1 to providers unless HTTP/2 is chosen, over TLS and a real server."""

import pathlib
import subprocess

import pytest

from tandem import MODULES, Process, Stack, free_port, program, wait_until

FAST = "flash.delay_ms=50 pro.delay_ms=200 chunk_ms=10"


class TlsFront:
    """Apache between tandemd and modelsim; it notes each request's version."""

    def __init__(self, folder, sim_address):
        self.folder = pathlib.Path(folder)
        self.sim = "{}:{}".format(*sim_address)
        self.process = None

    def __enter__(self):
        self._make_certificate("front")
        self._make_certificate("other")
        for attempt in range(3):  # somebody may take the port before we do
            self.port = free_port()
            self.process = Process(
                "front", [program("apache2"), "-D", "FOREGROUND", "-f",
                          self._configuration()], self.folder / "front.out")
            try:
                self.process.ready(lambda: "resuming normal operations" in
                                   self._text("front.log"))
                return self
            except AssertionError:
                if attempt == 2 or "in use" not in self.process.text():
                    raise

    def __exit__(self, *_):
        self.process.kill_all()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def _make_certificate(self, name):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-subj", f"/CN={name}", "-addext",
             "subjectAltName=IP:127.0.0.1", "-days", "1",
             "-keyout", self.folder / f"{name}.key",
             "-out", self.folder / f"{name}.pem"],
            check=True, capture_output=True)

    def _text(self, name):
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def _configuration(self):
        modules = "".join(
            f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
            for name in ("mpm_event", "authz_core", "proxy", "proxy_http",
                         "socache_shmcb", "ssl", "http2"))
        path = self.folder / "front.conf"
        path.write_text(
            f"ServerRoot {self.folder}\nServerName localhost\n"
            f"Listen 127.0.0.1:{self.port}\n"
            f"PidFile {self.folder}/front.pid\n"
            f"ErrorLog {self.folder}/front.log\nLogLevel notice\n"
            f"DefaultRuntimeDir {self.folder}\n{modules}"
            "Protocols h2 http/1.1\nSSLEngine on\n"
            f"SSLCertificateFile {self.folder}/front.pem\n"
            f"SSLCertificateKeyFile {self.folder}/front.key\n"
            f'CustomLog {self.folder}/versions.log "%H %X %U"\n'
            f"ProxyPass / http://{self.sim}/ flushpackets=on\n")
        return path

    def versions(self, count):
        """Of the first requests, once so many are over."""
        def lines():
            found = self._text("versions.log").splitlines()
            return found if len(found) >= count else None
        return [line.split(" ")[0] for line in wait_until(
            lines, 20, f"{count} requests at the front")]


@pytest.fixture
def front(request, tmp_path):
    env = dict(getattr(request, "param", {}))
    trusted = env.pop("trusted", "front")
    with Stack(web=None, start=False) as stack:
        stack.start_modelsim()
        with TlsFront(tmp_path, stack.sim_address) as front:
            stack.env.update({"GEMINI_BASE_URL": front.url,
                              "MODEL_RETRIES": "0",
                              "SSL_CERT_FILE": f"{tmp_path}/{trusted}.pem",
                              **env})
            stack.start_tandemd()
            front.stack = stack
            yield front


HTTP2 = {"PROVIDER_HTTP2": "true"}


@pytest.mark.parametrize("front, version", [
    ({}, "HTTP/1.1"), ({"PROVIDER_HTTP2": "false"}, "HTTP/1.1"),
    (HTTP2, "HTTP/2.0")], indirect=["front"])
def test_the_version_that_providers_are_spoken_to_in(front, version):
    answer = front.stack.ask(sim=FAST)
    assert answer.names() == ["preliminary", "final", "done"]
    assert answer.data("done")["status"] == "ok"
    assert front.versions(2) == [version] * 2
    end = front.stack.ledger.end(answer.run_id)
    assert [end[role]["transport_unclean"] for role in ("flash", "pro")] == \
        [False, False]


@pytest.mark.parametrize("front", [HTTP2], indirect=True)
@pytest.mark.parametrize("fault", ["cut", "reset", "nofinish"])
def test_a_cut_stream_is_no_answer_in_http2_either(front, fault):
    """curl may call it whole: only the end marker counts."""
    answer = front.stack.ask(sim=f"{FAST} flash.fault={fault}")
    assert answer.data("error")["code"] == "flash_incomplete"
    assert "final" in answer.names() and "preliminary" not in answer.names()


@pytest.mark.parametrize("front", [{**HTTP2, "FLASH_TIMEOUT_S": "1"}],
                         indirect=True)
def test_one_of_two_streams_is_cut_and_the_other_goes_on(front):
    """On a connection that is there already, so that they share it."""
    stack = front.stack
    stack.ask(sim=FAST)
    stream = stack.open(sim="delay_ms=0 chunk_ms=50 flash.chunks=300 "
                        "flash.text_bytes=30000 pro.chunks=80 "
                        "pro.text_bytes=8000")
    wait_until(lambda: stack.sim.stats()["flash"]["aborted"] == 1, 20,
               "Flash to be dropped")
    assert stack.sim.stats()["pro"]["open"] == 1
    stream.finish(20)
    assert stream.data("error")["code"] == "flash_timeout"
    assert stack.ledger.end(stream.run_id)["pro"]["outcome"] == "complete"


@pytest.mark.parametrize("front", [HTTP2], indirect=True)
def test_a_broken_stream_is_not_read_to_its_end(front):
    stack = front.stack
    answer = stack.ask(sim="flash.delay_ms=0 flash.fault=badjson "
                       "flash.chunks=60 flash.chunk_ms=50 "
                       "flash.text_bytes=30000 pro.delay_ms=4000")
    assert stack.ledger.end(answer.run_id)["flash"]["error_class"] == \
        "BadStream"
    wait_until(lambda: stack.sim.stats()["flash"]["aborted"] == 1, 20,
               "Flash to be dropped")


@pytest.mark.parametrize("front", [HTTP2], indirect=True)
def test_leaving_drops_both_calls(front):
    stack = front.stack
    stream = stack.open(sim="delay_ms=0 chunk_ms=100 chunks=300 "
                        "text_bytes=30000")
    wait_until(lambda: all(stack.sim.stats()[role]["open"] == 1
                           for role in ("flash", "pro")), 20, "both calls")
    stream.close()
    wait_until(lambda: all(stack.sim.stats()[role]["aborted"] == 1
                           for role in ("flash", "pro")), 20,
               "both calls to be dropped")
    assert stack.ask(sim=FAST).data("done")["status"] == "ok"


@pytest.mark.parametrize("front", [
    {"trusted": "other"}, {**HTTP2, "trusted": "other"}], indirect=True)
def test_a_certificate_that_nobody_vouches_for_is_refused(front):
    answer = front.stack.ask(sim=FAST)
    assert answer.names()[-1] == "done"
    end = front.stack.ledger.end(answer.run_id)
    for role in ("flash", "pro"):
        assert end[role]["error_class"] == "TlsError"
        assert end[role]["code"] == f"{role}_unavailable"
        assert front.stack.sim.stats()[role]["requests"] == 0
