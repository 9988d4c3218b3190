"""What a server may do wrong, and what is on the disk afterwards."""

import contextlib
import hashlib
import http.server
import multiprocessing
import os
import signal
import threading
import time

import keras
import pytest

from moe_common.locking import locked
from moe_keras.data import download
from moe_keras.data.download import whole_downloads

CONTENT = bytes(range(256)) * 2000
SUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        getattr(self, self.path.strip("/").partition(".")[0])()

    def begin(
        self, length=512_000, kind="application/octet-stream", code=200, name="Content-Length"
    ):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header(name, str(length))
        self.end_headers()

    def good(self):
        self.begin()
        self.wfile.write(CONTENT)

    def nolength(self):
        self.begin(None)
        self.wfile.write(CONTENT)

    def badlength(self):
        self.begin("many")
        self.wfile.write(CONTENT)

    def hesitates(self):
        for byte in b"HTTP/1.0 200 OK\r\nX-Long: " + b"x" * 1000:
            self.wfile.write(bytes([byte]))
            if self.server.over.wait(0.05):
                return

    def cut(self):
        self.begin()
        self.wfile.write(CONTENT[:1000])

    def cutnolength(self):
        self.begin(None)
        self.wfile.write(CONTENT[:1000])

    def portal(self):
        page = b"<html>Please log in</html>"
        self.begin(len(page), "text/html; charset=utf-8")
        self.wfile.write(page)

    def disguised(self):
        self.begin(20)
        self.wfile.write(b"<html>Log in!</html>")

    def forbidden(self):
        self.begin(0, code=403)

    def stalls(self):
        self.begin()
        self.wfile.write(CONTENT[:1000])
        self.server.over.wait(20)

    def trickles(self):
        self.begin()
        for i in range(1000):
            self.wfile.write(CONTENT[i : i + 1])
            if self.server.over.wait(0.05):
                return

    def chunks(self):
        self.begin("chunked", name="Transfer-Encoding")
        self.wfile.write(b"3e8\r\n" + CONTENT[:1000] + b"\r\n")
        for _ in range(1000):
            self.wfile.write(b"0")
            if self.server.over.wait(0.05):
                return

    def log_message(self, *arguments):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # a client that was killed
            super().handle()


@pytest.fixture
def site(monkeypatch):
    monkeypatch.undo()  # this one does need sockets
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads, server.over = True, threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.over.set()
    server.shutdown()
    server.server_close()


def fetch(url, folder, **options):
    with whole_downloads({"file": SUM}):
        return keras.utils.get_file("file", url, cache_dir=str(folder), cache_subdir=".", **options)


def names(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("kind", ["good", "nolength", "badlength"])
def test_a_whole_file_gets_its_name(site, tmp_path, kind):
    path = fetch(f"{site}/{kind}", tmp_path)
    with open(path, "rb") as file:
        assert file.read() == CONTENT
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut", "broke off|then the connection ended"),
        ("cutnolength", "other bytes"),
        ("portal", "a web page"),
        ("disguised", "other bytes"),
        ("forbidden", "403"),
        ("stalls", "broke off"),
        ("trickles", "kB a second"),
        ("chunks", "kB a second"),
        ("hesitates", "an answer from"),
    ],
)
def test_anything_else_leaves_nothing(site, tmp_path, monkeypatch, kind, message):
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(download, "WINDOW_SECONDS", 0.7)
    monkeypatch.setattr(download, "OPENING_SECONDS", 4)
    start = time.monotonic()
    with pytest.raises(Exception, match=message):
        fetch(f"{site}/{kind}", tmp_path)
    assert time.monotonic() - start < 10
    assert names(tmp_path) == []
    assert keras.src.utils.file_utils.urlretrieve.__module__ == "urllib.request"


def download_in_a_child(url, folder):
    fetch(url, folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to be quick")
def test_a_killed_download_leaves_no_file_of_that_name(site, tmp_path):
    child = multiprocessing.get_context("fork").Process(
        target=download_in_a_child, args=(f"{site}/stalls", tmp_path)
    )
    child.start()
    deadline = time.monotonic() + 60
    while not names(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert "file" not in names(tmp_path)
    fetch(f"{site}/good", tmp_path)
    assert "file" in names(tmp_path)


def test_a_lock_is_waited_for(tmp_path):
    path = tmp_path / ".lock"
    done = []

    def hold():
        with locked(path, "Expected to be alone."):
            started.set()
            time.sleep(0.5)
            done.append("first")

    started = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    started.wait()
    message = f"alone.*in use by process {os.getpid()}"
    with (
        pytest.raises(BlockingIOError, match=message),
        locked(path, "Expected to be alone."),
    ):
        pass
    with locked(path, "Expected to be alone.", 30):
        done.append("second")
    thread.join()
    assert done == ["first", "second"]
