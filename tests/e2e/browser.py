"""A headless Chromium, driven over the pipe of its DevTools protocol: no port, no driver, no packages."""
import json
import os
import select
import subprocess
import tempfile
import time

from conftest import PATIENCE, tool

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
           "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,900",
           # Whatever a page asks of another host fails at once.
           "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe")


class Browser:
    """One page. Its console and what went wrong are in `said`, the addresses that it loaded in `loaded`."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self.out = os.pipe()
        self.inp, theirs_out = os.pipe()
        line = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(["bash", "-c", line, "bash", tool("chromium"), *OPTIONS, f"--user-data-dir={self.profile.name}"],
                                        pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.pending, self.said, self.loaded = 0, b"", [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")

    def message(self):
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.inp], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.inp, 1 << 20) if ready else b""
            assert data, "Chromium does not answer"
            self.pending += data
        text, self.pending = self.pending.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if hasattr(self, "session"):
            request["sessionId"] = self.session
        os.write(self.out, json.dumps(request).encode() + b"\0")
        while True:
            m = self.message()
            if m.get("id") == self.number:
                assert "error" not in m, m
                return m["result"]
            self.note(m)

    def note(self, m):
        method, params = m.get("method"), m.get("params", {})
        if method == "Network.requestWillBeSent":
            self.loaded.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"])[:2000])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.said.append(params["entry"]["text"])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def run(self, script):
        """The value of an expression, which may be a promise."""
        r = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in r, r
        return r["result"].get("value")

    def until(self, script):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            got = self.run(f"(v => v instanceof Node ? true : v)({script})")
            if got:
                return got
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}\n{self.said}\n{self.run('document.body.innerText')}")

    def click(self, selector):
        """A real click in the middle of the element, once it stands still; again when the element moved away under it."""
        place = (f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
                 "const r = e.getBoundingClientRect(); return r.width ? [r.x + r.width / 2, r.y + r.height / 2] : null })()")
        watch = ("window.clicked = false; document.addEventListener('click', e => { window.clicked = !!e.target.closest("
                 f"{json.dumps(selector)}) }}, {{ capture: true, once: true }})")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            at = None
            while at != (at := self.until(place)):
                self.run("new Promise(done => setTimeout(done, 200))")
            self.run(watch)
            x, y = at
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
            if self.run("window.clicked") is not False:  # null: it has led to another page
                return
        raise AssertionError(f"never hit: {selector}")

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        os.close(self.inp)
        os.close(self.out)
        self.profile.cleanup()
