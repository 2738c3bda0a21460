# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host of the lab beside what is measured, and keeps in memory what it sees until it is asked for it.

It sees what commands print; with a MAC address also when ARP, RARP and ICMP frames from or to it pass any interface, by
the kernel's stamps, and when interfaces of guests come, go, and change between up and down.

Usage: ``start ORDER`` with an order in base64 of JSON, ``{"commands": {NAME: [WORD...]}, "mac": MAC, "limit_s": S}``,
returns once all of that is seen. ``stop`` ends it and prints what it saw as JSON. It ends by itself at the limit.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
import typing as t

# A socket without a file, of which a host has one.
DOOR = "\0lifeboat-benchmark-recorder"
UP_WITHIN_S, LAST_WORDS_S, ANSWER_S = 20.0, 5.0, 60.0
ETH_P_ALL, PACKET_OUTGOING = 0x0003, 4
RARP, ARP, IPV4 = 0x8035, 0x0806, 0x0800
ICMP = {0: "echo reply", 8: "echo request"}
SO_ATTACH_FILTER, SO_TIMESTAMPNS = 26, 35
LINK_GROUP, NEW_LINK, DELETED_LINK, LINK_NAME, LINK_UP = 1, 16, 17, 3, 1
GUEST_INTERFACES = ("tap", "vnet")
# Classic BPF: code, jump if true, jump if false, value. Only RARP, ARP and ICMP over IPv4 wake this process.
LOAD_HALF, LOAD_BYTE, EQUALS, RETURN = 0x28, 0x30, 0x15, 0x06
FILTER = (
    (LOAD_HALF, 0, 0, 12),
    (EQUALS, 4, 0, RARP),
    (EQUALS, 3, 0, ARP),
    (EQUALS, 0, 3, IPV4),
    (LOAD_BYTE, 0, 0, 23),
    (EQUALS, 0, 1, socket.IPPROTO_ICMP),
    (RETURN, 0, 0, 128),
    (RETURN, 0, 0, 0),
)


class Recorder:
    """All that is seen, while it is being seen."""

    def __init__(self, order: dict[str, t.Any]) -> None:
        self.order = order
        self.mac = bytes.fromhex((order["mac"] or "").replace(":", ""))
        self.outputs: dict[str, bytes] = dict.fromkeys(order["commands"], b"")
        self.frames: list[tuple[float, str, str, str]] = []
        self.links: list[tuple[float, str, str]] = []
        self.link_states: dict[str, str] = {}

    def run(self, ready: t.Callable[[], None]) -> None:
        """Until somebody comes to the door, who gets all of it, or until the limit."""
        end = time.monotonic() + self.order["limit_s"]
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            door = stack.enter_context(socket.socket(socket.AF_UNIX))
            door.bind(DOOR)
            door.listen(1)
            selector.register(door, selectors.EVENT_READ)
            if self.mac:
                frames, links = stack.enter_context(frame_socket()), stack.enter_context(link_socket())
                selector.register(frames, selectors.EVENT_READ, lambda: self._take_frame(frames))
                selector.register(links, selectors.EVENT_READ, lambda: self._take_links(links))
            children: dict[str, subprocess.Popen[bytes]] = {}
            for name, command in self.order["commands"].items():
                child = children[name] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
                )
                stack.callback(child.wait)
                stack.callback(child.kill)
                pipe = t.cast(t.BinaryIO, child.stdout)
                selector.register(pipe, selectors.EVENT_READ, self._output_taker(selector, name, pipe))
            ready()
            while (left := end - time.monotonic()) > 0:
                for key, _events in selector.select(left):
                    if key.fileobj is door:
                        self._end(children)
                        visitor = stack.enter_context(door.accept()[0])
                        visitor.settimeout(ANSWER_S)
                        # The next one may begin as soon as the visitor has all of it.
                        door.close()
                        visitor.sendall(self._all_of_it())
                        return
                    key.data()

    def _output_taker(self, selector: selectors.BaseSelector, name: str, pipe: t.BinaryIO) -> t.Callable[[], None]:
        def take() -> None:
            said = os.read(pipe.fileno(), 1 << 16)
            self.outputs[name] += said
            if not said:
                selector.unregister(pipe)

        return take

    def _take_frame(self, frames: socket.socket) -> None:
        frame, extra, _flags, sender = frames.recvmsg(128, 64)
        text = frame_text(frame, self.mac)
        if text:
            [(seconds, nanoseconds)] = [
                struct.unpack("qq", data) for _level, kind, data in extra if kind == SO_TIMESTAMPNS
            ]
            direction = "out" if sender[2] == PACKET_OUTGOING else "in"
            self.frames.append((seconds + nanoseconds / 1e9, sender[0], direction, text))

    def _take_links(self, links: socket.socket) -> None:
        now = time.time()
        for name, state in link_states(links.recv(1 << 16)):
            if name.startswith(GUEST_INTERFACES) and self.link_states.get(name) != state:
                self.link_states[name] = state
                self.links.append((now, name, state))

    def _end(self, children: dict[str, subprocess.Popen[bytes]]) -> None:
        for child in children.values():
            child.send_signal(signal.SIGINT)
        for name, child in children.items():
            try:
                self.outputs[name] += child.communicate(timeout=LAST_WORDS_S)[0]
            except subprocess.TimeoutExpired:
                child.kill()
                self.outputs[name] += child.communicate()[0]

    def _all_of_it(self) -> bytes:
        outputs = {name: said.decode(errors="replace") for name, said in self.outputs.items()}
        return json.dumps({"outputs": outputs, "frames": self.frames, "links": self.links}).encode()


def frame_socket() -> socket.socket:
    """What passes any interface in either direction, and the filter lets through."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in FILTER))
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    frames.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(FILTER), ctypes.addressof(program)))
    frames.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    # What came before the filter.
    frames.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while frames.recv(1):
            pass
    frames.setblocking(True)
    return frames


def link_socket() -> socket.socket:
    """What the kernel says of interfaces."""
    links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    links.bind((0, LINK_GROUP))
    return links


def frame_text(frame: bytes, mac: bytes) -> str | None:
    """What a frame is, if it is from or to the address."""
    if mac not in (frame[:6], frame[6:12]):
        return None
    kind = int.from_bytes(frame[12:14], "big")
    if kind == RARP:
        return "RARP"
    if kind == ARP:
        asks, wanted = (socket.inet_ntoa(frame[at : at + 4]) for at in (28, 38))
        what = "reply" if frame[21] == 2 else "request"
        return f"gratuitous ARP {what} for {asks}" if asks == wanted else f"ARP {what} of {asks} to {wanted}"
    return ICMP.get(frame[14 + 4 * (frame[14] & 15)])


def link_states(messages: bytes) -> t.Iterator[tuple[str, str]]:
    """Names and states of interfaces in messages of netlink."""
    while len(messages) >= 16:
        length, kind = struct.unpack_from("IH", messages)
        if kind in (NEW_LINK, DELETED_LINK):
            [flags] = struct.unpack_from("I", messages, 24)
            state = "gone" if kind == DELETED_LINK else "up" if flags & LINK_UP else "down"
            at = 32
            while at + 4 <= length:
                size, attribute = struct.unpack_from("HH", messages, at)
                if attribute == LINK_NAME:
                    yield messages[at + 4 : at + size].rstrip(b"\0").decode(), state
                at += max(4, (size + 3) & ~3)
        messages = messages[max(16, (length + 3) & ~3) :]


def start(order: dict[str, t.Any]) -> int:
    """Leave a recorder behind; 0 once it sees everything."""
    ask()
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with selectors.DefaultSelector() as selector, open(reading, encoding="utf-8") as said:
            selector.register(said, selectors.EVENT_READ)
            answer = said.read() if selector.select(UP_WITHIN_S) else f"not up within {UP_WITHIN_S} s"
        print(answer)
        return int(answer != "ready")
    os.close(reading)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)

    told = open(writing, "w", encoding="utf-8")  # noqa: SIM115

    def tell(word: str) -> None:
        # Nobody listens any more once it is ready.
        if not told.closed:
            told.write(word)
            told.close()

    try:
        Recorder(order).run(lambda: tell("ready"))
    except Exception:
        tell(traceback.format_exc())
    os._exit(0)


def ask() -> bytes:
    """End the recorder; all that it saw, or nothing where there is none."""
    said = b""
    with socket.socket(socket.AF_UNIX) as visitor, contextlib.suppress(ConnectionRefusedError):
        visitor.settimeout(ANSWER_S)
        visitor.connect(DOOR)
        while piece := visitor.recv(1 << 16):
            said += piece
    return said


def main() -> int:
    if sys.argv[1] == "start":
        return start(json.loads(base64.b64decode(sys.argv[2])))
    print(ask().decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
