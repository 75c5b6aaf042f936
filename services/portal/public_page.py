"""A school's public page 公示 as HTML: what is published, drawn from the catalogue's words.

It knows no capability: a view is a section, its row an article with the row's title, its status and
its columns; columns that hold lists of things are tables, and so are the rows of another public
view that belong to this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from typing import Any
from urllib.parse import urlencode

from services.portal import leaflet
from services.portal.fields import Made
from shared.fields import SHANGHAI
from shared.words import words_of

type Row = Mapping[str, Any]

HIDDEN = {"id", "ref", "file"}
"""Kinds of columns that tell people nothing."""

DAY = ' class="day"'
"""A day stays in one line."""

STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#52606d;--line:#d5dde3;--brand:#0b6b53}
body{font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei",sans-serif;margin:0;color:var(--ink);
background:#f3f6f8}main{max-width:52rem;margin:0 auto;padding:1rem 1rem 3rem}h1{font-size:1.6rem;
margin:.5rem 0}h2{font-size:1.25rem;margin:1.6rem 0 .6rem}h3{font-size:1.05rem;margin:0}nav{display:
flex;gap:1rem;flex-wrap:wrap}a{color:var(--brand)}nav a,.more a{display:inline-block;min-height:
44px;line-height:44px}article{background:#fff;border:1px solid var(--line);border-radius:.6rem;
padding:1rem;margin:0 0 1rem}header{display:flex;gap:.6rem;align-items:baseline;flex-wrap:wrap}
.status{border:1px solid currentColor;border-radius:1rem;padding:0 .6rem;font-size:.875rem;
color:var(--brand)}[data-status=superseded] .status,[data-status=failed] .status{color:#a4442a}
[data-status=superseded]{border-style:dashed}dl{display:grid;grid-template-columns:max-content 1fr;
gap:.15rem 1rem;margin:.6rem 0}dt,caption,.soft{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere
}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:.6rem 0 0}caption{
text-align:start;padding:.3rem 0}th,td{text-align:start;vertical-align:top;padding:.35rem .6rem
.35rem 0;border-top:1px solid var(--line)}th{font-weight:600}th,.day{white-space:nowrap}
:focus-visible{outline:3px solid #b35c00;outline-offset:2px}
.poster{text-align:center}.poster .code svg{width:min(90vw,120mm);height:auto;background:#fff}
.poster h1{font-size:2rem}
@media(prefers-color-scheme:dark){:root{--ink:#e7edf2;--soft:#a9b6c1;--line:#4a5a66;--brand:#6fd3b5}
body{background:#12181d}article{background:#1b242b}[data-status=superseded] .status,
[data-status=failed] .status{color:#f0a08a}:focus-visible{outline-color:#f0a500}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#333;--line:#999;--brand:#000}
body,article{background:none;font-size:10.5pt}main{padding:0;max-width:none}nav,.more{display:none}
article,tr{break-inside:avoid}.scroll{overflow:visible}h2{break-after:avoid}@page{size:A4;
margin:15mm}}
"""

TEXTS = {
    "zh": {
        "title": "{name} 公示", "other": "English", "yes": "是", "no": "否", "between": "、",
        "none": "还没有公示。", "away": "暂时无法显示，请稍后刷新本页。", "older": "更早的",
        "newest": "最新的", "label": "张贴用二维码", "colon": "：",
        "scan": "手机扫码，查看本校公示、投诉与建议", "complain": "投诉与建议",
        "days": "周一 周二 周三 周四 周五 周六 周日", "day": "{0:%Y-%m-%d}（{1}）",
    },
    "en": {
        "title": "{name}: published", "other": "中文", "yes": "yes", "no": "no", "between": ", ",
        "none": "Nothing is published yet.",
        "away": "Cannot be shown just now. Reload in a moment.",
        "older": "Earlier", "newest": "The newest", "label": "QR code to put up", "colon": ": ",
        "scan": "Scan to read what this school publishes, to complain or suggest",
        "complain": "Complaints and suggestions",
        "days": "Mon Tue Wed Thu Fri Sat Sun", "day": "{1} {0:%Y-%m-%d}",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A public view's rows on a page: None where they cannot be had now. `parts`: what belongs to
    a row, by the row's id: the other view, the column that names the row, and the rows.
    """

    view: Made
    rows: Sequence[Row] | None
    following: str | None = None
    parts: Sequence[tuple[Made, str, Sequence[Row]]] = ()


class Reader:
    """A page in one language."""

    def __init__(self, lang: str) -> None:
        self.lang, self.texts = lang, TEXTS[lang]

    def page(self, address: str, name: str, sections: Iterable[Section], *, older: bool) -> str:
        """The whole page; `older`: it shows a later part of one section only."""
        title = self.texts["title"].format(name=name)
        other = "en" if self.lang == "zh" else "zh"
        links = [(f"{address}?lang={other}", self.texts["other"], leaflet.LANGUAGES[other])]
        if older:
            links.append((self._here(address), self.texts["newest"], leaflet.LANGUAGES[self.lang]))
        links.append(
            (f"{address}/complaint?lang={self.lang}", self.texts["complain"],
             leaflet.LANGUAGES[self.lang])
        )  # fmt: skip
        links.append(
            (f"{address}/label?lang={self.lang}", self.texts["label"], leaflet.LANGUAGES[self.lang])
        )
        nav = "".join(
            f'<a href="{escape(to)}" lang="{lang}">{escape(text)}</a>' for to, text, lang in links
        )
        body = "".join(self._section(one, address) for one in sections)
        body = f"<main><h1>{escape(title)}</h1><nav>{nav}</nav>{body}</main>"
        return leaflet.whole(title, body, STYLE, self.lang)

    def poster(self, name: str, url: str) -> str:
        """What a school puts up at its gate: its page as a code, in both languages."""
        texts = "".join(
            f'<p lang="{lang}">{escape(TEXTS[name]["scan"])}</p>'
            for name, lang in leaflet.LANGUAGES.items()
        )
        drawn = leaflet.code(url, url)
        body = f'<main class="poster"><h1>{escape(name)}</h1>{drawn}{texts}<p>{escape(url)}</p>'
        return leaflet.whole(name, f"{body}</main>", STYLE, self.lang)

    def _here(self, address: str, **more: str) -> str:
        return f"{address}?{urlencode({'lang': self.lang} | more)}"

    def _section(self, section: Section, address: str) -> str:
        view = section.view
        if section.rows is None:
            shown = f'<p role="status">{escape(self.texts["away"])}</p>'
        elif not section.rows:
            shown = f'<p class="soft">{escape(self.texts["none"])}</p>'
        else:
            shown = "".join(self._article(section, row) for row in section.rows)
        if section.following:
            to = self._here(address, view=view["name"], cursor=section.following)
            text = f"{self.texts['older']}{self.texts['colon']}{view['label']}"
            shown += f'<p class="more"><a href="{escape(to)}">{escape(text)}</a></p>'
        return f"<section><h2>{escape(view['label'])}</h2>{shown}</section>"

    def _article(self, section: Section, row: Row) -> str:
        view = section.view
        columns = [column for column in view["columns"] if column["kind"] not in HIDDEN]
        titles = [column for column in columns if column["name"] in view["title"]]
        title = self.texts["between"].join(self._titled(one, row, view) for one in titles)
        status = next((one for one in columns if one["name"] == "status"), None)
        head, marked = f"<h3>{escape(title)}</h3>", ""
        if status is not None:
            text = escape(self.text(status, row["status"], view))
            head += f'<span class="status">{text}</span>'
            marked = f' data-status="{escape(str(row["status"]))}"'
        rest = [column for column in columns if column not in (*titles, status)]
        tables = [(one["label"], one["item"]["fields"], row[one["name"]])
                  for one in rest if is_table(one)]  # fmt: skip
        for part, column, rows in section.parts:
            fields = [one for one in part["columns"] if one["name"] != column]
            tables.append(
                (part["label"], fields, [one for one in rows if one[column] == row["id"]])
            )
        drawn = "".join(self._table(*one, view) for one in tables)
        facts = self._facts([one for one in rest if not is_table(one)], row, view)
        return f"<article{marked}><header>{head}</header>{facts}{drawn}</article>"

    def _titled(self, column: Made, row: Row, view: Made) -> str:
        """What names a row; anything but a name of its own says what it is."""
        text = self.text(column, row[column["name"]], view)
        named = column["kind"] in {"text", "longtext"}
        return text if named else f"{column['label']}{self.texts['colon']}{text}"

    def _facts(self, columns: Iterable[Made], row: Row, view: Made) -> str:
        told = ((one["label"], self.text(one, row[one["name"]], view)) for one in columns)
        made = (f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in told if text)
        facts = "".join(made)
        return f"<dl>{facts}</dl>" if facts else ""

    def _table(self, label: str, fields: Iterable[Made], rows: Sequence[Row], view: Made) -> str:
        """Columns that hold anything; nothing where there are no rows."""
        shown = [
            (field, [self.text(field, row[field["name"]], view) for row in rows])
            for field in fields
            if field["kind"] not in HIDDEN
        ]
        shown = [(field, texts) for field, texts in shown if any(texts)]
        if not shown:
            return ""
        head = "".join(f'<th scope="col">{escape(field["label"])}</th>' for field, _ in shown)
        cells = [
            [f"<td{DAY if field['kind'] == 'date' else ''}>{escape(text)}</td>" for text in texts]
            for field, texts in shown
        ]
        body = "".join(f"<tr>{''.join(line)}</tr>" for line in zip(*cells, strict=True))
        caption = escape(label)
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
            f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            "</table></div>"
        )

    def text(self, field: Made, value: Any, view: Made) -> str:
        """A value as people read it; nothing for nothing."""
        if value is None or value == "":
            return ""
        if isinstance(value, list):
            item = {**field["item"], "name": field["name"]}
            return self.texts["between"].join(self.text(item, one, view) for one in value)
        if isinstance(value, bool):
            return self.texts["yes" if value else "no"]
        text = str(value)
        match field["kind"]:
            case "choice":
                labels = {str(one["value"]): one["label"] for one in field["options"]}
                return str(labels.get(text, text))
            case "date":
                day = date.fromisoformat(text)
                return self.texts["day"].format(day, self.texts["days"].split()[day.weekday()])
            case "datetime":
                return f"{datetime.fromisoformat(text).astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
            case "integer" | "decimal":
                return f"{text} {field['unit']['label']}" if "unit" in field else text
            case _:
                pass
        known = words_of(view["service"]).find("values", f"{field['name']}.{text}")
        return known._asdict()[self.lang] if known else text


def is_table(column: Made) -> bool:
    """Whether a column holds things with fields of their own."""
    return bool(column["kind"] == "list" and column["item"]["kind"] == "object")
