// The week's menu from the first dish to its correction, and a county's figures down to the paper.
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { PORTAL, context, open, signIn, until, violations } from "./browser.mjs"

const { HOUQIN_COOK: COOK, HOUQIN_HEAD: HEAD, HOUQIN_KITCHEN: KITCHEN } = process.env
const COUNTY = "431081"
const TOWN = "431081100"
const DAY_MS = 86_400_000

let browser
before(async () => {
  browser = await open()
})
after(async () => await browser.close())

async function as(person, options, path, act) {
  const page = await context(browser, options)
  try {
    await signIn(page, person, path)
    await act(page)
    assert.deepEqual(page.errors, [])
  } catch (error) {
    error.stack += `\n${page.url()}\n${page.errors.join("\n")}\n${(await page.locator("main").innerText()).slice(0, 1500)}`
    throw error
  } finally {
    await page.context().close()
  }
}

/** Monday of the week to come, in business time. */
function nextMonday() {
  const today = Date.parse(new Date(Date.now() + DAY_MS / 3).toISOString().slice(0, 10))
  const ahead = 7 - ((new Date(today).getUTCDay() + 6) % 7)
  return new Date(today + ahead * DAY_MS).toISOString().slice(0, 10)
}

const WEEK = nextMonday()
const BOARD = `/menu/${WEEK}`

async function add(page, ...dishes) {
  await page.getByRole("button", { name: "加菜：周一午餐" }).click()
  for (const dish of dishes) await page.locator("dialog .choice", { hasText: dish }).click()
  await page.getByRole("button", { name: "完成" }).click()
}

async function save(page) {
  await page.getByRole("button", { name: "保存并检查" }).click()
  await page.locator("[role=status]", { hasText: "已录入" }).waitFor()
}

/** Runs in the page: whether a draft has been written down. */
async function isKept(name) {
  const done = (asked) => new Promise((resolve) => (asked.onsuccess = () => resolve(asked.result)))
  const database = await done(indexedDB.open(name))
  const count = await done(database.transaction("drafts").objectStore("drafts").count())
  database.close()
  return count > 0
}

const standing = (page, day, name) => page.locator(`[data-dish^="${day} lunch"]`, { hasText: name })

test("a week's menu is planned: found by pinyin, moved by key, checked by the service", async () => {
  await as(COOK, {}, BOARD, async (page) => {
    await page.getByRole("heading", { name: "这一周还没有食谱" }).waitFor()
    await page.getByLabel("6～8岁").check()
    await page.getByRole("button", { name: "加菜：周一午餐" }).click()
    await page.getByLabel("菜名、原料或拼音首字母").fill("hsr")
    await page.waitForFunction(() => document.querySelectorAll("dialog .choice").length === 1)
    await page.keyboard.press("Enter")
    await page.locator("dialog .choice[aria-pressed=true]", { hasText: "红烧肉" }).waitFor()
    await page.getByRole("button", { name: "完成" }).click()
    const tuesday = new Date(Date.parse(WEEK) + DAY_MS).toISOString().slice(0, 10)
    await standing(page, WEEK, "红烧肉").press("Alt+ArrowRight")
    await standing(page, tuesday, "红烧肉").press("Alt+ArrowLeft")
    await standing(page, WEEK, "红烧肉").waitFor()
    await save(page)
    await page.locator("thead .tag.bad", { hasText: "处须改正" }).waitFor()
    await page.getByText("菜品不足：汤 0 / 1").waitFor()
    await add(page, "清蒸草鱼", "炒小白菜", "家常豆腐", "番茄汤")
    await save(page)
    await page.locator("thead .tag.good", { hasText: "符合要求" }).waitFor()
    await page.getByText("75 g").first().waitFor()
    await page.getByText("大豆").first().waitFor()
    assert.deepEqual(await violations(page), [])
  })
})

test("the head publishes it by phone, and a correction leaves the former version and its reason", async () => {
  await as(HEAD, { size: "phone" }, BOARD, async (page) => {
    await standing(page, WEEK, "番茄汤").waitFor()
    assert.deepEqual(await violations(page), [])
    await page.getByRole("button", { name: "公示食谱" }).click()
    await page.getByRole("button", { name: "确认公示" }).click()
    await page.getByText("公示食谱：已录入").waitFor()
    await page.locator(".tag.good", { hasText: "公示中" }).waitFor()
  })
  await as(COOK, {}, BOARD, async (page) => {
    await standing(page, WEEK, "红烧肉").press("Delete")
    await add(page, "板栗烧鸡")
    await save(page)
  })
  await as(HEAD, {}, BOARD, async (page) => {
    await page.getByRole("button", { name: "更正已公示食谱" }).click()
    await page.getByLabel("更正原因").fill("五花肉没有到货")
    await page.getByRole("button", { name: "确认公示" }).click()
    await page.getByText("更正：五花肉没有到货").waitFor()
    await page.getByRole("button", { name: "查看内容" }).last().click()
    await page.locator("dd", { hasText: "红烧肉" }).waitFor()
  })
})

test("what is planned is there again after the tab was closed", async () => {
  await as(COOK, { size: "phone" }, `${BOARD}/%E4%BA%8C`, async (page) => {
    await page.getByLabel("6～8岁").check()
    await add(page, "番茄汤")
    await until(() => page.evaluate(isKept, `houqin-of-${COOK}`))
    const again = await page.context().newPage()
    await page.close()
    await again.goto(`${PORTAL}${BOARD}/%E4%BA%8C`)
    await again.getByText("已恢复上次没填完的内容").waitFor()
    await standing(again, WEEK, "番茄汤").waitFor()
    await again.getByRole("button", { name: "放弃修改" }).click()
  })
})

test("a dish is dragged to another day, days are swiped through, the week after begins as a copy", async () => {
  const tuesday = new Date(Date.parse(WEEK) + DAY_MS).toISOString().slice(0, 10)
  const after = new Date(Date.parse(WEEK) + 7 * DAY_MS).toISOString().slice(0, 10)
  await as(COOK, {}, BOARD, async (page) => {
    await standing(page, WEEK, "番茄汤").waitFor()
    const days = await page.locator("thead th").count()
    const soups = page.locator("tbody tr", { hasText: "番茄汤" }).first().locator("td")
    await standing(page, WEEK, "番茄汤").dragTo(soups.nth(1))
    await standing(page, tuesday, "番茄汤").waitFor()
    assert.equal(await standing(page, WEEK, "番茄汤").count(), 0)
    assert.equal(await page.locator("thead th").count(), days)
    await page.getByRole("button", { name: "放弃修改" }).first().click()
    await standing(page, WEEK, "番茄汤").waitFor()
  })
  await as(COOK, { size: "phone" }, BOARD, async (page) => {
    await standing(page, WEEK, "番茄汤").waitFor()
    const finger = await page.context().newCDPSession(page)
    const touch = async (type, ...xs) => await finger.send("Input.dispatchTouchEvent", { type, touchPoints: xs.map((x) => ({ x, y: 500 })) })
    await touch("touchStart", 300)
    await touch("touchMove", 200)
    await touch("touchMove", 100)
    await touch("touchEnd")
    await page.locator("nav.tabs button[aria-pressed=true]", { hasText: "周二" }).waitFor()
    assert.equal(await standing(page, WEEK, "番茄汤").count(), 0)
  })
  await as(COOK, {}, `/menu/${after}`, async (page) => {
    await page.getByRole("button", { name: "照搬上周" }).click()
    await standing(page, after, "板栗烧鸡").waitFor()
    await page.locator("thead .tag.good", { hasText: "符合要求" }).waitFor()
  })
})

test("from a county's figure to the paper in three clicks, each page in one request", async () => {
  await as("county-officer", {}, "/", async (page) => {
    await page.getByRole("heading", { name: "资兴市一览" }).waitFor()
    await page.locator(".panel").first().waitFor()
    assert.deepEqual(await violations(page), [])
    const asked = []
    page.on("request", (request) => request.url().includes("/api/reporting/") && asked.push(new URL(request.url()).pathname))
    await page.goto(`${PORTAL}/figures?of=nutrition`)
    const figure = page.locator("a.tile", { hasText: "公示食谱（周）" })
    await figure.waitFor()
    assert.deepEqual(asked.filter((one) => /dashboards|figures/.test(one)), ["/api/reporting/dashboards"])
    assert.deepEqual(await violations(page), [])
    await figure.click()
    await page.locator("a.tile", { hasText: KITCHEN }).click()
    await page.getByRole("heading", { name: "数据来源" }).scrollIntoViewIfNeeded()
    await page.locator("td a", { hasText: "食谱已公示" }).first().click()
    await page.getByRole("heading", { name: "办理经过" }).waitFor()
    await page.getByText("更正：五花肉没有到货").waitFor()
  })
})

test("units as a table, and on the county's own map once it has adopted one", async () => {
  await as("administrator", {}, "/", async (page) => {
    const county = await page.evaluate(async (code) => (await (await fetch(`/api/organisation/units?code=${code}`)).json()).items[0].id, COUNTY)
    await page.goto(`${PORTAL}/figures/nutrition.menus_published?unit=${county}&level=township`)
    await page.getByRole("button", { name: "表格", exact: true }).click()
    await page.locator("tbody th", { hasText: "唐洞中心校" }).waitFor()
    await page.getByRole("button", { name: "地图" }).click()
    await page.getByText("资兴市还没有采用自己的地图").waitFor()
    await page.getByRole("button", { name: "采用区域地图" }).click()
    await page.getByLabel("审图号").fill("GS(2026)0001号")
    await page.getByLabel("地图来源").fill("测试用方块")
    const shape = (code) => ({ type: "Feature", properties: { code }, geometry: { type: "Polygon", coordinates: [[[113.2, 25.9], [113.6, 25.9], [113.6, 26.2], [113.2, 26.2], [113.2, 25.9]]] } })
    const file = (code) => ({ name: "county.geojson", mimeType: "application/geo+json", buffer: Buffer.from(JSON.stringify({ type: "FeatureCollection", features: [shape(code)] })) })
    await page.getByLabel("GeoJSON 文件").setInputFiles(file("431081999"))
    await page.getByRole("button", { name: "采用区域地图" }).last().click()
    await page.getByText("没有代码为431081999的单位").first().waitFor()
    await page.getByLabel("GeoJSON 文件").setInputFiles(file(TOWN))
    await page.getByRole("button", { name: "采用区域地图" }).last().click()
    await page.getByText("审图号：GS(2026)0001号").waitFor()
    await page.locator(".map svg").waitFor()
    await page.waitForLoadState("networkidle")
    assert.deepEqual(await violations(page), [])
  })
})

test("figures on a phone", async () => {
  await as("county-officer", { size: "phone" }, "/figures?of=nutrition", async (page) => {
    await page.locator("a.tile").first().waitFor()
    assert.deepEqual(await violations(page), [])
    await page.goto(`${PORTAL}/county`)
    await page.locator(".panel").first().waitFor()
    await page.waitForLoadState("networkidle")
    assert.deepEqual(await violations(page), [])
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(wider <= 0, `${wider} px beyond the screen`)
  })
})
