// What a day at work brings: an alert that arrives by itself and is answered where it stands, labels
// to stick on things, a page on paper. Run by test_browser.py.
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { PORTAL, context, open, signIn, until, violations } from "./browser.mjs"

const [HEAD] = process.env.HOUQIN_EVERYBODY.split(",")
/** A damage that somebody else has reported and nobody assessed yet. */
const { id: DAMAGE, item: ITEM } = JSON.parse(process.env.HOUQIN_DAMAGE)
const organisation = process.env.HOUQIN_EVERYBODY_UNIT
/** Processes that are started again when they end. */
const PIDS = JSON.parse(process.env.HOUQIN_PIDS)
const STAMP = Date.now()

let browser
before(async () => {
  browser = await open()
})
after(async () => await browser.close())

async function as(person, options, act) {
  const page = await context(browser, options)
  try {
    await signIn(page, person)
    const made = await act(page)
    assert.deepEqual(page.errors, [])
    return made
  } finally {
    await page.context().close()
  }
}

/** A record entered from elsewhere meanwhile. */
async function entered(page, path, body) {
  return await page.evaluate(async ({ path, body }) => {
    const { csrf } = await (await fetch("/session")).json()
    const headers = { "Houqin-Csrf": csrf, "Idempotency-Key": crypto.randomUUID(), "Content-Type": "application/json" }
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) })
    const said = await answer.json()
    if (!answer.ok) throw new Error(JSON.stringify(said))
    return said.id
  }, { path, body })
}

test("an alert arrives without a reload, and is acknowledged, explained and resolved in its place", async () => {
  await as(HEAD, { size: "phone" }, async (page) => {
    await page.getByRole("link", { name: "告警" }).click()
    await page.locator("main .tag.good").first().waitFor() // it listens
    await entered(page, `/api/assets/damages/${DAMAGE}/assess`, { cause: "wilful", replacement_cost_cny: "900" })
    const alert = page.locator("article", { hasText: ITEM })
    await alert.waitFor({ timeout: 20000 })
    for (const [command, field, status] of [["确认收到告警", "note", "已确认"], ["说明情况", "explanation", "已说明"]]) {
      await alert.getByRole("button", { name: command, exact: true }).first().click()
      await alert.locator(`#f-${field}`).fill("班主任已了解情况")
      await alert.locator("form button.main").click()
      await alert.locator(".tag", { hasText: status }).waitFor()
    }
    assert.deepEqual(await violations(page), [])
    await alert.getByRole("button", { name: "办结告警", exact: true }).click()
    await alert.locator("#f-resolution").fill("已照价赔偿")
    await alert.locator("form button.main").click()
    await alert.waitFor({ state: "detached" })
  })
})

test("labels are printed for what was ticked, and a thing on paper has nothing to press", async () => {
  await as(HEAD, {}, async (page) => {
    const card = { organisation, tag: `L-${STAMP}`, name: "课桌", category: "A02010105", measure_unit: "张", value_cny: "320", acquired_on: "2025-09-01", source: "purchase" }
    await entered(page, "/api/assets/cards", card)
    await page.goto(`${PORTAL}/list/asset_ledger?q=L-${STAMP}`)
    await page.getByRole("button", { name: "二维码标签" }).click()
    const sheet = page.context().waitForEvent("page")
    await page.getByRole("link", { name: "打印 1 张标签" }).click()
    const labels = await sheet
    await labels.getByText(`L-${STAMP}`).waitFor()
    assert.equal(await labels.locator("svg").count(), 1)
    assert.deepEqual(await violations(labels), [])
    await labels.close()

    await page.getByRole("link", { name: `L-${STAMP}` }).click()
    await page.getByRole("heading", { name: "办理经过" }).waitFor()
    await page.emulateMedia({ media: "print" })
    assert.equal(await page.getByText("课桌").first().isVisible(), true)
    for (const gone of ["nav", "header.top", "main .unprinted"]) {
      for (const one of await page.locator(gone).all()) assert.equal(await one.isVisible(), false, gone)
    }
    const paper = await page.pdf({ format: "A4" })
    assert.equal(paper.subarray(0, 5).toString(), "%PDF-")
  })
})

test("the portal and the service are killed while a record is on its way, and it arrives once", async () => {
  await as(HEAD, { size: "phone" }, async (page) => {
    const place = `配电房 ${STAMP}`
    let tries = 0
    await page.route("**/api/assets/repairs", async (route) => {
      if (route.request().method() !== "POST") return await route.continue()
      tries += 1
      if (tries === 1) process.kill(PIDS.portal, "SIGKILL") // it never arrives
      if (tries !== 2) return await route.continue()
      const answer = await route.fetch() // it arrives, and nobody hears that it did
      process.kill(PIDS.assets, "SIGKILL")
      assert.equal(answer.status(), 201)
      return await route.abort()
    })
    await page.goto(`${PORTAL}/do/ReportRepair`)
    await page.locator("#f-kind").selectOption("electric")
    await page.locator("#f-place").fill(place)
    await page.locator("form button.main").click()
    await page.getByRole("heading", { name: /已保存，等待发送/ }).waitFor()
    await until(async () => (await fetch(`${PORTAL}/health`).catch(() => null))?.ok)
    await page.goto(`${PORTAL}/outbox`)
    await until(async () => {
      if (await page.locator(".tag", { hasText: "已录入" }).count()) return true
      await page.getByRole("button", { name: "立即发送" }).click({ force: true })
      return false
    })
    assert.ok(tries >= 3)
    const { items } = await page.evaluate(async (asked) => await (await fetch(asked)).json(), `/api/assets/repairs?q=${encodeURIComponent(place)}`)
    assert.deepEqual(items.map((row) => row.place), [place])
  })
})

test("a service in trouble holds back nothing but its own, and its record can be given up", async () => {
  const reason = { reason: "服务内部出错", next_step: "稍后再试" }
  const problem = { status: 500, slug: "internal", zh: reason, en: reason, errors: [] }
  await as(HEAD, { size: "phone" }, async (page) => {
    await page.route("**/api/assets/repairs", async (route) => (route.request().method() === "POST" ? await route.fulfill({ status: 500, json: problem }) : await route.continue()))
    await page.goto(`${PORTAL}/do/ReportRepair`)
    await page.locator("#f-kind").selectOption("electric")
    await page.locator("#f-place").fill(`机房 ${STAMP}`)
    await page.locator("form button.main").click()
    await page.getByRole("heading", { name: /已保存，等待发送/ }).waitFor()
    await page.goto(`${PORTAL}/do/ReportDamage`)
    await page.locator("#f-cause").selectOption("wilful")
    await page.locator("#f-item").fill("窗帘")
    await page.locator("#f-place").fill("机房")
    await page.locator("form button.main").click()
    await page.getByRole("heading", { name: /：已录入/ }).waitFor()
    await page.goto(`${PORTAL}/outbox`)
    await page.getByText("服务内部出错").waitFor()
    page.once("dialog", (asked) => asked.accept())
    await page.getByRole("button", { name: "放弃" }).click()
    await page.getByText("服务内部出错").waitFor({ state: "detached" })
  })
})

test("a switch of unit that nobody has heard is none", async () => {
  await as(HEAD, { size: "phone" }, async (page) => {
    const unit = page.getByLabel("当前单位")
    const before = await unit.inputValue()
    const other = await unit.locator("option").evaluateAll((all, now) => all.map((one) => one.value).find((one) => one !== now), before)
    await page.context().setOffline(true)
    let said = ""
    page.once("dialog", async (told) => {
      said = told.message()
      await told.accept()
    })
    await unit.selectOption(other)
    await until(() => said)
    assert.match(said, /没有切换/)
    assert.equal(await unit.inputValue(), before)
  })
})
