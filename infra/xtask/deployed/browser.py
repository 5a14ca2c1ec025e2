"""A person at the pages of a deployed bundle: cookies, forms and hooks, over plain HTTP to the emulator."""

import http.client
import re
import urllib.parse
from html.parser import HTMLParser


class Browser:
    """One person's browser. The emulator finds the API by the name in `Host`, as AWS does."""

    def __init__(self, port, host):
        self.port, self.host, self.cookies = port, host, {}

    def get(self, path):
        return self.request("GET", path)

    def submit(self, page, action, **typed):
        """Sends a form of a page back, with its hidden inputs and what was typed."""
        if action not in page.forms:
            raise AssertionError(f"the page has no form {action}, only {sorted(page.forms)}: {page.body[:600]}")
        return self.request("POST", action, {**page.forms[action], **typed})

    def request(self, method, path, form=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        headers = {"Host": self.host, "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        body = urllib.parse.urlencode(form) if form is not None else None
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0]
        page = Page(path, answer.status, answer.getheader("Location"), answer.read().decode())
        connection.close()
        return page


class Page:
    def __init__(self, path, status, location, body):
        self.status, self.location, self.body = status, location, body
        reader = Reader(path)
        reader.feed(body)
        self.forms, self.hooks = reader.forms, reader.hooks

    def expect(self, status):
        if self.status != status:
            text = " ".join(re.sub(r"<[^>]*>", " ", self.body).split())
            raise AssertionError(f"status {self.status} in place of {status}: {text[:600]}")
        return self

    def hook(self, name):
        """The attributes and the text of the one element with this hook."""
        found = [hook for hook in self.hooks if hook["data-testid"] == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} elements are {name}")
        return found[0]


class Reader(HTMLParser):
    """Forms with their inputs, by action, and the elements that have a `data-testid`."""

    def __init__(self, path):
        super().__init__()
        self.path, self.forms, self.hooks, self.form, self.inside = path, {}, [], None, None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.form = self.forms.setdefault(attributes.get("action", self.path), {})
        elif tag == "input" and self.form is not None and "name" in attributes:
            if attributes.get("type") not in ("checkbox", "radio", "submit", "file"):
                self.form[attributes["name"]] = attributes.get("value", "")
        if "data-testid" in attributes:
            self.hooks.append({**attributes, "text": ""})
            self.inside = self.hooks[-1]

    def handle_data(self, data):
        if self.inside is not None:
            self.inside["text"] += data

    def handle_endtag(self, tag):
        self.inside = None
        if tag == "form":
            self.form = None
