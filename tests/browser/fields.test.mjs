// Lists, people, spreadsheets, conflicts and complaints as people meet them. Run by test_browser.py.
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { PORTAL, context, open, reopen, signIn, violations } from "./browser.mjs"

const SCHOOL = "2143000001"
const STAMP = Date.now()
const TEXT = `周三午餐的肉没有熟透 ${STAMP}`
const RECEIPT = /[0-9A-Z]{4}(-[0-9A-Z]{4}){3}/

let browser
before(async () => {
  browser = await open()
})
after(async () => await browser.close())

/** A page of somebody's own; nothing in it may have complained. */
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

/** Asks the portal as whoever is signed in on a page. */
async function api(page, path, body) {
  return await page.evaluate(
    async ([where, sent]) => {
      const { csrf } = await (await fetch("/session")).json()
      const headers = { "Houqin-Csrf": csrf, "Idempotency-Key": crypto.randomUUID(), "Content-Type": "application/json" }
      const answer = await fetch(where, sent ? { method: "POST", headers, body: JSON.stringify(sent) } : {})
      return await answer.json()
    },
    [path, body],
  )
}

async function complaint(page) {
  const { items } = await api(page, "/api/organisation/complaints?sort=-filed_on&limit=500")
  return items.find((one) => one.text === TEXT)
}

/** Files a complaint as a parent would: by phone, without an account, without any script. */
async function file(page) {
  await page.goto(`${PORTAL}/public/${SCHOOL}`)
  await page.getByRole("link", { name: "投诉与建议" }).click()
  await page.getByLabel("事项").selectOption({ label: "食堂与饮食" })
  await page.getByLabel("内容").fill(TEXT)
  await page.getByRole("button", { name: "提交" }).click()
  return RECEIPT.exec(await page.locator(".receipt").innerText())[0]
}

test("a parent complains without an account, the school answers, and everybody reads what came of it", async () => {
  const parent = await browser.newContext({ viewport: { width: 390, height: 844 }, javaScriptEnabled: false })
  const page = await parent.newPage()
  const receipt = await file(page)

  await as("head", {}, async (head) => {
    const [post] = (await api(head, "/api/organisation/posts?person=safety")).items
    await api(head, `/api/organisation/staff/${post.id}/name`, { full_name: "王安平" })
    const { id } = await complaint(head)
    await head.goto(`${PORTAL}/do/AssignComplaint/${id}?view=complaint_list`)
    await head.locator("#f-handler").click()
    await head.getByRole("combobox", { name: "承办人" }).fill("wap")
    await head.getByRole("option", { name: "王安平 · 安全管理员" }).click()
    await head.getByRole("button", { name: "交办投诉" }).click()
    await head.getByRole("heading", { name: "交办投诉：已录入" }).waitFor()
    await head.goto(`${PORTAL}/list/complaint_list?handler=safety`)
    await head.locator("tbody tr", { hasText: "王安平" }).first().waitFor()
    await head.waitForLoadState("networkidle")
    assert.deepEqual(await violations(head), [])
  })

  await conflict()

  await page.getByRole("link", { name: "凭回执查询" }).click()
  await page.getByLabel("回执").fill(receipt.toLowerCase().replaceAll("-", " "))
  await page.getByRole("button", { name: "查询" }).click()
  await page.getByText("已更换供货商").waitFor()
  await page.goto(`${PORTAL}/public/${SCHOOL}?lang=en`)
  await page.getByText(`食材复检合格 ${STAMP}`).waitFor()
  assert.equal(await page.getByText(TEXT).count(), 0)
  await parent.close()
})

/** Two people do something about the same thing, one of them without network. */
async function conflict() {
  await as("head", {}, async (head) => {
    const { id } = await complaint(head)
    await head.goto(`${PORTAL}/do/AnswerComplaint/${id}?view=complaint_list`)
    await head.locator("#f-answer").fill("已更换供货商")
    await head.waitForLoadState("networkidle") // the thing was seen as it stands
    await head.context().setOffline(true)
    await head.getByRole("button", { name: "答复投诉" }).click()
    await head.getByRole("heading", { name: "答复投诉：已保存，等待发送" }).waitFor()
    await as("director", {}, async (other) => {
      const told = await api(other, `/api/organisation/complaints/${id}/assign`, { handler: "director" })
      assert.ok(told.id, JSON.stringify(told))
    })
    await head.context().setOffline(false)
    await head.goto(`${PORTAL}/outbox`)
    await head.locator(".tag", { hasText: "有冲突" }).waitFor()
    const changed = head.getByRole("row", { name: /承办人/ })
    await changed.waitFor()
    assert.match(await changed.innerText(), /王安平\s+director/)
    await head.getByRole("row", { name: /答复.*已更换供货商/ }).waitFor()
    await head.getByText("投诉已交办").waitFor()
    assert.deepEqual(await violations(head), [])
    await head.getByRole("button", { name: "按现在的情况仍然提交" }).click()
    await head.locator(".tag", { hasText: "已录入" }).first().waitFor()
    const published = { summary: "午餐肉未熟透", outcome: `食材复检合格 ${STAMP}` }
    await api(head, `/api/organisation/complaints/${id}/publish`, published)
  })
}

test("no accessibility violation on the pages of the complaint box", async () => {
  for (const [path, language] of [["complaint", "zh"], ["receipt", "en"]]) {
    const page = await context(browser, { size: "phone", language })
    await page.goto(`${PORTAL}/public/${SCHOOL}/${path}?lang=${language}`)
    assert.deepEqual(await violations(page), [], path)
    await page.context().close()
  }
})

test("a list is narrowed to several values and days, and its columns stay as they were chosen", async () => {
  await as("safety", {}, async (page) => {
    await page.goto(`${PORTAL}/list/complaint_list`)
    await page.getByRole("button", { name: "筛选" }).click()
    await page.getByLabel(/^状态：/).click()
    await page.getByLabel("已答复").check()
    await page.getByLabel("已收到").check()
    await page.waitForURL(/status=/)
    assert.match(decodeURIComponent(page.url()), /status=(answered,filed|filed,answered)/)
    await page.getByLabel("提交日期，从").fill("2020-01-01")
    await page.waitForURL(/filed_on=2020-01-01/)
    await page.locator("tbody tr", { hasText: "食堂与饮食" }).first().waitFor()
    await page.getByLabel("提交日期，至").fill("2020-01-31")
    await page.getByRole("heading", { name: "没有符合条件的记录" }).waitFor()
    assert.deepEqual(await violations(page), [])
    await page.getByRole("button", { name: "清除条件" }).first().click()
    await page.getByRole("button", { name: "选择栏目" }).click()
    await page.locator(".choosing").getByLabel("应答复日期").uncheck()
    await page.waitForURL(/columns=/)
    await page.goto(`${PORTAL}/list/complaint_list`)
    await page.locator("tbody tr").first().waitFor()
    assert.equal(await page.getByRole("columnheader", { name: "应答复日期" }).count(), 0)
  })
})

const HEADING = ["organisation", "tag", "name", "category", "measure_unit", "quantity", "value_cny", "acquired_on", "source"]
const ROWS = 10_000
const WRONG = 137

/** So many cards as CSV; `wrong` of them, spread over the file, with a quantity that is none. */
function cards(count, wrong) {
  const every = wrong ? Math.floor(count / wrong) : count + 1
  const rows = Array.from({ length: count }, (_, n) => {
    const bad = wrong && n % every === 0 && n / every < wrong
    return [SCHOOL, `F-${STAMP}-${n}`, "课桌", "A05010201", "张", bad ? "许多" : "1", "120.00", "2024-09-01", "购置"]
  })
  const buffer = Buffer.from([HEADING, ...rows].map((row) => row.join(",")).join("\n"))
  return { name: "课桌.csv", mimeType: "text/csv", buffer }
}

test(`a file of ${ROWS} rows with ${WRONG} wrong cells comes back marked, and is entered once it is right`, async () => {
  await as("keeper", {}, async (page) => {
    await page.goto(`${PORTAL}/import/RegisterCard`)
    await page.getByLabel("填好的表格").setInputFiles(cards(ROWS, WRONG))
    await page.getByRole("button", { name: "检查", exact: true }).click()
    await page.getByRole("heading", { name: `${WRONG} 处需要修改，没有录入任何记录` }).waitFor()
    await page.getByRole("cell", { name: "F2 quantity" }).waitFor()
    assert.deepEqual(await violations(page), [])
    const given = page.waitForEvent("download")
    await page.getByRole("button", { name: "下载标注好的表格" }).click()
    const marked = await readFile(await (await given).path())
    assert.equal(marked.subarray(0, 2).toString(), "PK", "a spreadsheet")

    await page.getByLabel("填好的表格").setInputFiles(cards(200, 0))
    await page.getByRole("button", { name: "检查", exact: true }).click()
    await page.getByRole("button", { name: "录入 200 条" }).click()
    await page.getByText("已录入 200 条").waitFor()
    await page.getByRole("button", { name: "检查", exact: true }).click()
    await page.getByText("200 条记录原已录入，内容相同").waitFor()
    await exported(page)
  })
})

/** A list given out as a template is what an import takes: nothing in it is new. */
async function exported(page) {
  await page.goto(`${PORTAL}/list/asset_ledger?q=F-${STAMP}-19`)
  const given = page.waitForEvent("download")
  await page.getByRole("link", { name: "导出为模板" }).click()
  const path = await (await given).path()
  await page.goto(`${PORTAL}/import/RegisterCard`)
  await page.getByLabel("填好的表格").setInputFiles({ name: "台账.xlsx", mimeType: "application/octet-stream", buffer: await readFile(path) })
  await page.getByRole("button", { name: "检查", exact: true }).click()
  await page.getByText("11 条记录原已录入，内容相同").waitFor()
}

test("a record whose answer was lost with the browser arrives exactly once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "houqin-browser-"))
  const place = `水房 ${STAMP}`
  try {
    const first = await reopen(folder)
    await signIn(first, "teacher", "/do/ReportHazard")
    await first.getByLabel("地点", { exact: true }).fill(place)
    await first.getByLabel("隐患情况").fill("水龙头关不上")
    await first.locator("#f-category").selectOption({ index: 1 })
    const arrived = new Promise((resolve) => {
      void first.route("**/api/safety/hazards", async (route) => {
        await route.fetch()
        resolve() // it has been entered, and the browser dies before it hears so
      })
    })
    await first.getByRole("button", { name: "报告隐患" }).click()
    await arrived
    await first.context().close()

    const again = await reopen(folder)
    await signIn(again, "teacher", "/outbox")
    await again.locator(".tag", { hasText: "已录入" }).first().waitFor({ timeout: 20000 })
    const { items } = await api(again, `/api/safety/hazards?q=${encodeURIComponent(place)}`)
    assert.equal(items.length, 1)
    await again.context().close()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
