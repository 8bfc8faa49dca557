"""Viewers for `serving`, in a process of their own: each does what the dashboard does, some never read what they asked.

python -m benchmarks.speed.viewers PORT READING SILENT
"""

import http.client
import socket
import sys
import threading

HOST = "127.0.0.1"


def read_events(port: int, ready: threading.Semaphore) -> None:
    """Read events until the server ends."""
    connection = http.client.HTTPConnection(HOST, port)
    connection.request("GET", "/api/v1/events")
    events = connection.getresponse()
    ready.release()
    while events.readline():
        pass


def read_frames(port: int) -> None:
    """Ask for one frame after the other, on one connection, until the server ends."""
    connection, path = http.client.HTTPConnection(HOST, port), "/frame.jpg"
    while True:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            path = f"/frame.jpg?after={answer.getheader('X-Frame')}"


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
        threading.Thread(target=read_events, args=(port, ready), daemon=True).start()
        threading.Thread(target=read_frames, args=(port,), daemon=True).start()
    for _ in range(reading):
        ready.acquire()
    print("watching", flush=True)
    sys.stdin.read()
    for connection in stuck:
        connection.close()


if __name__ == "__main__":
    threading.excepthook = lambda _arguments: None  # the server ends first
    main()
