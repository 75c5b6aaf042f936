// Administration as its people do it: posts lent and taken back, rules, the trail with its proofs,
// and how the services are doing. Run by test_browser.py.
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { violations, context, open, PORTAL, signIn } from "./browser.mjs"

let browser
before(async () => {
  browser = await open()
})
after(async () => await browser.close())

/** A page of somebody's own; neither it nor axe may have complained at the end. */
async function as(person, options, to, act) {
  const page = await context(browser, options)
  try {
    await signIn(page, person, to)
    await act(page)
    assert.deepEqual(await violations(page), [])
    assert.deepEqual(page.errors, [])
  } finally {
    await page.context().close()
  }
}

test("a teacher lends her post for a day by phone, and takes it back", async () => {
  await as("teacher", { size: "phone" }, "/admin/delegations", async (page) => {
    await page.getByRole("button", { name: /^教师/ }).click()
    const dialog = page.getByRole("dialog")
    await dialog.locator("#f-to").click()
    const sheet = page.locator("dialog.sheet[open]", { has: page.getByRole("heading", { name: "受托人" }) })
    await sheet.getByRole("searchbox").fill("user-9")
    await sheet.locator(".choice", { hasText: "user-9" }).click()
    await dialog.locator("#f-last_day").fill(await page.evaluate(() => new Date(Date.now() + 864e5).toISOString().slice(0, 10)))
    await dialog.locator("#f-reason").fill("外出培训")
    await dialog.getByRole("button", { name: "委托岗位" }).click()
    const card = page.locator("section li", { hasText: "user-9" })
    await card.waitFor()
    await card.getByRole("button", { name: /^终止委托/ }).click()
    await page.getByRole("dialog").getByRole("button", { name: "终止委托" }).click()
    await page.locator("summary", { hasText: "已结束" }).waitFor()
    assert.equal(await card.count(), 0)
  })
})

test("who holds what, and what each role may do", async () => {
  await as("county-officer", {}, "/admin", async (page) => {
    await page.getByRole("link", { name: /^岗位与权限/ }).click()
    await page.getByLabel("查找人员或单位").fill("buyer")
    await page.locator("tbody tr", { hasText: "采购员" }).first().waitFor()
    assert.deepEqual(await violations(page), [])
    await page.getByRole("button", { name: "岗位权限" }).click()
    await page.getByLabel("业务").selectOption("procurement")
    const row = page.locator("tr", { has: page.getByRole("rowheader", { name: "填写请购单" }) })
    assert.ok((await row.locator(".dot").count()) > 1)
    await page.getByLabel("岗位", { exact: true }).selectOption("cook")
    await page.getByRole("heading", { name: "安全", exact: true }).waitFor()
    assert.equal(await page.getByText("编制年度预算").count(), 0)
  })
})

test("a rule is changed from a day on, and the change is withdrawn", async () => {
  await as("county-officer", { language: "en" }, "/admin/rules", async (page) => {
    await page.getByLabel("Find a rule").fill("lent")
    await page.getByRole("link", { name: /How long a post may be lent/ }).click()
    await page.getByRole("button", { name: "Change this rule" }).click()
    await page.locator("fieldset input[type=number]").first().fill("45")
    await page.locator("#f-since").fill("2099-09-01")
    await page.getByRole("button", { name: "Publish a rule" }).click()
    const next = page.locator("section", { hasText: "From 2099-09-01 on" })
    await next.getByText("45", { exact: true }).waitFor()
    assert.deepEqual(await violations(page), [])
    await page.getByRole("button", { name: /^Withdraw a rule/ }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Withdraw a rule" }).click()
    await next.waitFor({ state: "detached" })
  })
})

test("an entry of the trail is found, leads to its thing, and is proved", async () => {
  await as("county-officer", {}, "/admin/audit?service=organisation&kind=StaffAppointed", async (page) => {
    const rows = page.locator("tbody")
    await rows.first().waitFor()
    assert.ok((await rows.locator("a[href^='/list/']").count()) > 0)
    await rows.last().getByRole("button", { name: "验证" }).click()
    await page.getByText("验证通过").waitFor()
    assert.deepEqual(await violations(page), [])
    await page.getByLabel("经办人").fill("nobody-at-all")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "没有符合条件的记录" }).waitFor()
  })
})

test("how the services are doing, on a phone, and only for an administrator", async () => {
  await as("administrator", { size: "phone", language: "en" }, "/admin/health", async (page) => {
    const details = page.getByRole("button", { name: /^All figures/ })
    await details.first().waitFor()
    assert.equal(await details.count(), 6)
    await details.first().click()
    await page.getByRole("button", { name: /^What to do: .*Relay lag/ }).click()
    await page.getByText("Events are in the log, but have not reached Kafka").waitFor()
  })
  await as("teacher", {}, "/admin", async (page) => {
    await page.getByRole("link", { name: /^规则/ }).waitFor()
    assert.equal(await page.getByRole("link", { name: /^运行状态/ }).count(), 0)
  })
})
