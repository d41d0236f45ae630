"""TLS in front of modelsim, which has none: a pump with a certificate of its
own, for what TLS costs a worker.

    with TlsFront(folder) as front:
        ... start Tandem with front.env() ...
        front.target = stack.sim_address
"""

import asyncio
import contextlib
import ssl
import subprocess
import threading


async def pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class TlsFront:
    def __init__(self, folder):
        self.target = None  # (host, port), set before the first caller
        self.connections = self.resumed = 0
        self.certificate, self.key = folder / "tls.pem", folder / "tls.key"
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "2",
             "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        self.server = self.loop.run_until_complete(asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=context, backlog=4096))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def env(self):
        """tandemd trusts this certificate and no other."""
        port = self.server.sockets[0].getsockname()[1]
        return {"GEMINI_BASE_URL": f"https://127.0.0.1:{port}",
                "SSL_CERT_FILE": str(self.certificate)}

    async def _serve(self, reader, writer):
        self.connections += 1
        self.resumed += writer.get_extra_info("ssl_object").session_reused
        there = await asyncio.open_connection(*self.target)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
