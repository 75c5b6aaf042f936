"""Pages made here, for when there is no application to show them. No script, nothing fetched."""

import secrets
from collections.abc import Callable
from html import escape
from string import Template
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

STYLE = """
:root{color-scheme:light dark}body{font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei",
sans-serif;margin:0;color:#1d2733;background:#f3f6f8}main{max-width:60rem;margin:0 auto;
padding:1.5rem 1rem 3rem}h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:1.2rem 0 0}
small{color:#52606d;display:block}section{background:#fff;border:1px solid #d5dde3;padding:1rem;
border-radius:.6rem;margin:1rem 0;max-width:26rem}label{display:block;margin:.6rem 0 .2rem}
input{font:inherit;width:100%;box-sizing:border-box;min-height:44px;padding:.4rem .6rem;
border:1px solid #7b8794;border-radius:.4rem}button,.button{font:inherit;min-height:44px;
padding:.4rem 1.2rem;border:0;border-radius:.4rem;background:#0b6b53;color:#fff;cursor:pointer;
display:inline-block;box-sizing:border-box;text-decoration:none}a{color:#0b6b53}nav a,summary{
display:inline-block;min-height:44px;line-height:44px;cursor:pointer}.bad{background:#fdecea;
border-color:#c0392b}ul.people{list-style:none;padding:0;display:grid;gap:.6rem;
grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr))}.people form,
.person{height:100%}
.person{width:100%;text-align:start;background:#fff;color:inherit;border:1px solid #b9c4cc;
padding:.7rem .9rem}.person:hover{border-color:#0b6b53;background:#eef6f3}.person span{
margin-inline-start:.6rem}:focus-visible{outline:3px solid #b35c00;outline-offset:2px}
@media(prefers-color-scheme:dark){body{background:#12181d;color:#e7edf2}a{color:#6fd3b5}
section,.person{background:#1b242b;border-color:#4a5a66}small{color:#a9b6c1}.bad{background:#45201c}
.person:hover{background:#22303a}input{background:#12181d;color:inherit}
:focus-visible{outline-color:#f0a500}}
"""
PAGE = Template("""<!doctype html>
<html lang="$lang"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style nonce="$nonce">$style</style></head><body><main>
<h1>$title</h1>$body</main></body></html>""")
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


def whole(nonce: str, title: str, body: str, lang: str = "zh-CN") -> str:
    """A page of that title; `body` is HTML."""
    return PAGE.substitute(title=title, nonce=nonce, style=STYLE, body=body, lang=lang)


def message(zh: str, en: str) -> str:
    """What went wrong, in both languages."""
    return (
        f'<section class="bad" role="alert" id="problem">{escape(zh)}'
        f'<small lang="en">{escape(en)}</small></section>'
    )


def failure(nonce: str, zh: str, en: str, again: str = "") -> str:
    """A page that says what went wrong; `again`: where to try once more."""
    body = message(zh, en)
    if again:
        body += (
            f'<p><a class="button" href="{escape(again)}">再试一次 '
            '<span lang="en">Try again</span></a></p>'
        )
    return whole(nonce, "后勤 Houqin", body)


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
