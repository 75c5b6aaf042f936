// Photos and signatures on the way from a phone with a bad line to the record. Run by test_browser.py.
import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { after, before, test } from "node:test"
import { context, open, PORTAL, signIn, until, violations } from "./browser.mjs"

let browser
before(async () => {
  browser = await open()
})
after(async () => await browser.close())

const PHOTO_BYTES_MAX = 300_000
const PLACE = `配电房 ${Date.now()}`

/** A picture as a camera makes it: large, lying on its side, and saying where it was taken. */
async function photo(page, name) {
  const url = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 900, height: 600 })
    const pen = canvas.getContext("2d")
    for (let n = 0; n < 2000; n += 1) {
      pen.fillStyle = `hsl(${Math.random() * 360} 60% ${Math.random() * 100}%)`
      pen.fillRect(Math.random() * 900, Math.random() * 600, 24, 16)
    }
    return canvas.toDataURL("image/jpeg", 0.95)
  })
  const drawn = Buffer.from(url.split(",")[1], "base64")
  const turned = [0x4d, 0x4d, 0, 0x2a, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]
  const about = [...Buffer.from("Exif\0\0"), ...turned, ...Buffer.from("GPS 25.98N 113.23E")]
  const exif = [0xff, 0xe1, (about.length + 2) >> 8, (about.length + 2) & 255, ...about]
  return { name, mimeType: "image/jpeg", buffer: Buffer.concat([drawn.subarray(0, 2), Buffer.from(exif), drawn.subarray(2)]) }
}

async function attach(page, picture, count) {
  await page.locator("#f-photos input[type=file]").last().setInputFiles(picture)
  await page.locator("#f-photos img").nth(count - 1).waitFor()
}

async function fill(page, place) {
  await page.locator("#f-place").fill(place)
  await page.getByLabel("隐患情况").fill("电线裸露，没有盖板")
  const category = page.locator("#f-category")
  if (await category.evaluate((one) => one.tagName === "SELECT")) await category.selectOption({ index: 1 })
  else await category.locator("label").first().click()
}

async function submit(page) {
  await page.getByRole("button", { name: "报告隐患" }).click()
  await page.getByRole("heading", { name: "报告隐患：已保存，等待发送" }).waitFor()
}

/** What the device still holds of a kind. */
async function held(page, kind) {
  return await page.evaluate(async (store) => {
    const done = (asked) => new Promise((resolve) => (asked.onsuccess = () => resolve(asked.result)))
    const database = await done(indexedDB.open("houqin-of-teacher"))
    const all = await done(database.transaction(store).objectStore(store).getAll())
    database.close()
    return all
  }, kind)
}

/** The form is kept with everything that was filled in, to its last field. */
async function kept(page) {
  await until(async () => (await held(page, "drafts")).some((one) => one.value.category && one.value.photos.length))
}

test("three forms with photos survive a cut line, a reload and a closed tab, and each arrives once", async () => {
  let page = await context(browser, { size: "phone" })
  await signIn(page, "teacher")
  await page.evaluate(async () => await navigator.serviceWorker.ready)
  await page.reload()
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null)
  await page.locator("main h1").first().waitFor()
  const line = page.context()
  const pictures = []
  for (const n of [1, 2, 3, 4]) pictures.push(await photo(page, `${n}.jpg`))

  // The line goes between the first photo and the second.
  await page.goto(`${PORTAL}/do/ReportHazard`)
  await attach(page, pictures[0], 1)
  assert.deepEqual(await violations(page), [])
  await line.setOffline(true)
  await attach(page, pictures[1], 2)
  await fill(page, `${PLACE} 甲`)
  await submit(page)

  // The page is loaded anew in the middle of the second form.
  await page.goto(`${PORTAL}/do/ReportHazard`)
  await attach(page, pictures[2], 1)
  await fill(page, `${PLACE} 乙`)
  await kept(page)
  await page.reload()
  await page.getByText("已恢复上次没填完的内容").waitFor()
  await page.locator("#f-photos img").waitFor()
  await submit(page)

  // The tab is closed in the middle of the third.
  await page.goto(`${PORTAL}/do/ReportHazard`)
  await attach(page, pictures[3], 1)
  await fill(page, `${PLACE} 丙`)
  await kept(page)
  const errors = page.errors
  await page.close()
  page = await line.newPage()
  await page.goto(`${PORTAL}/do/ReportHazard`)
  await page.locator("#f-photos img").waitFor()
  await submit(page)

  // What waits can be carried away in a file, photos and all.
  await page.goto(`${PORTAL}/outbox`)
  await until(async () => (await page.locator(".tag", { hasText: "待发送" }).count()) === 3)
  const saving = page.waitForEvent("download")
  await page.getByRole("button", { name: "导出未发送" }).click()
  const saved = JSON.parse(await readFile(await (await saving).path(), "utf8"))
  assert.deepEqual([saved.records.length, saved.files.length], [3, 4])
  assert.match(saved.files[0].url, /^data:image\/jpeg;base64,/)

  // Back again, and gone again as soon as the first piece has arrived.
  const piece = page.waitForResponse((answer) => answer.url().endsWith("/pieces/0"))
  await line.setOffline(false)
  await piece
  await line.setOffline(true)
  await page.reload()
  await page.locator(".tag", { hasText: "待发送" }).first().waitFor()
  await line.setOffline(false)
  await until(async () => (await page.locator(".tag", { hasText: "已录入" }).count()) === 3)
  await until(async () => (await held(page, "files")).length === 0)

  const found = await page.evaluate(async (place) => {
    const { items } = await (await fetch(`/api/safety/hazards?q=${encodeURIComponent(place)}`)).json()
    const look = async (hash) => {
      const blob = await (await fetch(`/portal/files/${hash}`)).blob()
      const { width, height } = await createImageBitmap(blob)
      return { size: blob.size, upright: height > width, says: (await blob.text()).includes("Exif") }
    }
    const shown = items.map(async (one) => [one.place.slice(-1), await Promise.all(one.photos.map(look))])
    return (await Promise.all(shown)).sort()
  }, PLACE)
  assert.deepEqual(found.map(([place, photos]) => [place, photos.length]).sort(), [["丙", 1], ["乙", 1], ["甲", 2]])
  for (const one of found.flatMap(([, photos]) => photos)) {
    assert.ok(one.size <= PHOTO_BYTES_MAX && one.upright && !one.says, JSON.stringify(one))
  }
  assert.deepEqual([...errors], [])
  await line.close()
})

/** A result of an inspection of the second school, for its head to sign. */
async function inspected() {
  const page = await context(browser, { serviceWorkers: "block" })
  await signIn(page, "county-inspector")
  const made = await page.evaluate(async () => {
    const { csrf, unit } = await (await fetch("/session")).json()
    const post = async (path, body) => {
      const headers = { "Content-Type": "application/json", "Houqin-Csrf": csrf, "Idempotency-Key": crypto.randomUUID() }
      const answer = await fetch(`/api/safety/${path}`, { method: "POST", headers, body: JSON.stringify(body) })
      if (!answer.ok) throw new Error(await answer.text())
      return (await answer.json()).id
    }
    const school = (await (await fetch(`/api/organisation/units?q=${encodeURIComponent("测试第二小学")}`)).json()).items[0].id
    const item = { code: "A", text_zh: "消防通道畅通", points: "10", severity: "general" }
    const checklist = await post("checklists", { organisation: unit.id, title: "签字督查", kind: "supervision", items: [item] })
    await post(`checklists/${checklist}/publish`, {})
    const results = [{ code: "A", judgement: "met" }]
    return await post("inspections/carry-out", { organisation: school, checklist, inspectors: ["county-inspector"], results })
  })
  await page.context().close()
  return made
}

test("a result is signed by hand or by name, and the signature stands in its history", async () => {
  const id = await inspected()
  const page = await context(browser)
  await signIn(page, "sibling-head", `/do/AcknowledgeInspection/${id}?view=inspection_register`)

  // Without a hand that draws: by the keyboard alone.
  await page.getByRole("button", { name: "手写签名" }).focus()
  await page.keyboard.press("Enter")
  await page.getByLabel("或输入姓名作为签名").fill("王秀英")
  await page.keyboard.press("Enter")
  await page.locator("#f-signature img").waitFor()
  const typed = await page.locator("#f-signature img").getAttribute("src")

  await page.getByRole("button", { name: "重新签名" }).click()
  const box = await page.locator("#f-signature canvas").boundingBox()
  await page.mouse.move(box.x + 60, box.y + 60)
  await page.mouse.down()
  await page.mouse.move(box.x + 160, box.y + 120, { steps: 8 })
  await page.mouse.move(box.x + 300, box.y + 40, { steps: 8 })
  await page.mouse.up()
  assert.deepEqual(await violations(page), [])
  await page.getByRole("button", { name: "完成签名" }).click()
  await page.waitForFunction((before) => document.querySelector("#f-signature img")?.src !== before, typed)
  await page.getByRole("button", { name: "受检单位签字认可" }).click()
  await page.getByRole("heading", { name: "受检单位签字认可：已录入" }).waitFor()

  await page.goto(`${PORTAL}/list/inspection_register/${id}`)
  await page.getByRole("button", { name: "查看内容" }).first().click()
  const shown = page.getByRole("button", { name: /^放大/ })
  await until(async () => await shown.locator("img").evaluate((one) => one.naturalWidth > 0))
  await shown.click()
  await page.getByRole("dialog").locator("img").waitFor()
  assert.deepEqual(await violations(page), [])
  await page.keyboard.press("Escape")
  await page.getByRole("dialog").waitFor({ state: "hidden" })
  assert.deepEqual(page.errors, [])
  await page.context().close()
})
