"""The pages made here: sign in, and what went wrong. No script, nothing fetched."""

import secrets
from collections.abc import Callable, Mapping
from html import escape
from string import Template
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

from services.portal.accounts import Client, Directory, Person

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

STYLE = """
body{font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei",sans-serif;margin:0;color:#1d2733;
background:#f3f6f8}main{max-width:42rem;margin:0 auto;padding:1.5rem 1rem 3rem}h1{font-size:1.5rem}
small{color:#52606d;display:block}section{background:#fff;border:1px solid #d5dde3;padding:1rem;
border-radius:.6rem;margin:1rem 0}label{display:block;margin:.6rem 0}input{font:inherit;width:100%;
box-sizing:border-box;min-height:44px;padding:.4rem .6rem;border:1px solid #7b8794;
border-radius:.4rem}button{font:inherit;min-height:44px;padding:.4rem 1.2rem;border:0;
border-radius:.4rem;background:#0b6b53;color:#fff;cursor:pointer}.bad{background:#fdecea;
border-color:#c0392b}li{list-style:none;border-top:1px solid #e4e9ed;padding:.6rem 0}ul{padding:0}
li form{display:flex;gap:1rem;justify-content:space-between;align-items:center}
:focus-visible{outline:3px solid #f0a500;outline-offset:2px}
@media(prefers-color-scheme:dark){body{background:#12181d;color:#e7edf2}
section{background:#1b242b;border-color:#33414c}small{color:#a9b6c1}.bad{background:#45201c}
input{background:#12181d;color:inherit}li{border-color:#33414c}}
"""
PAGE = Template("""<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style nonce="$nonce">$style</style></head><body><main>
<h1>$title</h1>$body</main></body></html>""")
FORM = Template("""<section><form method="post" action="authorize">$hidden
<label>用户名 <span lang="en">User name</span>
<input name="username" value="$username" autocomplete="username" required autofocus></label>
<label>密码 <span lang="en">Password</span>
<input name="password" type="password" autocomplete="current-password" required></label>
<button>登录 <span lang="en">Sign in</span></button></form></section>""")
DEMO_PERSON = Template("""<li><form method="post" action="authorize">$hidden
<input type="hidden" name="username" value="$subject">
<input type="hidden" name="password" value="$password">
<span><b>$name_zh</b> · $role_zh：$may_zh
<small lang="en">$name_en · $role_en: $may_en</small>
<small>用户名 <span lang="en">user name</span> <code>$subject</code>
密码 <span lang="en">password</span> <code>$password</code></small></span>
<button aria-label="登录 $name_zh">登录</button></form></li>""")
WRONG = "用户名或密码不对。", "The user name or the password is wrong."
LOCKED = (
    "多次输错，已锁定，请 15 分钟后再试。",
    "Too many failures: locked, try again in 15 minutes.",
)


NOT_SIGNED_IN = "没有登录成功。", "The sign-in did not succeed."
PROVIDER_AWAY = (
    "身份服务暂时没有回答，请稍后再试。",
    "The sign-in service does not answer just now. Try again in a moment.",
)
NOT_BUILT = (
    "网页还没有构建：请先运行 make web，再刷新本页；各服务的接口在 /api 下。",
    "The web application is not built yet: run `make web`, then reload. APIs are under /api.",
)


def _hidden(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )


def _message(zh: str, en: str) -> str:
    return (
        f'<section class="bad" role="alert">{escape(zh)}'
        f'<small lang="en">{escape(en)}</small></section>'
    )


def _person(person: Person, hidden: str) -> str:
    texts = person.model_dump(exclude={"argon2", "demo_password"})
    safe = {name: escape(value) for name, value in texts.items()}
    return DEMO_PERSON.substitute(safe, hidden=hidden, password=escape(person.demo_password or ""))


def sign_in(
    nonce: str,
    client: Client,
    directory: Directory,
    fields: Mapping[str, str],
    *,
    username: str = "",
    problem: tuple[str, str] | None = None,
) -> str:
    """The form; in demo mode also the seeded people, each with a button to sign in as."""
    hidden = _hidden(fields)
    body = (
        f"<p>登录后进入{escape(client.name_zh)}。"
        f'<small lang="en">Sign in to continue to {escape(client.name_en)}.</small></p>'
    )
    if problem is not None:
        body += _message(*problem)
    body += FORM.substitute(hidden=hidden, username=escape(username))
    people = [p for p in directory.people if p.demo_password is not None]
    if directory.demo and people:
        body += (
            "<section><h2>演示人员</h2><p>姓名均为虚构。"
            '<small lang="en">People of the demonstration; all names are invented.</small></p><ul>'
        )
        body += "".join(_person(person, hidden) for person in people) + "</ul></section>"
    return PAGE.substitute(title="后勤 · 登录", nonce=nonce, style=STYLE, body=body)


def failure(nonce: str, zh: str, en: str, again: str = "") -> str:
    """A page that says what went wrong; `again`: where to try once more."""
    body = _message(zh, en)
    if again:
        body += (
            f'<p><a class="button" href="{escape(again)}">再试一次 '
            '<span lang="en">Try again</span></a></p>'
        )
    return PAGE.substitute(title="后勤 Houqin", nonce=nonce, style=STYLE, body=body)


def html(text: Callable[[str], str], status: int = 200, redirect_uri: str = "") -> HTMLResponse:
    """A page under a policy that allows nothing but its own style and its own form."""
    nonce = secrets.token_urlsafe(12)
    there = urlsplit(redirect_uri)
    # Browsers apply form-action to the redirect after the form, too.
    target = f" {there.scheme}://{there.netloc}" if there.netloc else ""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'{target}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        **NO_STORE,
    }
    return HTMLResponse(text(nonce), status, headers)
