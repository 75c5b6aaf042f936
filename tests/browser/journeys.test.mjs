// What people do in a real browser, on the running platform. Run by test_browser.py.
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { PORTAL, context, open, signIn, until, violations, weight } from "./browser.mjs"

let browser
before(async () => {
  browser = await open()
})
after(async () => await browser.close())

const FORM_KB_MAX = 130
const PLACE = `锅炉房 ${Date.now()}`

/** A page of somebody's own for one test; nothing in it may have complained. */
async function as(person, options, act) {
  const page = await context(browser, options)
  try {
    await signIn(page, person)
    await act(page)
    assert.deepEqual(page.errors, [])
  } finally {
    await page.context().close()
  }
}

async function fillHazard(page, place) {
  await page.getByLabel("地点", { exact: true }).fill(place)
  await page.getByLabel("隐患情况").fill("压力表失灵，指针不动")
  await page.locator("#f-category").evaluate((one) => one.scrollIntoView())
  await chooseFirst(page, "#f-category")
}

/** Presses the way out in the person's menu. */
async function leave(page) {
  await page.getByRole("button", { name: /^(teacher|safety)$/ }).click()
  await page.getByRole("button", { name: "退出登录", exact: true }).click()
}

async function signedOut(page, act) {
  await act()
  await page.getByRole("button", { name: "登录", exact: true }).waitFor()
}

/** How much the device holds of a person, by kind. */
async function keptOf(page, subject) {
  return await page.evaluate(async (name) => {
    const done = (asked) => new Promise((resolve) => (asked.onsuccess = () => resolve(asked.result)))
    const database = await done(indexedDB.open(name))
    const kinds = ["known", "rows", "drafts", "outbox"]
    const counts = await Promise.all(kinds.map((kind) => done(database.transaction(kind).objectStore(kind).count())))
    database.close()
    return Object.fromEntries(kinds.map((kind, n) => [kind, counts[n]]))
  }, `houqin-of-${subject}`)
}

/** Chooses something in a choice, whatever control it is drawn as. */
async function chooseFirst(page, id) {
  const control = page.locator(id)
  if (await control.evaluate((one) => one.tagName === "SELECT")) return await control.selectOption({ index: 1 })
  if (await control.evaluate((one) => one.tagName === "INPUT")) {
    await control.click()
    return await page.locator(".el-select-dropdown__item:visible").first().click()
  }
  await control.locator("label").first().click()
}

test("whoever is not signed in meets the door, and afterwards sees where they work", async () => {
  const page = await context(browser)
  await page.goto(`${PORTAL}/list/hazard_register`)
  await page.getByRole("button", { name: "登录", exact: true }).waitFor()
  await signIn(page, "teacher")
  await page.getByText("测试第一小学").first().waitFor()
  await page.context().close()
})

test("a form says at the field what is missing, then what the service refuses, then that it is recorded", async () => {
  await as("teacher", { size: "phone" }, async (page) => {
    await page.goto(`${PORTAL}/do/ReportHazard`)
    const send = page.getByRole("button", { name: "报告隐患" })
    await send.click()
    await page.locator("#f-place-error").waitFor()
    assert.equal(await page.evaluate(() => document.activeElement?.hasAttribute("data-problem")), true)
    await fillHazard(page, PLACE)
    await page.locator("details summary").click()
    await page.locator("#f-occurred_at").fill("2099-01-01T08:00")
    await send.click()
    await page.locator("#f-occurred_at-error").waitFor()
    await page.locator("#f-occurred_at").fill("")
    await send.click()
    await page.getByRole("heading", { name: "报告隐患：已录入" }).waitFor()
    await page.getByRole("link", { name: "查看" }).click()
    await page.getByRole("heading", { name: "办理经过" }).waitFor()
    await page.getByText("发现隐患").first().waitFor()
  })
})

test("a list is searched by its address, and says what to do when nothing fits", async () => {
  await as("safety", {}, async (page) => {
    await page.goto(`${PORTAL}/list/hazard_register?q=${encodeURIComponent(PLACE)}`)
    await page.locator("tbody tr").first().waitFor()
    assert.equal(await page.locator("tbody tr").count(), 1)
    await page.getByLabel("搜索，可用拼音首字母").fill("没有这样的地方")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "没有符合条件的记录" }).waitFor()
    assert.match(page.url(), /q=/)
  })
})

test("what is typed is there again after the tab was closed", async () => {
  await as("teacher", {}, async (page) => {
    await page.goto(`${PORTAL}/do/ReportHazard`)
    await page.getByLabel("地点", { exact: true }).fill("体育馆")
    await until(async () => (await keptOf(page, "teacher")).drafts === 1)
    const again = await page.context().newPage()
    await page.close()
    await again.goto(`${PORTAL}/do/ReportHazard`)
    await again.getByText("已恢复上次没填完的内容").waitFor()
    assert.equal(await again.getByLabel("地点", { exact: true }).inputValue(), "体育馆")
    await again.getByRole("button", { name: "重新填写" }).click()
  })
})

test("whoever signs out leaves nothing for the next person, and what is unsent only for themselves", async () => {
  const page = await context(browser, { size: "phone" })
  await signIn(page, "teacher", "/do/ReportHazard")
  await page.getByLabel("地点", { exact: true }).fill("阅览室")
  await until(async () => (await keptOf(page, "teacher")).drafts === 1)
  assert.equal((await keptOf(page, "teacher")).known, 1)
  await leave(page)
  await page.getByText("有 1 张表单没填完").waitFor()
  await signedOut(page, () => page.getByRole("button", { name: "留在本设备并退出" }).click())
  assert.deepEqual(await keptOf(page, "teacher"), { known: 0, rows: 0, drafts: 1, outbox: 0 })
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), [])

  await signIn(page, "safety", "/do/ReportHazard")
  await page.locator("#f-place").waitFor()
  assert.equal(await page.getByText("已恢复上次没填完的内容").count(), 0)
  assert.equal(await page.getByLabel("地点", { exact: true }).inputValue(), "")
  await signedOut(page, () => leave(page))
  assert.deepEqual(await keptOf(page, "safety"), { known: 0, rows: 0, drafts: 0, outbox: 0 })

  await signIn(page, "teacher", "/do/ReportHazard")
  await page.getByText("已恢复上次没填完的内容").waitFor()
  await leave(page)
  page.once("dialog", (asked) => asked.accept())
  await signedOut(page, () => page.getByRole("button", { name: "全部删除并退出" }).click())
  assert.deepEqual(await keptOf(page, "teacher"), { known: 0, rows: 0, drafts: 0, outbox: 0 })
  await page.context().close()
})

test("whoever leaves without network is signed out as soon as there is one", async () => {
  const page = await context(browser, { size: "phone" })
  await signIn(page, "teacher")
  await page.evaluate(async () => await navigator.serviceWorker.ready)
  await page.reload()
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
  await page.locator("main h1").first().waitFor()
  await page.context().setOffline(true)
  await leave(page)
  await page.getByRole("button", { name: "登录", exact: true }).click()
  await page.getByText("现在连接不上，暂时不能登录").waitFor()
  await page.context().setOffline(false)
  await page.goto(PORTAL)
  await page.getByRole("button", { name: "登录", exact: true }).waitFor()
  await until(async () => !(await page.evaluate(async () => (await (await fetch("/session")).json()).signed_in)))
  await page.context().close()
})

test("without network a form opens, is kept over a reload, and arrives exactly once", async () => {
  await as("teacher", { size: "phone" }, async (page) => {
    const place = `${PLACE} 断网`
    await page.evaluate(async () => await navigator.serviceWorker.ready)
    await page.reload()
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
    await page.locator("main h1").first().waitFor()
    await page.context().setOffline(true)
    await page.goto(`${PORTAL}/do/ReportHazard`)
    await fillHazard(page, place)
    await page.getByRole("button", { name: "报告隐患" }).click()
    await page.getByRole("heading", { name: "报告隐患：已保存，等待发送" }).waitFor()
    await page.goto(`${PORTAL}/outbox`)
    await page.locator(".tag", { hasText: "待发送" }).first().waitFor()
    await page.context().setOffline(false)
    await page.locator(".tag", { hasText: "已录入" }).first().waitFor({ timeout: 20000 })
    const found = await page.evaluate(async (wanted) => {
      const answer = await fetch(`/api/safety/hazards?q=${encodeURIComponent(wanted)}`)
      return (await answer.json()).items.length
    }, place)
    assert.equal(found, 1)
  })
})

const CHECKED = {
  desk: ["/do/RaiseRequisition", "/list/hazard_register", "/services", "/figures", "/search?q=%E6%8A%A5"],
  phone: ["/", "/do/RaiseRequisition", "/list/hazard_register", "/outbox", "/alerts"],
}
for (const [size, paths] of Object.entries(CHECKED)) {
  test(`no accessibility violation on the main pages (${size})`, async () => {
    await as("head", { size }, async (page) => {
      for (const path of paths) {
        await page.goto(PORTAL + path)
        await page.locator("main h1").first().waitFor()
        await page.waitForLoadState("networkidle")
        assert.deepEqual(await violations(page), [], path)
      }
    })
  })
}

for (const size of ["desk", "phone"]) {
  test(`a form page weighs at most ${FORM_KB_MAX} kB of script and style before fonts (${size})`, async () => {
    await as("teacher", { size }, async (page) => {
      await page.goto(`${PORTAL}/do/ReportHazard`)
      await page.locator("#f-place").waitFor()
      const bytes = await weight(page)
      console.log(`form page, ${size}: ${(bytes / 1000).toFixed(1)} kB`)
      assert.ok(bytes > 10_000 && bytes <= FORM_KB_MAX * 1000, `${bytes} bytes`)
    })
  })
}

test("a requisition is approved in two taps from the first page, and says who is next", async () => {
  await as("director", { size: "phone" }, async (page) => {
    await page.getByRole("link", { name: process.env.HOUQIN_PURPOSE }).click()
    await page.getByText("0 / 2").waitFor()
    await page.getByText("由您审批").waitFor()
    await page.waitForLoadState("networkidle")
    assert.deepEqual(await violations(page), [])
    await page.getByRole("button", { name: "同意 ¥1,600.00" }).click()
    await page.getByText("审批通过：已录入").waitFor()
    await page.getByText("1 / 2").waitFor()
    await page.getByText("下一步：校长").waitFor()
    assert.equal(await page.getByRole("button", { name: /^同意/ }).count(), 0)
  })
})

test("the language changes everything that is said", async () => {
  await as("head", {}, async (page) => {
    const told = page.waitForResponse((answer) => answer.url().endsWith("/session/language"))
    await page.getByRole("button", { name: "EN" }).click()
    await told
    await page.getByRole("link", { name: "All forms and lists" }).waitFor()
    await page.goto(`${PORTAL}/do/ReportHazard`)
    await page.getByRole("heading", { name: "Report a hazard" }).waitFor()
    const said = await page.locator("main").innerText()
    assert.doesNotMatch(said.replace("测试第一小学", ""), /[\u4e00-\u9fff]/)
  })
})
