"""A real S3 server on loopback, for the tests of one run."""

import subprocess
import sys
import threading

import pytest


@pytest.fixture(scope="session")
def s3_server():
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    command = [sys.executable, "-c", "from moto.server import main; main(['-p', '0'])"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        # the server says on which port it listens
        port = next(line.rsplit(":", 1)[1].split()[0] for line in server.stderr if "Running on http" in line)
        # it logs each request, and would stop at a full pipe
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
