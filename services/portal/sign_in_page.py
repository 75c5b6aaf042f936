"""The provider's sign-in page, in the language asked for (`ui_locales`). No script at all.

In the demonstration its people stand first, each with role and rights: one click signs in.
"""

from collections.abc import Mapping
from html import escape
from string import Template
from urllib.parse import urlencode

from services.portal import page
from services.portal.accounts import Client, Directory, Person

type Texts = Mapping[str, str]

ZH: Texts = {
    "lang": "zh-CN", "other": "en", "other_name": "English",
    "title": "登录后勤", "to": "登录后进入{client}。",
    "username": "用户名", "password": "密码", "sign_in": "登录",
    "people": "演示人员", "invented": "点一下即可以此人的身份登录。姓名均为虚构。",
    "as": "以{name}（{role}）的身份登录", "by_password": "用户名和密码登录",
    "known": "演示密码都是",
}  # fmt: skip
EN: Texts = {
    "lang": "en", "other": "zh-CN", "other_name": "中文",
    "title": "Sign in to Houqin", "to": "Sign in to continue to {client}.",
    "username": "User name", "password": "Password", "sign_in": "Sign in",
    "people": "People of the demonstration",
    "invented": "One click signs you in as that person. All names are invented.",
    "as": "Sign in as {name} ({role})", "by_password": "Sign in with user name and password",
    "known": "The password of everybody in the demonstration is",
}  # fmt: skip

FORM = Template("""<form method="post" action="authorize">$hidden
<label for="username">$username_label</label>
<input id="username" name="username" value="$username" autocomplete="username"
autocapitalize="none" spellcheck="false" required$described>
<label for="password">$password_label</label>
<input id="password" name="password" type="password" autocomplete="current-password"
required$described>
<p><button>$sign_in</button></p></form>""")
PERSON = Template("""<li><form method="post" action="authorize">$hidden
<input type="hidden" name="username" value="$subject">
<input type="hidden" name="password" value="$password">
<button class="person" aria-label="$label" aria-describedby="may-$subject">
<strong>$role</strong><span>$name</span><small id="may-$subject">$may</small></button>
</form></li>""")


def texts_of(locales: str) -> Texts:
    """The page's texts for the languages asked for, the most wanted first (Core §3.1.2.1)."""
    return EN if locales.strip().lower().startswith("en") else ZH


def sign_in(
    nonce: str,
    client: Client,
    directory: Directory,
    fields: Mapping[str, str],
    *,
    username: str = "",
    problem: tuple[str, str] | None = None,
) -> str:
    """The page; `fields` are the parameters that came, to be sent again with the form."""
    texts = texts_of(fields.get("ui_locales", ""))
    name = client.name_en if texts is EN else client.name_zh
    other = urlencode({**fields, "ui_locales": texts["other"]})
    body = f"<p>{escape(texts['to'].format(client=name))}</p>"
    body += f'<nav><a href="authorize?{escape(other)}" hreflang="{texts["other"]}"'
    body += f' lang="{texts["other"]}">{texts["other_name"]}</a></nav>'
    if problem is not None:
        body += page.message(*problem)
    form = FORM.substitute(
        hidden=_hidden(fields), username=escape(username), username_label=texts["username"],
        password_label=texts["password"], sign_in=texts["sign_in"],
        described="" if problem is None else ' aria-invalid="true" aria-describedby="problem"',
    )  # fmt: skip
    people = [one for one in directory.people if one.demo_password is not None]
    if directory.demo and people:
        body += _demonstration(people, texts, fields, form, open_=problem is not None)
    else:
        body += f"<section>{form}</section>"
    return page.whole(nonce, texts["title"], body, texts["lang"])


def _demonstration(
    people: list[Person], texts: Texts, fields: Mapping[str, str], form: str, *, open_: bool
) -> str:
    listed = "".join(_person(one, texts, _hidden(fields)) for one in people)
    passwords = {one.demo_password for one in people}
    known = f"{texts['known']} {' / '.join(sorted(filter(None, passwords)))}"
    return (
        f'<h2 id="people">{texts["people"]}</h2><p>{texts["invented"]}</p>'
        f'<ul class="people" aria-labelledby="people">{listed}</ul>'
        f"<details{' open' if open_ else ''}><summary>{texts['by_password']}</summary>"
        f"<section>{form}<small>{escape(known)}</small></section></details>"
    )


def _person(person: Person, texts: Texts, hidden: str) -> str:
    english = texts is EN
    name = person.name_en if english else person.name_zh
    role = person.role_en if english else person.role_zh
    shown = {
        "subject": person.subject, "password": person.demo_password or "", "name": name,
        "role": role, "may": person.may_en if english else person.may_zh,
        "label": texts["as"].format(name=name, role=role),
    }  # fmt: skip
    return PERSON.substitute({key: escape(text) for key, text in shown.items()}, hidden=hidden)


def _hidden(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )
