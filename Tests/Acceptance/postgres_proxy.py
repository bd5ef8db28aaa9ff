"""A loopback proxy before PostgreSQL that reads the frontend's messages, knows the transaction in which a worker
finishes a segment, and can hold it, cut it, or keep its answer.

A trap is set at one of three points, for whoever comes there first. The transaction may be several statements, or one
that is committed by the Sync behind it:

    BEGIN   fence   rows …   segment and job   COMMIT    Sync    the answer, to ReadyForQuery
          ^ "fence"                          ^ "commit"                                     ^ "answer"
            Parse, Bind, Execute of the one            Sync      the answer, to ReadyForQuery
          ^ "fence"                          ^ "commit"                                     ^ "answer"
"""

import dataclasses
import re
import socket
import threading

from server import HOST

FENCE = "fence"  # nothing but BEGIN, and settings, has been sent
COMMIT = "commit"  # everything has been sent, and carried out, but for what commits it
ANSWER = "answer"  # all has been sent, PostgreSQL has committed, and its answer is kept back

FORWARD = "forward"  # go on as if nothing had been
DROP = "drop"  # what is held is never sent, and both ends are closed


class Trap:
    """Holds the first connection that comes to its point until `release` says what becomes of it."""

    def __init__(self, point):
        self.point = point
        self.link = None  # who was caught
        self.caught = threading.Event()
        self.released = threading.Event()
        self.verdict = FORWARD

    def catch(self, link):
        self.link = link
        self.caught.set()
        self.released.wait()
        return self.verdict

    def release(self, verdict):
        self.verdict = verdict
        self.released.set()


class Traps:
    """The traps that are set, for all proxies that share them."""

    def __init__(self):
        self.lock, self.waiting = threading.Lock(), []

    def set(self, trap):
        with self.lock:
            self.waiting.append(trap)
        return trap

    def unset(self, trap):
        """True where it had caught nobody; it never will then."""
        with self.lock:
            if trap in self.waiting:
                self.waiting.remove(trap)
                return True
        return False

    def spring(self, point):
        with self.lock:
            for trap in self.waiting:
                if trap.point == point:
                    self.waiting.remove(trap)
                    return trap
        return None


@dataclasses.dataclass
class Message:
    kind: bytes
    raw: bytes

    def text(self, place):
        """The string that begins there in the body, and where it ends."""
        end = self.raw.index(b"\0", place)
        return self.raw[place:end].decode(errors="replace"), end + 1


class Reader:
    """Whole messages of one direction."""

    def __init__(self, source):
        self.source, self.buffer = source, bytearray()

    def take(self, count):
        while len(self.buffer) < count:
            chunk = self.source.recv(1 << 16)
            if not chunk:
                raise ConnectionResetError
            self.buffer += chunk
        part = bytes(self.buffer[:count])
        del self.buffer[:count]
        return part

    def message(self):
        head = self.take(5)
        return Message(head[:1], head + self.take(int.from_bytes(head[1:], "big") - 4))

    def startup(self):
        """The first packet, which has no kind."""
        head = self.take(4)
        return head + self.take(int.from_bytes(head, "big") - 4)

    @property
    def is_drained(self):
        return not self.buffer


class Link:
    """One client's connection and ours to the server; two threads, one a direction."""

    STARTUP, SSL, GSSENC = 196608, 80877103, 80877104

    def __init__(self, proxy, client):
        self.proxy, self.client = proxy, client
        self.lock = threading.Lock()
        self.begun = False  # between BEGIN and COMMIT
        self.finishing = False  # the fence was sent
        self.trap = None  # set at the answer
        self.names = {}  # named statements' texts
        self.server = None
        self.is_cut = False

    def run(self):
        try:
            self.server = socket.create_connection((HOST, self.proxy.server_port))
            for end in (self.client, self.server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = Reader(self.client)
            while True:
                packet = reader.startup()
                code = int.from_bytes(packet[4:8], "big")
                if code not in (self.SSL, self.GSSENC):
                    break
                self.client.sendall(b"N")
            self.server.sendall(packet)
            if code != self.STARTUP:
                return  # a request to cancel, which nobody answers
            backward = threading.Thread(target=self.backward, daemon=True)
            backward.start()
            self.forward(reader)
            backward.join()
        except OSError:
            pass  # either end is gone, and so is the other now
        finally:
            self.cut()
            self.proxy.links.discard(self)

    def forward(self, reader):
        held = []  # what of one burst may go out together
        try:
            while True:
                message = reader.message()
                point = self.point(message)
                if point in (FENCE, COMMIT) and (trap := self.proxy.traps.spring(point)):
                    self.server.sendall(b"".join(held))
                    held = []
                    if trap.catch(self) == DROP:
                        return self.cut()
                if point == COMMIT:
                    with self.lock:
                        self.trap = self.proxy.traps.spring(ANSWER)
                held.append(message.raw)
                if reader.is_drained or len(held) > 64:
                    self.server.sendall(b"".join(held))
                    held = []
        except OSError:
            self.cut()

    def backward(self):
        """Answers, of which a trap keeps the one to a finishing transaction that was committed."""
        reader, held, failed = Reader(self.server), [], False
        try:
            while True:
                message = reader.message()
                held.append(message.raw)
                if self.trap is not None:
                    failed = failed or message.kind == b"E"
                    if message.kind != b"Z":
                        continue
                    with self.lock:
                        trap, self.trap = self.trap, None
                    if failed:
                        self.proxy.traps.set(trap)  # it waits for another
                    elif trap.catch(self) == DROP:
                        return self.cut()
                    failed = False
                if reader.is_drained or len(held) > 64:
                    self.client.sendall(b"".join(held))
                    held = []
        except OSError:
            self.cut()

    def point(self, message):
        """Where in a finishing transaction a message stands, before it is sent."""
        if message.kind == b"S":
            if self.finishing and not self.begun:
                self.finishing = False
                return COMMIT
            return None
        sql = self.statement(message)
        if sql is None:
            return None
        word = sql.lstrip()[:8].upper()
        if word.startswith("BEGIN"):
            self.begun, self.finishing = True, False
        elif word.startswith(("COMMIT", "END", "ROLLBACK")):
            finished, self.begun, self.finishing = self.finishing, False, False
            return COMMIT if finished and not word.startswith("ROLLBACK") else None
        elif not self.finishing and self.proxy.fence.search(sql):
            self.finishing = True
            return FENCE
        return None

    def statement(self, message):
        """What is about to be carried out."""
        if message.kind == b"Q":
            return message.text(5)[0]
        if message.kind == b"P":
            name, place = message.text(5)
            sql, _ = message.text(place)
            if not name:
                return sql
            self.names[name] = sql  # it counts when it is bound
        elif message.kind == b"B":
            _, place = message.text(5)
            return self.names.get(message.text(place)[0])
        return None

    def cut(self):
        """Closes both ends; what the server had received without COMMIT, it rolls back."""
        self.is_cut = True
        for end in (self.client, self.server):
            if end is not None:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # closed already
                end.close()


class Proxy:
    """Listens on a port of its own before one server's port; give each worker its own and know whom a trap caught."""

    def __init__(self, server_port, fence, traps):
        self.server_port, self.fence, self.traps = server_port, re.compile(fence), traps
        self.links = set()
        self.listener = socket.create_server((HOST, 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed
            link = Link(self, client)
            self.links.add(link)
            threading.Thread(target=link.run, daemon=True).start()

    def cut_all(self):
        for link in list(self.links):
            link.cut()

    def close(self):
        self.listener.close()
        self.cut_all()
