// `make screenshots`: the main pages as people see them, into build/screens. Needs a running demo.
import { mkdir } from "node:fs/promises"
import { PORTAL, context, open, signIn } from "./browser.mjs"

const folder = new URL("../../build/screens/", import.meta.url)
const WHO = process.env.HOUQIN_WHO ?? "administrator"
const ONLY = process.env.HOUQIN_ONLY?.split(",")
const PERIOD = process.env.HOUQIN_PERIOD ?? "2011/2012-1"

const PAGES = {
  today: "/",
  services: "/services",
  form: "/do/RaiseRequisition",
  repair: "/do/ReportRepair",
  list: "/list/repair_ledger",
  assets: "/list/asset_ledger",
  alerts: "/alerts",
  figures: `/figures?period=${encodeURIComponent(PERIOD)}&of=assets`,
  outbox: "/outbox",
  search: "/search?q=%E7%BB%B4%E4%BF%AE",
}

/** The first thing of a list. */
const THINGS = { detail: "repair_ledger", requisition: "requisition_list" }

await mkdir(folder, { recursive: true })
const browser = await open()
for (const size of ["desk", "phone"]) {
  for (const language of ["zh", "en"]) {
    const page = await context(browser, { size, language })
    await signIn(page, WHO)
    const shoot = async (name) => {
      await page.waitForLoadState("networkidle").catch(() => {})
      await page.evaluate(() => document.fonts.ready)
      await page.screenshot({ path: new URL(`${name}-${size}-${language}.png`, folder).pathname })
    }
    for (const [name, path] of Object.entries(PAGES)) {
      if (ONLY && !ONLY.includes(name)) continue
      await page.goto(PORTAL + path)
      await page.locator("main h1").first().waitFor({ timeout: 10000 }).catch(() => {})
      await shoot(name)
    }
    for (const [name, list] of Object.entries(THINGS)) {
      if (ONLY && !ONLY.includes(name)) continue
      await page.goto(`${PORTAL}/list/${list}`)
      await page.locator(`main a[href*='/list/${list}/']`).first().click({ timeout: 8000 }).then(() => shoot(name)).catch((error) => console.log(`no ${name}`, String(error).slice(0, 200)))
    }
    if (!ONLY || ONLY.includes("figure")) {
      await page.goto(`${PORTAL}/figures?period=${encodeURIComponent(PERIOD)}&of=assets`)
      await page.locator("main a.tile").first().click({ timeout: 8000 }).then(() => shoot("figure")).catch((error) => console.log("no figure", String(error).slice(0, 200)))
    }
    if (page.errors.length) console.log(size, language, page.errors.slice(0, 5))
    await page.context().close()
  }
}
await browser.close()
