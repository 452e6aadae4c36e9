"""HTML as tests read it."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br"}


class Reading(HTMLParser):
    """What a browser would see: tags with their attributes, and texts. Every tag is closed in its place."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.unclosed = [], [], []
        self.feed(text)
        self.close()
        assert not self.unclosed

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_endtag(self, tag):
        assert self.unclosed.pop() == tag

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]

    def has(self, *names):
        return [bool(self.all(name)) for name in names]
