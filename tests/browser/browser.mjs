// A real Chromium out of a package, and what every browser test does with it.
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import chromium from "@sparticuz/chromium"
import { chromium as playwright } from "playwright-core"

export const PORTAL = process.env.HOUQIN_PORTAL
export const SIZES = { desk: { width: 1360, height: 860 }, phone: { width: 390, height: 844 } }

/** Of the package's switches only what a machine without a screen and without root needs: the
 * browser is one process per page, with its own walls between origins, as people have it. */
export async function open() {
  return await playwright.launch(await how())
}

async function how() {
  const args = ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none", "--headless=shell"]
  return { executablePath: await chromium.executablePath(), args, headless: true }
}

/** A page in a browser of its own that keeps what it knows in `folder`, as it was left there. */
export async function reopen(folder) {
  const kept = { viewport: SIZES.desk, locale: "zh-CN", timezoneId: "Asia/Shanghai" }
  const made = await playwright.launchPersistentContext(folder, { ...(await how()), ...kept })
  return made.pages()[0] ?? (await made.newPage())
}

/** A new person's browser: no cookies, nothing kept; `errors` fills with what pages complain of. */
export async function context(browser, { size = "desk", language = "zh", serviceWorkers = "allow", bypassCSP = false } = {}) {
  const made = await browser.newContext({
    bypassCSP,
    viewport: SIZES[size],
    hasTouch: size === "phone",
    isMobile: size === "phone",
    locale: language === "zh" ? "zh-CN" : "en-US",
    timezoneId: "Asia/Shanghai",
    serviceWorkers,
  })
  await made.addCookies([{ name: "houqin-language", value: language, url: PORTAL }])
  const page = await made.newPage()
  page.errors = []
  page.on("pageerror", (error) => page.errors.push(String(error)))
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource|ERR_/.test(message.text())) page.errors.push(message.text())
  })
  return page
}

/** Waits until what is asked again and again is true. (A page's own `waitForFunction` takes a promise
 * for true.) */
export async function until(holds) {
  for (const ends = Date.now() + 15_000; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 50))) {
    if (Date.now() > ends) throw new Error(`not within 15 s: ${holds}`)
  }
}

/** Signs in at the real provider by the person's own button, as its list of people offers; ends on the portal's first page. */
export async function signIn(page, person, to = "/") {
  await page.goto(`${PORTAL}/auth/sign-in?to=${encodeURIComponent(to)}`)
  await page.locator(`form:has(input[name="username"][value="${person}"]) button`).first().click()
  await page.waitForURL((url) => url.origin === PORTAL && !url.pathname.startsWith("/auth"))
  await page.locator("main h1").first().waitFor()
}

/** The bytes of script and style that a page has fetched, packed as they came, before fonts. */
export async function weight(page) {
  return await page.evaluate(() => {
    const entries = performance.getEntriesByType("resource")
    const counted = entries.filter(({ name }) => /\.(js|css)$/.test(new URL(name).pathname) && !/noto-sans/.test(name))
    return counted.reduce((sum, entry) => sum + entry.encodedBodySize, 0)
  })
}

const axe = await readFile(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8")

/** The violations of WCAG 2.2 A and AA on a page, each with where it is. */
export async function violations(page) {
  await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    return (await globalThis.axe.run(document, { runOnly: tags })).violations
  })
  return found.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)
}
