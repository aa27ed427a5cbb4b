#!/usr/bin/env python3
"""Looks at a report in headless Chromium: check_report.py REPORT.html SHOTS

At 1280 and 390 pixels, light and dark, and without JavaScript: no errors on the console, no requests, every figure has shapes of
finite places and a size, nothing is wider than the window, tables sort, values appear under the pointer. Screenshots go into
the folder SHOTS. Needs Python 3 alone, and chromium on the PATH.
"""
import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

WINDOWS = [(1280, 900), (390, 844)]
# Taller pages are cut in the screenshot.
TALLEST = 12000


class Page:
    """A tab of Chromium, spoken to in the DevTools protocol over a websocket."""

    def __init__(self, address):
        host, path = re.fullmatch(r"ws://([^/]+)(/.*)", address).groups()
        name, port = host.split(":")
        self.socket = socket.create_connection((name, int(port)), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"chromium refused the connection: {head!r}")
        self.last, self.events = 0, []

    def more(self):
        part = self.socket.recv(1 << 20)
        if not part:
            raise SystemExit("chromium closed the connection")
        self.buffer += part

    def bytes(self, count):
        while len(self.buffer) < count:
            self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def receive(self):
        text = b""
        while True:
            first, second = self.bytes(2)
            size = second & 127
            if size == 126:
                size, = struct.unpack(">H", self.bytes(2))
            elif size == 127:
                size, = struct.unpack(">Q", self.bytes(8))
            payload = self.bytes(size)
            if first & 15 in (0, 1):
                text += payload
                if first & 128:
                    return json.loads(text)

    def call(self, method, **parameters):
        self.last += 1
        text = json.dumps({"id": self.last, "method": method, "params": parameters}).encode()
        mask = os.urandom(4)
        size = struct.pack(">BBH", 129, 128 | 126, len(text)) if len(text) < 65536 else struct.pack(">BBQ", 129, 255, len(text))
        self.socket.sendall(size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text)))
        while True:
            message = self.receive()
            if message.get("id") == self.last:
                if "error" in message:
                    raise SystemExit(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def value(self, expression):
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise SystemExit(f"{expression[:60]}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, event):
        deadline = time.monotonic() + 60
        while not any(message.get("method") == event for message in self.events):
            if time.monotonic() > deadline:
                raise SystemExit(f"{event}: did not come within a minute")
            self.events.append(self.receive())


# Faults of the figures: an SVG without shapes, without a size, with numbers that are none, or with parts outside its frame.
FIGURES = """(() => {
  const faults = [];
  for (const details of document.querySelectorAll('details')) details.open = true;
  const figures = document.querySelectorAll('.figure');
  for (const figure of figures) {
    const tiles = figure.querySelectorAll('.tiles > svg');
    if (!tiles.length) faults.push(figure.id + ': no tiles');
    for (const svg of tiles) {
      const name = figure.id + ' / ' + svg.getAttribute('aria-label');
      const box = svg.getBBox(), seen = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
      if (!svg.querySelector('path, rect, circle')) faults.push(name + ': empty');
      if (!(box.width > 0 && box.height > 0 && seen.width > 0 && seen.height > 0)) faults.push(name + ': no size');
      if (/NaN|inf|undefined/i.test([...svg.querySelectorAll('*')].flatMap(e => [...e.attributes])
          .filter(a => /^(d|x|y|cx|cy|r|width|height|transform|data-v)$/.test(a.name)).map(a => a.value).join(' ')))
        faults.push(name + ': not a number');
      if (box.x < -1 || box.y < -1 || box.x + box.width > view.width + 1 || box.y + box.height > view.height + 1)
        faults.push(name + ': outside its frame: ' + [box.x, box.y, box.width, box.height, view.width, view.height]);
      const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
      for (const [at, [text, a]] of texts.entries()) for (const [other, b] of texts.slice(at + 1, at + 8))
        if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
          faults.push(name + ': "' + text + '" and "' + other + '" overlap');
    }
  }
  return [figures.length, faults];
})()"""
SORTS = """(() => {
  const faults = [];
  for (const table of document.querySelectorAll('table')) {
    const rows = table.tBodies[0].rows;
    if (!rows.length) faults.push('a table without rows: ' + table.caption.textContent);
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.className !== 'n') return;
      const values = () => [...rows].map(row => row.cells[column].dataset.s).map(v => v === '-inf' ? -Infinity : Number(v));
      for (const sign of [1, -1]) {
        head.querySelector('button').click();
        const found = values();
        if (!found.every((v, at) => at === 0 || sign * (v - found[at - 1]) >= 0 || v === found[at - 1]))
          faults.push(table.caption.textContent + ': ' + head.textContent + ' does not sort');
      }
    });
  }
  return faults;
})()"""
WIDE = """(() => {
  const wide = [...document.querySelectorAll('body *')].filter(e => !e.closest('svg, .scroll, .tiles')
    && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40));
  return [document.documentElement.scrollWidth, innerWidth, wide.slice(0, 5)];
})()"""
# The middle of something that has a value, scrolled to.
POINTS = """(async selector => {
  const element = document.querySelector(selector);
  if (!element) return null;
  element.scrollIntoView({block: 'center', inline: 'center'});
  // The tip goes away where the page scrolls, which is told with the next frame.
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  const box = element.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
})"""


def look(page, report, shots, width, height, scheme, script):
    name = f"{width}-{scheme}" + ("" if script else "-no-script")
    faults = []
    page.events.clear()
    page.call("Emulation.setScriptExecutionDisabled", value=not script)
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call("Page.navigate", url=report.resolve().as_uri())
    page.until("Page.loadEventFired")
    scroll, inner, wide = page.value(WIDE)
    if scroll > inner or wide:
        faults.append(f"wider than the window: {scroll} > {inner}: {wide}")
    size = page.call("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": width, "height": min(size["height"], TALLEST), "scale": 1}
    picture = page.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
    (shots / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))
    if script:
        for selector, expected in [("[data-v] > rect", "threshold"), (".tiles g > title + rect, .tiles g > title + circle", " ")]:
            at = page.value(f"{POINTS}({json.dumps(selector)})")
            if at:
                page.call("Input.dispatchMouseEvent", type="mouseMoved", x=at[0], y=at[1])
                tip = page.value("document.querySelector('#tip').hidden ? '' : document.querySelector('#tip').textContent")
                if expected not in tip:
                    faults.append(f"nothing appears over {selector}: {tip!r}")
    figures, found = page.value(FIGURES)
    faults += found
    scroll, inner, wide = page.value(WIDE)
    if scroll > inner or wide:
        faults.append(f"unfolded wider than the window: {scroll} > {inner}: {wide}")
    if script:
        faults += page.value(SORTS)
    for message in page.events:
        method, told = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            faults.append(f"exception: {told['exceptionDetails']}")
        if method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            faults.append(f"console: {told['args']}")
        if method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            faults.append(f"log: {told['entry']}")
        if method == "Network.requestWillBeSent" and not told["request"]["url"].startswith(report.resolve().as_uri()):
            faults.append(f"request: {told['request']['url']}")
    print(f"{name}: {figures} figures, {size['height']:.0f} pixels high, {len(faults)} faults")
    return [f"{name}: {fault}" for fault in faults]


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__.splitlines()[0])
    report, shots = Path(sys.argv[1]), Path(sys.argv[2])
    shots.mkdir(parents=True, exist_ok=True)
    faults = []
    for found in re.findall(r"""(?:src|href|url\()\s*=?\s*["']?\s*(?:https?:)?//[^"' >)]*""", report.read_text("utf-8")):
        faults.append(f"the file names a resource elsewhere: {found}")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        raise SystemExit("chromium: not found")
    with tempfile.TemporaryDirectory() as profile:
        browser = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            told = Path(profile, "DevToolsActivePort")
            deadline = time.monotonic() + 60
            while not (told.exists() and told.read_text().count("\n")):
                if time.monotonic() > deadline or browser.poll() is not None:
                    raise SystemExit("chromium did not start")
                time.sleep(0.1)
            port = told.read_text().split("\n")[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=60) as answer:
                tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
            page = Page(tabs[0]["webSocketDebuggerUrl"])
            for domain in ["Page", "Runtime", "Log", "Network"]:
                page.call(f"{domain}.enable")
            for width, height in WINDOWS:
                for scheme in ["light", "dark"]:
                    faults += look(page, report, shots, width, height, scheme, True)
            faults += look(page, report, shots, *WINDOWS[1], "light", False)
        finally:
            browser.terminate()
            browser.wait()
    for fault in faults[:40]:
        print(fault, file=sys.stderr)
    if faults:
        raise SystemExit(f"{report}: {len(faults)} faults")


main()
