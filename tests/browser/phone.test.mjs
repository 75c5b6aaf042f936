// What people do with a phone in their hand: labels scanned, repairs reported, schools inspected.
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { context, open, PORTAL, signIn, until, violations } from "./browser.mjs"

const RUN = Date.now()
const TAG = `P${RUN}`
const TODAY = new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Shanghai" }).format(new Date())

let browser
let folder
/** A card of the school, its label as a picture in `folder`; an inspection planned for today. */
let card
let inspection

before(async () => {
  browser = await open()
  folder = await mkdtemp(join(tmpdir(), "houqin-phone-"))
  await as("keeper", {}, labelled)
  await as("safety", {}, planned)
})
after(async () => {
  await browser.close()
  await rm(folder, { recursive: true })
})

/** A page of somebody's own for one test; nothing in it may have complained. */
async function as(person, options, act) {
  const page = await context(browser, { size: "phone", ...options })
  try {
    await signIn(page, person)
    await act(page)
    assert.deepEqual(page.errors, [])
  } finally {
    await page.context().close()
  }
}

/** Enters a record as the person whose page it is, as the page itself would. */
async function enter(page, path, body = {}) {
  const asked = { path: `/api${path}`, body, key: randomUUID() }
  return await page.evaluate(async ({ path, body, key }) => {
    const { csrf } = await (await fetch("/session")).json()
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key, "Houqin-Csrf": csrf }
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) })
    const said = await answer.json()
    if (!answer.ok) throw new Error(JSON.stringify(said))
    return said
  }, asked)
}

async function read(page, path) {
  return await page.evaluate(async (asked) => await (await fetch(asked)).json(), `/api${path}`)
}

async function unitOf(page) {
  return await page.evaluate(async () => (await (await fetch("/session")).json()).unit.id)
}

async function labelled(page) {
  const organisation = await unitOf(page)
  const bought = { category: "A02021000", measure_unit: "台", value_cny: "5200", acquired_on: "2024-09-01", source: "purchase" }
  card = (await enter(page, "/assets/cards", { organisation, tag: TAG, name: "饮水机", place: "教学楼二楼", ...bought })).id
  await page.goto(`${PORTAL}/portal/labels?view=asset_ledger&ids=${card}`)
  await page.locator(".code svg").screenshot({ path: join(folder, "label.png"), scale: "css" })
}

async function planned(page) {
  const organisation = await unitOf(page)
  const items = [["一", "灭火器在有效期内", "2"], ["二", "疏散通道畅通", "3"], ["三", "应急照明正常", "3"], ["四", "实验室药品双人双锁", "2"]]
  const drafted = items.map(([code, text_zh, points], n) => ({ code, text_zh, points, veto: n === 1, category: "fire" }))
  const checklist = (await enter(page, "/safety/checklists", { organisation, title: `消防检查 ${RUN}`, kind: "fire", items: drafted })).id
  await enter(page, `/safety/checklists/${checklist}/publish`)
  inspection = (await enter(page, "/safety/inspections", { organisation, checklist, planned_on: TODAY, inspectors: ["safety"] })).id
}

/** Reloads until the application is there without network. */
async function installed(page) {
  await page.evaluate(async () => await navigator.serviceWorker.ready)
  await page.reload()
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
  await page.locator("main h1").first().waitFor()
}

/** Touches as people do, and counts how often. */
function fingers(page) {
  const taps = { count: 0 }
  taps.on = async (locator) => {
    taps.count += 1
    await locator.tap()
  }
  return taps
}

/** A finger that moves across the card from one side to the other. */
async function swipe(page, way) {
  await page.locator("article").evaluate((card, xs) => {
    const types = ["pointerdown", "pointermove", "pointermove", "pointerup"]
    for (const [n, clientX] of xs.entries()) card.dispatchEvent(new PointerEvent(types[n], { bubbles: true, pointerType: "touch", clientX }))
  }, way === "left" ? [300, 200, 80, 80] : [80, 200, 300, 300])
}

test("a repair is reported by its label in five taps from the first page", async () => {
  await as("teacher", {}, async (page) => {
    const taps = fingers(page)
    await taps.on(page.getByRole("link", { name: "扫码" }))
    taps.count += 1 // the picture is chosen in the phone's own gallery
    await page.getByLabel("从照片识别").setInputFiles(join(folder, "label.png"))
    await page.getByRole("heading", { name: new RegExp(TAG) }).waitFor()
    await taps.on(page.getByRole("link", { name: "报修", exact: true }))
    await page.locator("form strong", { hasText: "饮水机" }).waitFor()
    await taps.on(page.getByText("设备", { exact: true }))
    await taps.on(page.getByRole("button", { name: "提交报修" }))
    await page.getByRole("heading", { name: "报修：已录入" }).waitFor()
    assert.equal(taps.count, 5)
    const { items } = await read(page, `/assets/repairs?card=${card}`)
    assert.deepEqual(items.map((row) => [row.kind, row.place, row.reporter]), [["equipment", "教学楼二楼", "teacher"]])
  })
})

test("without a camera a label is read from a picture or typed, and a foreign code is said to be one", async () => {
  await as("teacher", {}, async (page) => {
    await page.goto(`${PORTAL}/scan`)
    await page.getByText("这台设备没有摄像头").waitFor()
    assert.deepEqual(await violations(page), [])
    const typed = page.getByLabel("标签上的编号")
    await typed.fill("https://example.com/pay?to=1")
    await typed.press("Enter")
    await page.getByText("这不是本平台的标签").waitFor()
    await page.getByLabel("从照片识别").setInputFiles(join(folder, "label.png"))
    await page.waitForURL(`**/list/asset_ledger/${card}`)
    await page.goto(`${PORTAL}/scan`)
    await typed.fill(TAG)
    await typed.press("Enter")
    await page.getByRole("link", { name: new RegExp(TAG) }).first().waitFor()
    await page.goto(`${PORTAL}/go/asset_ledger/${card}`)
    await page.getByRole("heading", { name: new RegExp(TAG) }).waitFor()
  })
})

test("a thing that a form refers to is scanned where it is picked", async () => {
  await as("keeper", {}, async (page) => {
    await page.goto(`${PORTAL}/do/ReportRepair`)
    await page.locator("#f-card").tap()
    await page.getByRole("button", { name: "扫描标签" }).tap()
    await page.getByLabel("从照片识别").setInputFiles(join(folder, "label.png"))
    await page.getByRole("button", { name: /：饮水机/ }).waitFor()
  })
})

test("without network a repair is reported in four taps and a place, and arrives once", async () => {
  await as("teacher", {}, async (page) => {
    await installed(page)
    await page.context().setOffline(true)
    const taps = fingers(page)
    await taps.on(page.getByRole("link", { name: "报修", exact: true }))
    await taps.on(page.locator("#f-place"))
    await page.keyboard.type(`音乐教室 ${RUN}`)
    await taps.on(page.getByText("窗", { exact: true }))
    await taps.on(page.getByRole("button", { name: "提交报修" }))
    await page.getByRole("heading", { name: "报修：已保存，等待发送" }).waitFor()
    assert.equal(taps.count, 4)
    await page.context().setOffline(false)
    await page.getByRole("link", { name: "待发送" }).first().tap()
    await page.locator(".tag", { hasText: "已录入" }).first().waitFor({ timeout: 20_000 })
    const { items } = await read(page, `/assets/repairs?q=${encodeURIComponent(`音乐教室 ${RUN}`)}`)
    assert.equal(items.length, 1)
  })
})

test("an inspection is swiped through without network, survives a reload, and is concluded once", async () => {
  await as("safety", {}, async (page) => {
    await installed(page)
    await page.goto(`${PORTAL}/inspect/${inspection}`)
    await page.getByText("灭火器在有效期内").waitFor()
    assert.deepEqual(await violations(page), [])
    await page.context().setOffline(true)
    await page.getByRole("button", { name: "符合", exact: true }).tap()
    await page.getByText("疏散通道畅通").waitFor()
    await swipe(page, "left")
    await page.getByText("应急照明正常").waitFor()
    await page.getByRole("button", { name: "不符合" }).tap()
    await page.getByLabel("备注").fill("三楼两盏不亮")
    await swipe(page, "right")
    await page.getByText("疏散通道畅通").waitFor()
    await page.keyboard.press("1")
    await page.getByText("应急照明正常").waitFor()
    await page.reload()
    await page.getByText("实验室药品双人双锁").waitFor()
    await page.getByText("已评 3 / 4 项").first().waitFor()
    await page.getByRole("button", { name: "不适用" }).tap()
    await page.getByLabel("备注").fill("小学没有实验室")
    await page.getByRole("button", { name: "总览" }).tap()
    await page.getByText("合格线 6.4").waitFor()
    await page.getByText("5 / 8").waitFor()
    await page.getByRole("button", { name: "签字定论" }).tap()
    await page.getByRole("heading", { name: /已保存，等待发送/ }).waitFor()
    await page.reload()
    await page.getByRole("heading", { name: /已保存，等待发送/ }).waitFor()
    await page.context().setOffline(false)
    await page.goto(`${PORTAL}/outbox`)
    const path = `/safety/inspections/${inspection}`
    await until(async () => (await read(page, path)).status === "failed")
    const row = await read(page, path)
    assert.deepEqual([Number(row.score), Number(row.full_points), row.failed_count], [5, 8, 1])
    const { items } = await read(page, `${path}/history`)
    assert.equal(items.filter((one) => one.type === "InspectionFailed").length, 1)
  })
})

test("at a desk the same inspection is a list, and one on the spot is begun from its checklist", async () => {
  await as("safety", { size: "desk", language: "en" }, async (page) => {
    await page.goto(`${PORTAL}/list/inspection_register/${inspection}`)
    await page.getByText("三楼两盏不亮").waitFor()
    await page.goto(`${PORTAL}/inspect/on-the-spot`)
    await page.locator("#f-checklist").click()
    await page.getByRole("combobox", { name: "Checklist" }).fill(String(RUN))
    await page.locator(".el-select-dropdown__item", { hasText: String(RUN) }).click()
    await page.getByRole("button", { name: "Begin the inspection" }).click()
    await page.locator("article").first().waitFor()
    assert.equal(await page.locator("article").count(), 4)
    await page.locator("article").first().getByRole("button", { name: "Met", exact: true }).click()
    await page.getByText("1 of 4 judged").first().waitFor()
    assert.deepEqual(await violations(page), [])
  })
})

for (const size of ["desk", "phone"]) {
  test(`no accessibility violation where repairs and inspections begin (${size})`, async () => {
    await as("safety", { size }, async (page) => {
      for (const path of ["/repair", "/inspect"]) {
        await page.goto(PORTAL + path)
        await page.locator("main h1").first().waitFor()
        await page.waitForLoadState("networkidle")
        assert.deepEqual(await violations(page), [], path)
      }
    })
  })
}
