"""Viewers for `serving`, in a process of their own: each does what the dashboard does, some never read what they asked.

python -m benchmarks.speed.viewers PORT READING SILENT
"""

import http.client
import json
import socket
import sys
import threading
import time

HOST = "127.0.0.1"
PICTURES_PER_S, REPORT_S = 10, 5.0  # as static/main.js asks


def watch(port: int, ready: threading.Semaphore) -> None:
    """Read events and pictures until the server ends."""
    connection = http.client.HTTPConnection(HOST, port)
    connection.request("GET", f"/api/v1/live?pictures={PICTURES_PER_S}")
    stream = connection.getresponse()
    ready.release()
    while line := stream.readline():
        stream.read(json.loads(line).get("picture", {}).get("bytes", 0))


def read_reports(port: int) -> None:
    """Ask for the report so far, at once and every REPORT_S, until the server ends."""
    connection = http.client.HTTPConnection(HOST, port)
    while True:
        connection.request("GET", "/api/v1/report")
        connection.getresponse().read()
        time.sleep(REPORT_S)


def never_read(port: int) -> socket.socket:
    """Ask for the endless image and take nothing of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((HOST, port))
    connection.sendall(f"GET /stream.mjpg HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return connection


def main() -> None:
    """Start all viewers, print a line once they watch, and end with the standard input."""
    port, reading, silent = map(int, sys.argv[1:])
    ready = threading.Semaphore(0)
    stuck = [never_read(port) for _ in range(silent)]
    for _ in range(reading):
        threading.Thread(target=watch, args=(port, ready), daemon=True).start()
        threading.Thread(target=read_reports, args=(port,), daemon=True).start()
    for _ in range(reading):
        ready.acquire()
    print("watching", flush=True)
    sys.stdin.read()
    for connection in stuck:
        connection.close()


if __name__ == "__main__":
    threading.excepthook = lambda _arguments: None  # the server ends first
    main()
