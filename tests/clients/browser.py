"""The owner's browser, for programs that open one: fills in the consent form and follows the answer.

Programs find it as `xdg-open`; the passphrase is in MEDTAINER_MCP_PASSPHRASE. It does nothing that a person
could not do: what it sends is what the page holds.
"""

import html.parser
import http.cookiejar
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


class Form(html.parser.HTMLParser):
    """The fields of a page, every box ticked."""

    def __init__(self):
        super().__init__()
        self.fields = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag != "input":
            return
        if attrs.get("type") == "password":
            self.fields.append((attrs["name"], os.environ["MEDTAINER_MCP_PASSPHRASE"]))
        else:
            self.fields.append((attrs["name"], attrs["value"]))


class Stay(urllib.request.HTTPRedirectHandler):
    """Says where it is led instead of going there."""

    def redirect_request(self, *_):
        return None


def patiently(open_it):
    """Some programs listen only after they have opened the browser."""
    for _ in range(40):
        try:
            return open_it()
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            time.sleep(0.25)
    return open_it()


def main(url):
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    # What is on this machine is not behind a proxy.
    browser = urllib.request.build_opener(cookies, Stay, urllib.request.ProxyHandler({}))
    with patiently(lambda: browser.open(url)) as page:
        form = Form()
        form.feed(page.read().decode())
    fields = urllib.parse.urlencode(form.fields + [("decision", "allow")]).encode()
    base = urllib.parse.urlsplit(url)
    answer = urllib.request.Request(urllib.parse.urljoin(url, "/authorize"), fields)
    answer.add_header("Origin", f"{base.scheme}://{base.netloc}")
    try:
        browser.open(answer).close()
        sys.exit("the page did not lead on")
    except urllib.error.HTTPError as led:
        if led.code != 303:
            sys.exit(f"{led.code}: {led.read().decode()}")
        back = led.headers["Location"]
    follow = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with patiently(lambda: follow.open(back)) as there:
        there.read()


if __name__ == "__main__":
    # A browser does not keep whoever opens it.
    if "--stay" not in sys.argv and os.fork():
        os._exit(0)
    main(next(word for word in sys.argv[1:] if word.startswith("http")))
