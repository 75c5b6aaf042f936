"""The pages of a school's complaint box 投诉信箱 as HTML: without a script, for any phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

from services.portal import leaflet
from services.portal.fields import Made
from services.portal.public_page import STYLE as READING
from services.portal.public_page import Reader
from shared.problems import FieldError

type Values = Mapping[str, str]

STYLE = (
    READING
    + """
article{max-width:36rem}form{display:grid;gap:1rem}label,legend{display:block;font-weight:600;
margin:0 0 .3rem}fieldset{border:0;padding:0;margin:0}legend{padding:0}.choice{
display:inline-flex;gap:.5rem;align-items:center;min-height:44px;margin-inline-end:1.5rem;
font-weight:400}.choice input{
width:1.25rem;height:1.25rem;accent-color:var(--brand)}input,select,textarea{font:inherit;
color:inherit;background:transparent}.wide{width:100%;box-sizing:border-box;min-height:44px;
padding:.5rem .7rem;border:1px solid #7b8794;border-radius:.4rem}option{background:Canvas;
color:CanvasText}button{font:inherit;font-weight:600;min-height:48px;padding:.4rem 1.4rem;border:0;
border-radius:.4rem;background:#0b6b53;color:#fff;cursor:pointer;justify-self:start}.bad{
color:#a4442a;margin:.3rem 0 0}[aria-invalid]{border-color:#a4442a;border-width:2px}.trap{
position:absolute;left:-200vw}.receipt{font:600 1.5rem/1.6 ui-monospace,Menlo,Consolas,monospace;
letter-spacing:.06em;overflow-wrap:anywhere;border:2px dashed var(--brand);border-radius:.6rem;
padding:.6rem 1rem;margin:1rem 0;text-align:center}p.text{white-space:pre-wrap}
@media(prefers-color-scheme:dark){.bad{color:#f0a08a}[aria-invalid]{border-color:#f0a08a}}
"""
)

TEXTS = {
    "zh": {
        "title": "{name} 投诉与建议", "other": "English", "back": "本校公示",
        "about": "不用登录，可以不留姓名。学校必须在规定期限内答复，逾期自动上报教育局。"
        "您写的内容加密保存，只有校长、总务主任、安全员和教育局的人能看到；"
        "平台管理员负责维护，也能看到。",
        "names": "请写明时间、地点和经过。",
        "optional": "（选填）", "contact": "电话或微信，便于学校向您核实。不填也能凭回执查询答复。",
        "choose": "请选择", "send": "提交", "trap": "请留空",
        "filed": "已提交", "keep": "这是您的回执，请抄下或截屏保存。凭它查看办理情况和答复；"
        "遗失后无法找回。", "due": "应在 {due_on} 前答复",
        "follow": "凭回执查询", "receipt": "回执", "look": "查询",
        "look_for": "输入提交时得到的 16 位回执。", "unknown": "没有这个回执，请核对后重新输入",
        "file": "投诉与建议", "wrong": "有 {count} 处需要修改",
        "away": "暂时没有提交成功，请过一会儿再按“提交”，不会重复提交。",
    },
    "en": {
        "title": "{name}: complaints and suggestions", "other": "中文",
        "back": "What this school publishes",
        "about": "No account and no name is needed. The school must answer within the term; what "
        "is late is reported to the education bureau by itself. What you write is kept encrypted; "
        "only the principal, the logistics director, the safety officer and the bureau's people "
        "can read it, and whoever administers the platform.",
        "names": "Say when and where it happened, and what.",
        "optional": " (optional)",
        "contact": "Phone number or other contact, in case the school has to ask. You can read the "
        "answer with your receipt without it.",
        "choose": "Choose", "send": "Send", "trap": "Leave this empty",
        "filed": "It has been filed", "keep": "This is your receipt: write it down or take a "
        "screenshot. It shows how far the matter has come, and the answer; it cannot be recovered.",
        "due": "To be answered by {due_on}",
        "follow": "Follow it by receipt", "receipt": "Receipt", "look": "Look",
        "look_for": "Enter the receipt of 16 letters and digits that you got.",
        "unknown": "There is no such receipt: check it and enter it again",
        "file": "Complaints and suggestions", "wrong": "{count} to be corrected",
        "away": "It could not be sent just now. Press “Send” again in a moment: it is filed once.",
    },
}  # fmt: skip


class Box:
    """The pages for one school in one language; `command` and `view` as the catalogue has them."""

    def __init__(self, lang: str, name: str, address: str, command: Made, view: Made) -> None:
        self.lang, self.name, self.address = lang, name, address
        self.texts, self.view = TEXTS[lang], view
        self.fields = {field["name"]: field for field in command["fields"]}

    def form(self, receipt: str, values: Values, errors: Sequence[FieldError], said: str) -> str:
        """What is filled in; with what was filled in before and what is wrong with it. `said`: what
        is in the way that is no field's fault.
        """
        texts, told = self.texts, {one.field: getattr(one, self.lang) for one in errors}
        wrong = said or (texts["wrong"].format(count=len(told)) if told else "")
        alert = f'<p class="bad" role="alert">{escape(wrong)}</p>' if wrong else ""
        parts = "".join(
            self._part(name, values.get(name, ""), told.get(name, "")) for name in self.fields_shown
        )
        trap = (
            f'<p class="trap" aria-hidden="true"><label for="website">{texts["trap"]}</label>'
            '<input id="website" name="website" tabindex="-1" autocomplete="off"></p>'
        )
        kept = f'<input type="hidden" name="receipt" value="{escape(receipt)}">'
        sent = f"<button>{texts['send']}</button>"
        body = (
            f"<p>{texts['about']}</p>{alert}"
            f'<article><form method="post" action="{self._here("complaint")}">'
            f"{kept}{parts}{trap}{sent}</form></article>"
        )
        return self._whole(body, "receipt", texts["follow"])

    fields_shown = ("kind", "topic", "text", "contact")

    def filed(self, receipt: str, shown: Mapping[str, Any]) -> str:
        """What whoever has filed it takes along."""
        parts = "-".join(receipt[n : n + 4] for n in range(0, len(receipt), 4))
        due = self.texts["due"].format(due_on=shown["due_on"])
        body = (
            f'<h2>{self.texts["filed"]}</h2><p class="receipt">{parts}</p>'
            f"<p>{self.texts['keep']}</p><p>{escape(due)}</p>"
        )
        return self._whole(body, "receipt", self.texts["follow"])

    def asked(self, receipt: str, *, unknown: bool, said: str = "") -> str:
        """Where the receipt is entered. `said`: what is in the way that is not its fault."""
        texts = self.texts
        told = texts["unknown"] if unknown else escape(said)
        wrong = f'<p class="bad" id="bad" role="alert">{told}</p>' if told else ""
        marked = ' aria-invalid="true" aria-describedby="bad"' if unknown else ""
        body = (
            f'<article><form method="post" action="{self._here("receipt")}"><div>'
            f'<label for="receipt">'
            f'{texts["receipt"]}</label><input class="wide" id="receipt" name="receipt" required '
            f'autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="40" '
            f'value="{escape(receipt)}"{marked}><p class="soft">{texts["look_for"]}</p>{wrong}'
            f"</div><button>{texts['look']}</button></form></article>"
        )
        return self._whole(body, "complaint", texts["file"])

    def status(self, shown: Mapping[str, Any]) -> str:
        """How far it has come."""
        reader = Reader(self.lang)
        columns = [one for one in self.view["columns"] if one["name"] in shown]
        told = ((one, reader.text(one, shown[one["name"]], self.view)) for one in columns)
        facts = "".join(
            f'<dt>{escape(one["label"])}</dt><dd><p class="text">{escape(text)}</p></dd>'
            for one, text in told
            if text
        )
        return self._whole(f"<article><dl>{facts}</dl></article>", "complaint", self.texts["file"])

    def _part(self, name: str, value: str, wrong: str) -> str:
        field, hint = self.fields[name], {"text": "names", "contact": "contact"}.get(name)
        label = escape(field["label"]) + ("" if name != "contact" else self.texts["optional"])
        about = f'<p class="soft" id="{name}-hint">{self.texts[hint]}</p>' if hint else ""
        bad = f'<p class="bad" id="{name}-bad">{escape(wrong)}</p>' if wrong else ""
        described = " ".join(f"{name}-{one}" for one in ["hint"] * bool(hint) + ["bad"] * bool(bad))
        marks = f' aria-describedby="{described}"' if described else ""
        marks += ' aria-invalid="true"' if wrong else ""
        if name == "kind":
            return f"<fieldset><legend>{label}</legend>{self._kinds(field, value)}</fieldset>{bad}"
        control = {"topic": self._topics, "text": self._text, "contact": self._line}[name]
        drawn = control(field, value, marks)
        return f'<div><label for="{name}">{label}</label>{drawn}{about}{bad}</div>'

    def _kinds(self, field: Made, value: str) -> str:
        chosen = value or str(field["default"])
        return "".join(
            f'<label class="choice"><input type="radio" name="kind" value="{one["value"]}"'
            f"{' checked' * (one['value'] == chosen)}>{escape(one['label'])}</label>"
            for one in field["options"]
        )

    def _topics(self, field: Made, value: str, marks: str) -> str:
        options = "".join(
            f'<option value="{one["value"]}"{" selected" * (one["value"] == value)}>'
            f"{escape(one['label'])}</option>"
            for one in field["options"]
        )
        first = f'<option value="">{self.texts["choose"]}</option>'
        opened = f'<select class="wide" id="topic" name="topic" required{marks}>'
        return f"{opened}{first}{options}</select>"

    def _text(self, field: Made, value: str, marks: str) -> str:
        return (
            f'<textarea class="wide" id="text" name="text" rows="7" required{marks} '
            f'minlength="{field["min_length"]}" maxlength="{field["max_length"]}">'
            f"{escape(value)}</textarea>"
        )

    def _line(self, field: Made, value: str, marks: str) -> str:
        return (
            f'<input class="wide" id="contact" name="contact" autocomplete="off"{marks} '
            f'maxlength="{field["max_length"]}" value="{escape(value)}">'
        )

    def _here(self, page: str, lang: str = "") -> str:
        return escape(f"{self.address}/{page}?{urlencode({'lang': lang or self.lang})}")

    def _whole(self, body: str, other_page: str, other_text: str) -> str:
        title = self.texts["title"].format(name=self.name)
        other = "en" if self.lang == "zh" else "zh"
        nav = "".join(
            f'<a href="{to}" lang="{leaflet.LANGUAGES[lang]}">{escape(text)}</a>'
            for to, lang, text in (
                (self._here("complaint", other), other, self.texts["other"]),
                (escape(f"{self.address}?lang={self.lang}"), self.lang, self.texts["back"]),
                (self._here(other_page), self.lang, other_text),
            )
        )
        whole = f"<main><h1>{escape(title)}</h1><nav>{nav}</nav>{body}</main>"
        return leaflet.whole(title, whole, STYLE, self.lang)
